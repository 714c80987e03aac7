from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pi_agent.linux import identities
from pi_agent.linux.identities import Identity, acting_as
from tests.support import people
from tests.support.people import needs_root

_STRANGER = Identity("stranger", 54321, 54322, (54322, 54323), "/")


def test_an_identity_has_what_the_passwd_entry_says_and_the_groups_of_a_login() -> None:
    entry = pwd.getpwuid(0)
    found = identities.from_passwd(entry)
    assert (found.name, found.uid, found.gid, found.home) == (entry.pw_name, 0, entry.pw_gid, entry.pw_dir)
    assert sorted(found.groups) == sorted(os.getgrouplist(entry.pw_name, entry.pw_gid))
    assert found.gid in found.groups


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
