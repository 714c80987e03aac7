from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux.identities import Identity
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, Refusal
from pi_agent.policy import accounts
from pi_agent.policy.policy_file import Policy
from tests.support.policies import frozen, host_user

_SOMEBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
_POLICY = frozen(hostUsers={_SOMEBODY.pw_name: host_user("~")})


# -- the host user


def refused(environ: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        accounts.through_sudo(_POLICY, environ)
    assert caught.value.status == EX_NOPERM
    return caught.value


def test_a_listed_user_is_known_by_uid() -> None:
    found = accounts.through_sudo(_POLICY, {"SUDO_UID": str(_SOMEBODY.pw_uid)})
    assert (found.name, found.uid, found.home) == (_SOMEBODY.pw_name, _SOMEBODY.pw_uid, _SOMEBODY.pw_dir)
    assert found.gid == _SOMEBODY.pw_gid
    assert found.gid in found.groups


def test_a_user_who_is_not_listed_is_refused_with_the_nix_line() -> None:
    with pytest.raises(Refusal) as caught:
        accounts.by_uid(frozen(hostUsers={"somebody-else": host_user("~")}), _SOMEBODY.pw_uid)
    assert caught.value.status == EX_NOPERM
    assert _SOMEBODY.pw_name in caught.value.what
    assert f'm3ta.pi-agent.hostUsers."{_SOMEBODY.pw_name}".projectRoots' in caught.value.remedy


def test_names_in_the_environment_are_not_believed() -> None:
    assert "root" in refused({"SUDO_UID": "0", "SUDO_USER": _SOMEBODY.pw_name, "USER": _SOMEBODY.pw_name}).what
    refused({"SUDO_USER": _SOMEBODY.pw_name, "LOGNAME": _SOMEBODY.pw_name})


def test_root_is_refused_even_when_listed() -> None:
    with pytest.raises(Refusal) as caught:
        accounts.by_uid(frozen(hostUsers={"root": host_user("~")}), 0)
    assert caught.value.status == EX_NOPERM
    assert "root" in caught.value.what


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1 ", "0x1", "1_0", "1.0", "١", "²", "nobody", "9" * 40, "9" * 5000, "1\n"]
)
def test_a_uid_that_is_no_number_is_refused(text: str) -> None:
    refused({"SUDO_UID": text})


@pytest.mark.parametrize("uid", [2**31, 2**32 - 1, 2**32, 9999999999])
def test_a_uid_of_nobody_is_refused(uid: int) -> None:
    assert str(uid) in refused({"SUDO_UID": str(uid)}).what


@given(st.text(max_size=12))
def test_only_the_listed_uid_passes(text: str) -> None:
    try:
        assert accounts.through_sudo(_POLICY, {"SUDO_UID": text}).uid == _SOMEBODY.pw_uid
    except Refusal as refusal:
        assert refusal.status == EX_NOPERM


# -- the accounts of a launch


def named(ids: Mapping[str, int], wanted: int) -> str:
    return next(name for name, number in ids.items() if number == wanted)


