"""The accounts of the agent, and the group that it shares with people."""

from __future__ import annotations

import grp
import pwd
from dataclasses import replace
from typing import Any

import pytest

from pi_agent.cli.doctor import account_checks
from pi_agent.cli.doctor.context import Context
from pi_agent.linux.identities import Identity
from pi_agent.messages import account_findings
from pi_agent.messages.finding import FAIL, OK, WARN
from pi_agent.messages.refusal import EX_CONFIG, Refusal
from tests.support.installations import only
from tests.support.policies import frozen, host_user


class Machine:
    """users: by name, the user ID and the primary group's. groups: by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.users = {"root": (0, 0), "alice": (1000, 100), "pi-agent": (990, 980)}
        self.users |= {"pi-agent-alice": (991, 981), "pi-agent-bob": (992, 982)}
        self.groups = {"root": 0, "users": 100, "pi-agent": 980, "pi-agent-alice": 981, "pi-agent-bob": 982, "dev": 500}
        monkeypatch.setattr(pwd, "getpwnam", self._user)
        monkeypatch.setattr(grp, "getgrnam", self._group)
        monkeypatch.setattr(pwd, "getpwuid", self._first_user)
        monkeypatch.setattr(grp, "getgrgid", self._first_group)

    def _user(self, name: str) -> pwd.struct_passwd:
        uid, gid = self.users[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/nonexistent", "/bin/sh"))

    def _group(self, name: str) -> grp.struct_group:
        return grp.struct_group((name, "x", self.groups[name], []))

    def _first_user(self, uid: int) -> pwd.struct_passwd:
        return next(entry for entry in map(self._user, self.users) if entry.pw_uid == uid)

    def _first_group(self, gid: int) -> grp.struct_group:
        return next(entry for entry in map(self._group, self.groups) if entry.gr_gid == gid)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def context(agent_user: str = "pi-agent-alice", **overrides: Any) -> Context:
    """alice's, on a machine that bob uses as well."""
    users = {"alice": host_user("~", agent_user=agent_user), "bob": host_user("~", agent_user="pi-agent-bob")}
    return Context(frozen(hostUsers=users, **overrides), Identity("alice", 1000, 100, (100,), "/home/alice"), True)


# -- the owner of the state


@pytest.mark.parametrize("asks", [True, False])
def test_an_owner_with_ids_of_its_own_is_fine(machine: Machine, asks: bool) -> None:
    of_anybody = context() if asks else replace(context(), user=None)
    found = only(account_checks.owner(of_anybody))
    assert found == account_findings.owner("pi-agent", 990, "pi-agent", 980) and found.grade == OK


@pytest.mark.parametrize("root", ["user", "group"])
def test_an_owner_that_is_root_is_told(machine: Machine, root: str) -> None:
    if root == "user":
        machine.users["pi-agent"] = (0, 980)
    else:
        machine.users["pi-agent"], machine.groups["pi-agent"] = (990, 0), 0
    found = only(account_checks.owner(context()))
    assert found == account_findings.owner_is_root("pi-agent", "pi-agent") and found.grade == FAIL


def test_an_owner_with_another_primary_group_is_told(machine: Machine) -> None:
    machine.users["pi-agent"] = (990, 500)
    found = only(account_checks.owner(context()))
    assert found == account_findings.primary_group("user", "pi-agent", "pi-agent") and found.grade == FAIL


def test_a_missing_owner_is_refused_as_by_a_launch(machine: Machine) -> None:
    del machine.users["pi-agent"]
    with pytest.raises(Refusal) as caught:
        list(account_checks.owner(context()))
    assert caught.value.status == EX_CONFIG and "«pi-agent»" in caught.value.what


# -- the agent


def test_an_agent_with_an_account_of_its_own_is_fine(machine: Machine) -> None:
    found = only(account_checks.agent(context()))
    assert found == account_findings.agent("pi-agent-alice", 991, "pi-agent-alice", 981) and found.grade == OK


def test_somebody_who_may_not_use_it_has_no_agent(machine: Machine) -> None:
    assert list(account_checks.agent(replace(context(), user=None))) == []


def test_an_agent_with_another_primary_group_is_told(machine: Machine) -> None:
    machine.users["pi-agent-alice"] = (991, 100)
    found = only(account_checks.agent(context()))
    assert found == account_findings.primary_group("agentUser", "pi-agent-alice", "pi-agent-alice")
    assert found.grade == FAIL


@pytest.mark.parametrize(("bobs", "group"), [((991, 982), 982), ((992, 981), 981), ((991, 981), 981)])
def test_an_agent_with_an_id_of_another_host_users_agent_is_told(
    machine: Machine, bobs: tuple[int, int], group: int
) -> None:
    machine.users["pi-agent-bob"], machine.groups["pi-agent-bob"] = bobs, group
    found = only(account_checks.agent(context()))
    assert found == account_findings.agent_shared("pi-agent-alice", "bob") and found.grade == FAIL


@pytest.mark.parametrize("missing", ["users", "groups"])
def test_what_another_host_user_lacks_is_told_to_that_user_alone(machine: Machine, missing: str) -> None:
    del getattr(machine, missing)["pi-agent-bob"]
    assert only(account_checks.agent(context())).grade == OK


def test_an_agent_that_owns_the_state_is_a_warning(machine: Machine) -> None:
    found = only(account_checks.agent(context("pi-agent")))
    assert found == account_findings.agent_owns_state("pi-agent") and found.grade == WARN


@pytest.mark.parametrize(("shared", "whose"), [(0, "root"), (1000, "alice"), (990, "pi-agent")])
def test_an_agent_that_a_launch_refuses_is_refused(machine: Machine, shared: int, whose: str) -> None:
    machine.users["pi-agent-alice"] = (shared, 981)
    with pytest.raises(Refusal) as caught:
        list(account_checks.agent(context()))
    assert caught.value.status == EX_CONFIG and whose in caught.value.what


def test_an_agent_in_roots_group_is_refused_as_by_a_launch(machine: Machine) -> None:
    machine.users["pi-agent-alice"], machine.groups["pi-agent-alice"] = (991, 0), 0
    with pytest.raises(Refusal) as caught:
        list(account_checks.agent(context()))
    assert caught.value.status == EX_CONFIG and "root" in caught.value.what


# -- the project group


def test_without_a_project_group_there_is_nothing_to_tell(machine: Machine) -> None:
    assert list(account_checks.project_group(context())) == []


def test_a_project_group_has_to_exist_and_the_host_user_to_be_a_member(machine: Machine) -> None:
    asked = context(projectGroup="dev")
    without = account_findings.project_group_without_caller("dev", "alice")
    assert only(account_checks.project_group(asked)) == without and without.grade == WARN
    assert asked.user is not None
    member = replace(asked, user=Identity("alice", 1000, 100, (100, 500), "/home/alice"))
    assert only(account_checks.project_group(member)) == account_findings.project_group("dev", 500)
    assert only(account_checks.project_group(replace(asked, user=None))).grade == OK
    del machine.groups["dev"]
    missing = only(account_checks.project_group(asked))
    assert missing == account_findings.project_group_missing("dev") and missing.grade == FAIL
