from __future__ import annotations

import errno
import grp
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import mount_api, paths
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import mounts
from pi_agent.sandbox.mounts import Extent, swap
from tests.support.fakes import Kernel
from tests.support.namespaces import alone, mounted, tmpfs
from tests.support.people import needs_root

_LAST = 2**32 - 2  # the largest id: (uid_t) -1 is not an id
_EDGES = [0, 1, 2, 995, 996, 997, 1000, 65534, 2**31 - 1, 2**31, _LAST - 1, _LAST]
_IDS = st.sampled_from(_EDGES) | st.integers(0, _LAST)


def mapped(extents: list[Extent], number: int) -> int:
    """The id on disk to which the map takes an id inside."""
    (there,) = [e.outside + number - e.inside for e in extents if e.inside <= number < e.inside + e.count]
    return there


@given(_IDS, _IDS)
def test_both_sides_of_the_map_cover_every_id_exactly_once(left: int, right: int) -> None:
    extents = swap(left, right)
    for side in ("inside", "outside"):
        expected = 0
        for start, count in sorted((getattr(extent, side), extent.count) for extent in extents):
            assert start == expected
            expected = start + count
        assert expected == _LAST + 1


@given(_IDS, _IDS, _IDS)
def test_the_two_are_exchanged_and_every_other_id_stays(left: int, right: int, other: int) -> None:
    extents = swap(left, right)
    assert mapped(extents, left) == right
    assert mapped(extents, right) == left
    if other not in (left, right):
        assert mapped(extents, other) == other
    assert mapped(extents, mapped(extents, other)) == other
    assert swap(right, left) == extents


@given(_IDS, _IDS)
def test_the_kernel_takes_the_map_without_an_allocation(left: int, right: int) -> None:
    """The kernel holds up to five extents in the structure itself (user_namespaces(7)). None is empty or overflows."""
    extents = swap(left, right)
    assert 1 <= len(extents) <= 5
    for extent in extents:
        assert extent.count >= 1
        assert max(extent.inside, extent.outside) + extent.count <= 2**32 - 1


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1000, 996, [(0, 0, 996), (996, 1000, 1), (997, 997, 3), (1000, 996, 1), (1001, 1001, 4294966294)]),
        (5, 5, [(0, 0, 4294967295)]),
        (0, 1, [(0, 1, 1), (1, 0, 1), (2, 2, 4294967293)]),
        (7, 8, [(0, 0, 7), (7, 8, 1), (8, 7, 1), (9, 9, 4294967286)]),
        (0, _LAST, [(0, _LAST, 1), (1, 1, 4294967293), (_LAST, 0, 1)]),
    ],
)
def test_swap_by_example(left: int, right: int, expected: list[tuple[int, int, int]]) -> None:
    assert [(extent.inside, extent.outside, extent.count) for extent in swap(left, right)] == expected


# -- staging, on a kernel that mounts nothing


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path / "kernel.log", monkeypatch)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """What is mounted, and where."""
    source, target = tmp_path / 'a "b" %h:c', tmp_path / "target"
    source.mkdir()
    target.mkdir()
    return source, target


_CALLER, _AGENT = Identity("alice", 1000, 100, (), "/"), Identity("pi-agent", 996, 100, (), "/")
_FLAGS = mount_api.NOSUID | mount_api.NODEV


def mapped_at(descriptor: int, target: str) -> bool:
    tree, mapped = mounts.prepared(_CALLER, _AGENT, descriptor)
    try:
        mounts.stage(tree, target, paths.real_path(descriptor))
    finally:
        os.close(tree)
    return mapped


def staged(source: Path, target: Path) -> bool:
    before = os.listdir("/proc/self/fd")
    descriptor = os.open(source, os.O_PATH)
    try:
        return mapped_at(descriptor, str(target))
    finally:
        os.close(descriptor)
        assert os.listdir("/proc/self/fd") == before


def test_owners_are_mapped_uids_and_gids_each_by_their_own(kernel: Kernel, places: tuple[Path, Path]) -> None:
    source, target = places
    assert staged(source, target) is True
    uids = "0 0 996;996 1000 1;997 997 3;1000 996 1;1001 1001 4294966294;"
    assert kernel.calls() == [
        f"clone {source}",
        f"user_namespace {uids}/0 0 4294967295;",
        f"idmap {source} 0",
        f"set_attributes {source} {_FLAGS}",
        f"attach {source} at {target}",
        f"set_attributes {source} 0",
    ]


