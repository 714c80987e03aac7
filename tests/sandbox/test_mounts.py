"""Mounts for a session, on a kernel that mounts nothing. On a real one: tests/sandbox/test_owner_maps.py."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path

import pytest

from pi_agent.linux import mount_api
from pi_agent.linux.identities import Identity
from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.policy.accounts import Accounts
from pi_agent.sandbox import mounts
from pi_agent.sandbox.mounts import OwnerMaps
from tests.support.fakes import Kernel
from tests.support.limits import open_descriptors


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path / "kernel.log", monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What is mounted."""
    made = tmp_path / 'a "b" %h:c'
    made.mkdir()
    return made


_CALLER = Identity("alice", 1000, 100, (), "/home/alice")
_OWNER = Identity("pi-agent", 990, 990, (), "/state")
_ACCOUNTS = Accounts(_CALLER, Identity("pi-agent-alice", 996, 100, (), "/state"), _OWNER)
_SOLE = Accounts(_CALLER, _OWNER, _OWNER)
_FLAGS = mount_api.NOSUID | mount_api.NODEV


# -- the maps


def test_the_project_maps_the_host_user_and_the_state_its_owner_uids_and_gids_each_by_their_own(kernel: Kernel) -> None:
    owners = mounts.owner_maps(_ACCOUNTS)
    assert owners.project is not None and owners.state is not None and owners.project != owners.state
    owners.close()
    assert kernel.calls() == [
        "user_namespace 0 0 996;1000 996 1;997 997 3;1001 1001 4294966294;/0 0 4294967295;",
        "user_namespace 0 0 1;990 996 1;/0 0 1;990 100 1;",
    ]


def test_where_the_agent_owns_the_state_it_stays_the_agents(kernel: Kernel) -> None:
    mounts.owner_maps(_SOLE).close()
    assert kernel.calls()[1] == "user_namespace 0 0 1;990 990 1;/0 0 1;990 990 1;"


@pytest.mark.parametrize("refused", [1, 2])
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSPC, errno.EINVAL])
def test_without_user_namespaces_there_are_no_maps(monkeypatch: pytest.MonkeyPatch, refused: int, number: int) -> None:
    refuse(monkeypatch, refused, number)
    before = open_descriptors()
    assert mounts.owner_maps(_ACCOUNTS) == OwnerMaps(None, None)
    assert open_descriptors() == before


@pytest.mark.parametrize("refused", [1, 2])
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_lack_of_processes_or_memory_is_not_taken_for_a_lack_of_user_namespaces(
    monkeypatch: pytest.MonkeyPatch, refused: int, number: int
) -> None:
    refuse(monkeypatch, refused, number)
    before = open_descriptors()
    with pytest.raises(OSError) as caught:
        mounts.owner_maps(_ACCOUNTS)
    assert caught.value.errno == number
    assert open_descriptors() == before


def refuse(monkeypatch: pytest.MonkeyPatch, which: int, number: int) -> None:
    """Let the kernel refuse the first or the second user namespace."""
    asked = []

    def making(*maps: str) -> int:
        asked.append(maps)
        if len(asked) == which:
            raise OSError(number, os.strerror(number))
        return os.open("/dev/null", os.O_PATH)

    monkeypatch.setattr(mount_api, "user_namespace", making)


def test_closing_maps_closes_what_there_is(kernel: Kernel) -> None:
    before = open_descriptors()
    OwnerMaps(None, None).close()
    OwnerMaps(None, os.dup(0)).close()
    mounts.owner_maps(_ACCOUNTS).close()
    assert open_descriptors() == before


# -- mounts


def prepared(source: Path, owners: int | None = 0, *, writable: bool = True) -> bool:
    """Prepare a mount of source. Returns whether owners are mapped."""
    before = open_descriptors()
    descriptor = os.open(source, os.O_PATH)
    try:
        tree, mapped = mounts.prepared(descriptor, owners, writable=writable)
        os.close(tree)
        return mapped
    finally:
        os.close(descriptor)
        assert open_descriptors() == before


