from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent import mounts
from pi_agent.identity import Identity
from pi_agent.mounts import Extent, idmap_option, swap
from pi_agent.project import Project
from pi_agent.refusals import EX_UNAVAILABLE, Refusal
from tests import people
from tests.fakes import Bin

_LAST = 2**32 - 2  # the largest id: (uid_t) -1 is none
_EDGES = [0, 1, 2, 995, 996, 997, 1000, 65534, 2**31 - 1, 2**31, _LAST - 1, _LAST]
_IDS = st.sampled_from(_EDGES) | st.integers(0, _LAST)


def mapped(extents: list[Extent], number: int) -> int:
    """Where the map takes an id inside, on disk."""
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
    """Up to five extents are held in the structure itself (user_namespaces(7)); none may be empty or overflow."""
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


def test_the_option_maps_uids_and_gids_each_by_their_own() -> None:
    caller, agent = Identity("alice", 1000, 100, (100,), "/"), Identity("pi-agent", 996, 100, (100,), "/")
    assert idmap_option(caller, agent) == (
        "X-mount.idmap=u:0:0:996 u:996:1000:1 u:997:997:3 u:1000:996:1 u:1001:1001:4294966294 g:0:0:4294967295"
    )


# -- the commands, on stand-ins


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / 'a "b" %h:c'
    root.mkdir()
    return Project(str(root), os.open(root, os.O_PATH), str(root))


def staged(tmp_path: Path, project: Project, mount: str) -> tuple[bool, list[str], list[str]]:
    bin_ = Bin(tmp_path / "bin")
    notices: list[str] = []
    caller, agent = Identity("alice", 1000, 100, (), "/"), Identity("pi-agent", 996, 996, (), "/")
    owners = mounts.stage_project(bin_.tools(mount=mount), caller, agent, project, "/run/x/project", notices.append)
    return owners, bin_.calls("mount"), notices


def test_a_project_is_mounted_from_its_descriptor_with_owners_mapped(tmp_path: Path, project: Project) -> None:
    owners, calls, notices = staged(tmp_path, project, f"ls -ld /proc/self/fd/{project.descriptor} >/dev/null")
    assert owners and not notices
    (call,) = calls
    assert call.startswith("mount --no-canonicalize --bind -o X-mount.idmap=u:")
    assert call.endswith(f",nosuid,nodev /proc/self/fd/{project.descriptor} /run/x/project")
    assert project.root not in call


def test_where_owners_cannot_be_mapped_it_is_mounted_as_it_is_with_a_notice(tmp_path: Path, project: Project) -> None:
    owners, calls, notices = staged(tmp_path, project, 'case "$*" in *idmap*) exit 32;; esac')
    assert not owners
    assert len(calls) == 2 and "-o nosuid,nodev " in calls[1]
    assert len(notices) == 1 and "projectGroup" in notices[0]


def test_where_nothing_can_be_mounted_the_launch_is_refused(tmp_path: Path, project: Project) -> None:
    with pytest.raises(Refusal) as caught:
        staged(tmp_path, project, "echo 'mount: no way' >&2; exit 32")
    assert caught.value.status == EX_UNAVAILABLE
    assert "no way" in caught.value.what


def test_the_state_is_mounted_without_a_map(tmp_path: Path) -> None:
    bin_ = Bin(tmp_path / "bin")
    descriptor = os.open(tmp_path, os.O_PATH)
    mounts.stage_state(bin_.tools(), descriptor, "/run/x/state")
    os.close(descriptor)
    assert bin_.calls() == [f"mount --no-canonicalize --bind -o nosuid,nodev /proc/self/fd/{descriptor} /run/x/state"]
    with pytest.raises(Refusal):
        mounts.stage_state(bin_.tools(mount="exit 1"), os.open(tmp_path, os.O_PATH), "/run/x/state")


def test_terminals_are_an_instance_of_their_own_that_gains_nothing(tmp_path: Path) -> None:
    bin_ = Bin(tmp_path / "bin")
    mounts.stage_terminals(bin_.tools(), "/run/x/terminals")
    (call,) = bin_.calls()
    assert call.startswith("mount -t devpts -o ") and call.endswith(" devpts /run/x/terminals")
    options = call.split()[4].split(",")
    assert {"newinstance", "ptmxmode=0666", "mode=0620", "nosuid", "noexec"} <= set(options)
    with pytest.raises(Refusal) as caught:
        mounts.stage_terminals(bin_.tools(mount="echo 'no way' >&2; exit 32"), "/run/x/terminals")
    assert caught.value.status == EX_UNAVAILABLE and "no way" in caught.value.what


def test_unmounting_what_is_not_mounted_is_fine(tmp_path: Path) -> None:
    bin_ = Bin(tmp_path / "bin")
    mounts.unstage(bin_.tools(umount="exit 32"), ["/a", "/b"])
    assert bin_.calls() == ["umount --no-canonicalize --lazy --quiet /a /b"]


def test_who_runs_the_tests_maps_to_itself() -> None:
    assert idmap_option(people.alice("/"), people.agent("/")) == "X-mount.idmap=u:0:0:4294967295 g:0:0:4294967295"
