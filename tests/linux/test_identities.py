from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages.refusal import EX_CONFIG, Refusal
from pi_agent.policy import accounts
from tests.support import people
from tests.support.people import needs_root
from tests.support.policies import frozen

_ENTRY = pwd.getpwuid(0)
_GROUP = grp.getgrgid(0).gr_name
_OTHER_GROUP = next(entry for entry in grp.getgrall() if entry.gr_gid != 0)
_STRANGER = Identity("stranger", 54321, 54322, (54322, 54323), "/")


def test_the_agent_is_the_policys_user_and_groups_at_home_in_the_state_directory() -> None:
    found = accounts.agent(frozen(user=_ENTRY.pw_name, group=_OTHER_GROUP.gr_name))
    gid = _OTHER_GROUP.gr_gid
    assert found == Identity(_ENTRY.pw_name, _ENTRY.pw_uid, gid, (gid,), "/var/lib/pi-agent")


def test_the_project_group_joins_the_agents_groups() -> None:
    found = accounts.agent(frozen(user=_ENTRY.pw_name, group=_GROUP, projectGroup=_OTHER_GROUP.gr_name))
    assert (found.gid, found.groups) == (0, (0, _OTHER_GROUP.gr_gid))


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        ({"user": "no-such-user"}, "user «no-such-user»"),
        ({"user": "root", "group": "no-such-group"}, "group «no-such-group»"),
        ({"user": "root", "group": _GROUP, "projectGroup": "no-such-group"}, "group «no-such-group»"),
    ],
)
def test_a_missing_user_or_group_is_named(overrides: dict[str, str], missing: str) -> None:
    with pytest.raises(Refusal) as caught:
        accounts.agent(frozen(**overrides))
    assert caught.value.status == EX_CONFIG
    assert missing in caught.value.what


def credentials() -> tuple[int, int, list[int]]:
    return os.geteuid(), os.getegid(), sorted(os.getgroups())


def test_acting_as_oneself_changes_nothing() -> None:
    before = credentials()
    with acting_as(people.alice("/")):
        assert credentials() == before
    assert credentials() == before


@needs_root
def test_acting_as_another_switches_uid_gid_and_groups_and_back() -> None:
    before = credentials()
    with acting_as(_STRANGER):
        assert credentials() == (54321, 54322, [54322, 54323])
    assert credentials() == before


@needs_root
def test_acting_as_another_ends_also_by_an_exception() -> None:
    before = credentials()
    with pytest.raises(RuntimeError), acting_as(_STRANGER):
        raise RuntimeError
    assert credentials() == before


@needs_root
@pytest.mark.parametrize("failing", ["setegid", "seteuid"])
def test_a_switch_that_fails_half_way_is_undone(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    before = credentials()
    switch = getattr(os, failing)

    def fails(number: int) -> None:
        if number != 0:
            raise PermissionError
        switch(number)

    monkeypatch.setattr(os, failing, fails)
    with pytest.raises(PermissionError), acting_as(_STRANGER):
        pytest.fail("nothing may run under half an identity")
    assert credentials() == before


@needs_root
def test_acting_as_another_cannot_read_what_root_can(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    assert secret.read_text() == "x"
    with pytest.raises(PermissionError), acting_as(_STRANGER):
        secret.read_text()