@pytest.mark.parametrize("writable", [True, False])
def test_a_mount_is_mapped_and_gives_nobody_rights(kernel: Kernel, source: Path, writable: bool) -> None:
    assert prepared(source, writable=writable) is True
    flags = _FLAGS if writable else _FLAGS | mount_api.RDONLY
    assert kernel.calls() == [f"clone {source}", f"idmap {source} 0", f"set_attributes {source} {flags}"]


@pytest.mark.parametrize("owners", [0, None])
def test_where_owners_cannot_be_mapped_it_is_mounted_as_it_is(kernel: Kernel, source: Path, owners: int | None) -> None:
    kernel.refuses = {"idmap"}
    assert prepared(source, owners) is False
    assert kernel.calls()[-1] == f"set_attributes {source} {_FLAGS}"
    assert len(kernel.calls("idmap")) == (0 if owners is None else 1)


@pytest.mark.parametrize("what", ["clone", "set_attributes"])
def test_where_nothing_can_be_mounted_the_launch_is_refused(kernel: Kernel, source: Path, what: str) -> None:
    kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        prepared(source)
    assert caught.value.status == EX_UNAVAILABLE
    assert escaped(str(source)) in caught.value.what and "Invalid argument" in caught.value.what


# -- the state


def prepared_state(source: Path, accounts: Accounts, owners: int | None = 0) -> bool:
    """Prepare a mount of the state at source. Returns whether its owners are mapped."""
    before = open_descriptors()
    descriptor = os.open(source, os.O_PATH)
    try:
        tree, mapped = mounts.prepared_state(descriptor, owners, accounts)
        os.close(tree)
        return mapped
    finally:
        os.close(descriptor)
        assert open_descriptors() == before


@pytest.mark.parametrize("accounts", [_ACCOUNTS, _SOLE])
def test_the_state_is_mapped_also_where_the_agent_owns_it(kernel: Kernel, source: Path, accounts: Accounts) -> None:
    assert prepared_state(source, accounts) is True
    assert kernel.calls() == [f"clone {source}", f"idmap {source} 0", f"set_attributes {source} {_FLAGS}"]


@pytest.mark.parametrize("owners", [0, None])
def test_a_state_that_cannot_be_mapped_is_refused_unless_the_agent_owns_it(
    kernel: Kernel, source: Path, owners: int | None
) -> None:
    kernel.refuses = {"idmap"}
    with pytest.raises(Refusal) as caught:
        prepared_state(source, _ACCOUNTS, owners)
    assert caught.value.status == EX_CONFIG
    assert all(word in caught.value.what for word in ("/state", "pi-agent", "pi-agent-alice", "map owners"))
    assert prepared_state(source, _SOLE, owners) is False


@pytest.mark.parametrize("what", ["clone", "set_attributes"])
@pytest.mark.parametrize("accounts", [_ACCOUNTS, _SOLE])
def test_a_state_that_cannot_be_mounted_is_refused(kernel: Kernel, source: Path, accounts: Accounts, what: str) -> None:
    kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        prepared_state(source, accounts)
    assert caught.value.status == EX_UNAVAILABLE


# -- terminals


@pytest.mark.parametrize(("group", "owner"), [(3, "gid=3,"), (None, "")])
def test_terminals_are_an_instance_of_their_own_that_gains_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, group: int | None, owner: str
) -> None:
    def named(name: str) -> grp.struct_group:
        if group is None:
            raise KeyError(name)
        return grp.struct_group((name, "x", group, []))

    monkeypatch.setattr(grp, "getgrnam", named)
    os.close(mounts.new_terminals(32))
    flags = mount_api.NOSUID | mount_api.NOEXEC
    assert kernel.calls() == [f"new devpts {owner}max=32,mode=0620,ptmxmode=0666 {flags}"]
    kernel.refuses = {"new"}
    with pytest.raises(Refusal) as caught:
        mounts.new_terminals(32)
    assert caught.value.status == EX_UNAVAILABLE