class Machine:
    """The users and groups of a machine, each with an ID of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.users = {"root": 0, "alice": 1000, "bob": 1001, "pi-agent": 990, "pi-agent-alice": 991}
        self.groups = {"root": 0, "users": 100, "pi-agent": 980, "pi-agent-alice": 981, "dev": 500}
        monkeypatch.setattr(pwd, "getpwnam", self._user)
        monkeypatch.setattr(grp, "getgrnam", self._group)
        # The first name with an ID counts.
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: self._user(named(self.users, uid)))
        monkeypatch.setattr(grp, "getgrgid", lambda gid: self._group(named(self.groups, gid)))

    def _user(self, name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", self.users[name], 1, "", "/nonexistent", "/bin/sh"))

    def _group(self, name: str) -> grp.struct_group:
        return grp.struct_group((name, "x", self.groups[name], []))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


_ALICE = Identity("alice", 1000, 100, (100,), "/home/alice")


def policy(agent_user: str = "pi-agent-alice", **overrides: Any) -> Policy:
    return frozen(hostUsers={"alice": host_user("~", agent_user=agent_user), "bob": host_user("~")}, **overrides)


def refused_accounts(under: Policy) -> str:
    with pytest.raises(Refusal) as caught:
        accounts.of(under, _ALICE)
    assert caught.value.status == EX_CONFIG
    return caught.value.what


def test_the_agent_is_the_host_users_own_and_the_state_has_one_owner_both_at_home_in_it(machine: Machine) -> None:
    found = accounts.of(policy(), _ALICE)
    home = "/var/lib/pi-agent"
    assert found.caller == _ALICE
    assert found.agent == Identity("pi-agent-alice", 991, 981, (981,), home)
    assert found.owner == Identity("pi-agent", 990, 980, (980,), home)
    assert found.apart
    assert accounts.owner(policy()) == found.owner


def test_the_project_group_joins_the_agents_groups_and_not_the_owners(machine: Machine) -> None:
    found = accounts.of(policy(projectGroup="dev"), _ALICE)
    assert (found.agent.gid, found.agent.groups) == (981, (981, 500))
    assert (found.owner.gid, found.owner.groups) == (980, (980,))
    assert accounts.owner(policy(projectGroup="dev")).groups == (980,)


def test_the_owner_may_be_the_agent_if_the_policy_names_it(machine: Machine) -> None:
    found = accounts.of(policy("pi-agent"), _ALICE)
    assert found.agent.uid == found.owner.uid == 990
    assert not found.apart


@pytest.mark.parametrize(("shared", "whose"), [(0, "root"), (1000, "alice"), (990, "pi-agent")])
def test_an_agent_with_the_id_of_somebody_else_is_refused(machine: Machine, shared: int, whose: str) -> None:
    machine.users["pi-agent-alice"] = shared
    said = refused_accounts(policy())
    assert "«pi-agent-alice»" in said and said.endswith(f" {whose}")


@pytest.mark.parametrize(("shared", "whose"), [(0, "root"), (1000, "alice")])
def test_also_an_agent_that_owns_the_state_is_neither_root_nor_the_host_user(
    machine: Machine, shared: int, whose: str
) -> None:
    machine.users["pi-agent"] = shared
    assert refused_accounts(policy("pi-agent")).endswith(f" {whose}")


@pytest.mark.parametrize("other", ["bob", "pi-agent-bob", "postgres"])
def test_of_accounts_with_one_id_the_first_alone_can_be_an_agent(machine: Machine, other: str) -> None:
    """So no two host users' agents are one user, whatever the policy of the others says."""
    machine.users.pop(other, None)
    machine.users |= {other: 991}
    assert accounts.of(policy(), _ALICE).agent.uid == 991
    del machine.users[other]
    machine.users = {other: 991, **machine.users}
    assert refused_accounts(policy()).endswith(f" {other}")


@pytest.mark.parametrize(("shared", "whose"), [(0, "root"), (100, "users"), (980, "pi-agent")])
def test_an_agent_with_somebody_elses_group_is_refused(machine: Machine, shared: int, whose: str) -> None:
    machine.groups["pi-agent-alice"] = shared
    said = refused_accounts(policy())
    assert "group «pi-agent-alice»" in said and said.endswith(f" {whose}")


def test_an_agent_in_the_group_of_root_is_refused_whatever_that_group_is_called(machine: Machine) -> None:
    machine.groups = {"pi-agent-alice": 0, "pi-agent": 980}
    assert "group «pi-agent-alice»" in refused_accounts(policy())


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        ({"user": "no-user"}, ["the user «no-user»"]),
        ({"group": "no-group"}, ["the group «no-group»"]),
        ({"projectGroup": "no-group"}, ["the group «no-group»"]),
        ({"agent_user": "no-agent"}, ["the user «no-agent»", "the group «no-agent»"]),
        (
            {"user": "a", "group": "b", "projectGroup": "c", "agent_user": "d"},
            ["the user «a»", "the user «d»", "the group «b»", "the group «c»", "the group «d»"],
        ),
        ({"user": "a", "agent_user": "a", "group": "a"}, ["the user «a»", "the group «a»"]),
    ],
)
def test_every_missing_account_is_named_once_in_one_message(
    machine: Machine, overrides: dict[str, str], missing: list[str]
) -> None:
    assert refused_accounts(policy(**overrides)) == f"accounts of the agent do not exist: {', '.join(missing)}"


@pytest.mark.parametrize("overrides", [{"user": "no-one"}, {"group": "no-one"}, {"user": "no-one", "group": "no-one"}])
def test_for_the_owner_alone_only_its_accounts_have_to_exist(machine: Machine, overrides: dict[str, str]) -> None:
    del machine.users["pi-agent-alice"], machine.groups["pi-agent-alice"]
    assert accounts.owner(policy()).uid == 990
    with pytest.raises(Refusal) as caught:
        accounts.owner(policy(**overrides))
    assert caught.value.status == EX_CONFIG
    assert "no-one" in caught.value.what and "alice" not in caught.value.what