def test_where_owners_cannot_be_mapped_it_is_mounted_as_it_is(kernel: Kernel, places: tuple[Path, Path]) -> None:
    source, target = places
    kernel.refuses = {"idmap"}
    assert staged(source, target) is False
    assert kernel.calls()[-3:-1] == [f"set_attributes {source} {_FLAGS}", f"attach {source} at {target}"]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_lack_of_processes_or_memory_is_not_taken_for_a_lack_of_user_namespaces(
    kernel: Kernel, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def exhausted(*_: str) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(mount_api, "user_namespace", exhausted)
    with pytest.raises(Refusal) as caught:
        staged(*places)
    assert caught.value.status == EX_UNAVAILABLE and os.strerror(number) in caught.value.what


@pytest.mark.parametrize("what", ["clone", "set_attributes", "attach"])
def test_where_nothing_can_be_mounted_the_launch_is_refused(
    kernel: Kernel, places: tuple[Path, Path], what: str
) -> None:
    kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        staged(*places)
    assert caught.value.status == EX_UNAVAILABLE
    assert escaped(str(places[0])) in caught.value.what and "Invalid argument" in caught.value.what


@pytest.mark.parametrize("what", ["clone", "set_attributes", "attach"])
def test_the_state_is_mounted_without_a_map(kernel: Kernel, places: tuple[Path, Path], what: str) -> None:
    source, target = places
    descriptor = os.open(source, os.O_PATH)
    mounts.stage_state(descriptor, str(target))
    assert kernel.calls() == [
        f"clone {source}",
        f"set_attributes {source} {_FLAGS}",
        f"attach {source} at {target}",
        f"set_attributes {source} 0",
    ]
    kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        mounts.stage_state(descriptor, str(target))
    assert caught.value.status == EX_UNAVAILABLE
    os.close(descriptor)


@pytest.mark.parametrize("what", ["new", "attach"])
@pytest.mark.parametrize(("group", "owner"), [(3, "gid=3,"), (None, "")])
def test_terminals_are_an_instance_of_their_own_that_gains_nothing(
    kernel: Kernel,
    places: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    group: int | None,
    owner: str,
) -> None:
    def named(name: str) -> grp.struct_group:
        if group is None:
            raise KeyError(name)
        return grp.struct_group((name, "x", group, []))

    monkeypatch.setattr(grp, "getgrnam", named)
    mounts.stage_terminals(str(places[1]))
    flags = mount_api.NOSUID | mount_api.NOEXEC
    assert kernel.calls() == [
        f"new devpts {owner}max=128,mode=0620,ptmxmode=0666 {flags}",
        f"attach /dev/null at {places[1]}",
        "set_attributes /dev/null 0",
    ]
    kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        mounts.stage_terminals(str(places[1]))
    assert caught.value.status == EX_UNAVAILABLE


def test_everything_is_unmounted(kernel: Kernel) -> None:
    mounts.unstage(["/a", "/b"])
    assert kernel.calls() == ["detach /a", "detach /b"]


# -- staging, for real


@needs_root
def test_inside_the_two_own_each_others_files_and_on_disk_nothing_changed(tmp_path: Path) -> None:
    def act() -> None:
        source, target = tmpfs(tmp_path / "source"), tmp_path / "target"
        target.mkdir()
        for number in (1000, 996, 42):
            (source / str(number)).write_text("x")
            os.chown(source / str(number), number, number)
        os.chown(source, 1000, 100)
        descriptor = os.open(source, os.O_PATH)
        if not mapped_at(descriptor, str(target)):
            os._exit(77)  # tmpfs could not before Linux 6.3
        assert owners(target) == {"1000": (996, 1000), "996": (1000, 996), "42": (42, 42)}
        assert owners(source) == {str(number): (number, number) for number in (1000, 996, 42)}
        assert {"nosuid", "nodev"} <= mounted(target)
        inside = os.open(target, os.O_PATH)
        with acting_as(_AGENT):  # nobody else can enter pytest's own directories
            os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=inside))
        assert owners(source)["made"] == (1000, 100)

    alone(act)


def owners(directory: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_uid, path.stat().st_gid) for path in directory.iterdir()}


@needs_root
def test_a_file_system_that_cannot_map_owners_is_shown_as_it_is(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "target").mkdir()
        assert mapped_at(os.open("/proc", os.O_PATH), str(tmp_path / "target")) is False
        assert (tmp_path / "target/self/comm").exists()
        assert {"nosuid", "nodev"} <= mounted(tmp_path / "target")

    alone(act)
