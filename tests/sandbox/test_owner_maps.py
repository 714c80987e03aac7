"""The maps of owners: as pure functions, and what a real kernel makes of them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages.refusal import EX_CONFIG, Refusal
from pi_agent.policy.accounts import Accounts
from pi_agent.sandbox import mounts
from pi_agent.sandbox.mounts import Extent, one_way
from tests.support.namespaces import alone, attach, mounted, tmpfs
from tests.support.people import needs_root
from tests.support.policies import replaced

_LAST: Final = 2**32 - 2  # the largest ID: (uid_t) -1 is not an ID
_EDGES: Final = [0, 1, 2, 995, 996, 997, 1000, 65534, 2**31 - 1, 2**31, _LAST - 1, _LAST]
_IDS: Final = st.sampled_from(_EDGES) | st.integers(0, _LAST)


def shown(extents: list[Extent], number: int) -> list[int]:
    """As which IDs an ID on disk is shown: none or one, if the map is sound."""
    return [e.shown + number - e.disk for e in extents if e.disk <= number < e.disk + e.count]


def on_disk(extents: list[Extent], number: int) -> list[int]:
    """Which IDs on disk are shown as this one."""
    return [e.disk + number - e.shown for e in extents if e.shown <= number < e.shown + e.count]


@given(_IDS, _IDS, _IDS)
def test_one_id_is_shown_as_the_other_and_all_but_the_two_as_themselves(disk: int, other: int, third: int) -> None:
    extents = one_way(disk, other)
    assert shown(extents, disk) == [other]
    assert on_disk(extents, other) == [disk]
    if third not in (disk, other):
        assert shown(extents, third) == [third] == on_disk(extents, third)


@given(_IDS, _IDS)
def test_there_is_no_way_back(disk: int, other: int) -> None:
    """A process with the host user's ID has none in the mount, and the agent's files on disk are nobody's."""
    extents = one_way(disk, other)
    if disk != other:
        assert on_disk(extents, disk) == []
        assert shown(extents, other) == []


@given(_IDS)
def test_equal_ids_leave_everything_as_it_is(same: int) -> None:
    assert one_way(same, same) == [Extent(0, 0, _LAST + 1)]


@given(_IDS, _IDS)
def test_the_kernel_takes_the_map_without_an_allocation(disk: int, other: int) -> None:
    """The kernel holds up to five extents in the structure itself (user_namespaces(7)). None is empty or overflows."""
    extents = one_way(disk, other)
    assert 1 <= len(extents) <= 4
    for extent in extents:
        assert extent.count >= 1
        assert max(extent.disk, extent.shown) + extent.count <= _LAST + 1
    covered = sum(extent.count for extent in extents)
    assert covered == (_LAST + 1 if disk == other else _LAST)


@pytest.mark.parametrize(
    ("disk", "other", "expected"),
    [
        (1000, 996, [(0, 0, 996), (1000, 996, 1), (997, 997, 3), (1001, 1001, 4294966294)]),
        (996, 1000, [(0, 0, 996), (996, 1000, 1), (997, 997, 3), (1001, 1001, 4294966294)]),
        (5, 5, [(0, 0, 4294967295)]),
        (0, 1, [(0, 1, 1), (2, 2, 4294967293)]),
        (7, 8, [(0, 0, 7), (7, 8, 1), (9, 9, 4294967286)]),
        (0, _LAST, [(0, _LAST, 1), (1, 1, 4294967293)]),
    ],
)
def test_one_way_by_example(disk: int, other: int, expected: list[tuple[int, int, int]]) -> None:
    assert [(extent.disk, extent.shown, extent.count) for extent in one_way(disk, other)] == expected


# -- for real

_NOBODY: Final = 65534  # /proc/sys/fs/overflowuid
_CALLER: Final = Identity("alice", 1000, 100, (100,), "/home/alice")
_AGENT: Final = Identity("pi-agent-alice", 996, 995, (995,), "/state")
_OWNER: Final = Identity("pi-agent", 990, 989, (989,), "/state")
_THIRD: Final = Identity("bob", 1001, 1001, (1001,), "/home/bob")
_ACCOUNTS: Final = Accounts(_CALLER, _AGENT, _OWNER)
_SOLE: Final = Accounts(_CALLER, _OWNER, _OWNER)
_SHARING_A_GROUP: Final = Accounts(_CALLER, replaced(_AGENT, gid=100, groups=(100,)), _OWNER)
_CANNOT_BE_MAPPED: Final = 77  # tmpfs before Linux 6.3; `alone` skips the test


class Mapped:
    """A directory on disk that everybody may write, with a file of each account, and a mapped mount of it."""

    def __init__(self, top: Path, accounts: Accounts, *, state: bool) -> None:
        self.disk, self.target = tmpfs(top / "disk"), top / "target"
        self.target.mkdir()
        self.disk.chmod(0o777)
        for name, who in (("caller", _CALLER), ("agent", _AGENT), ("owner", _OWNER), ("third", _THIRD)):
            self.put(name, who.uid, who.gid)
        self.put("root", 0, 0)
        owners = mounts.owner_maps(accounts)
        source = os.open(self.disk, os.O_PATH)
        tree, mapped = mounts.prepared(source, owners.state if state else owners.project)
        if not mapped:
            os._exit(_CANNOT_BE_MAPPED)
        owners.close()
        attach(tree, self.target)
        # Nobody else can enter pytest's own directories.
        self.inside, self.outside = (os.open(place, os.O_RDONLY) for place in (self.target, self.disk))

    def put(self, name: str, uid: int, gid: int) -> None:
        """A file of this owner, which everybody may write."""
        (self.disk / name).touch()
        (self.disk / name).chmod(0o666)
        os.chown(self.disk / name, uid, gid)

    def shown(self) -> dict[str, tuple[int, int]]:
        """The owners of the files, in the mount."""
        return owners(self.target)

    def created(self, who: Identity, at: int | None = None) -> tuple[int, int]:
        """The owner on disk of a file that the account creates there; in the mount, unless told otherwise."""
        with acting_as(who):
            os.close(os.open("made", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=self.inside if at is None else at))
        try:
            return owners(self.disk)["made"]
        finally:
            (self.disk / "made").unlink()

    @contextmanager
    def stays_as_it_is(self) -> Iterator[None]:
        """Nothing is added, renamed or given away on disk."""
        before = owners(self.disk)
        yield
        assert owners(self.disk) == before


def owners(directory: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in directory.iterdir()}


_WAYS_TO_CREATE: Final[dict[str, Callable[[int], object]]] = {
    "create": lambda top: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=top),
    "a file without a name": lambda top: os.open(".", os.O_TMPFILE | os.O_WRONLY, dir_fd=top),
    "mkdir": lambda top: os.mkdir("new", dir_fd=top),
    "symlink": lambda top: os.symlink("/etc", "new", dir_fd=top),
    "link": lambda top: os.link("third", "new", src_dir_fd=top, dst_dir_fd=top),
    "rename": lambda top: os.rename("third", "new", src_dir_fd=top, dst_dir_fd=top),
    "pipe": lambda top: os.mknod("new", stat.S_IFIFO | 0o600, dir_fd=top),
    "socket": lambda top: os.mknod("new", stat.S_IFSOCK | 0o600, dir_fd=top),
}


def creates_nothing(here: Mapped, who: Identity) -> None:
    with here.stays_as_it_is(), acting_as(who):
        for name, create in _WAYS_TO_CREATE.items():
            with pytest.raises(OSError) as caught:
                create(here.inside)
            assert caught.value.errno == errno.EOVERFLOW, name


@needs_root
@pytest.mark.parametrize("accounts", [_ACCOUNTS, _SOLE, _SHARING_A_GROUP])
def test_what_the_agent_creates_in_a_project_is_the_host_users(tmp_path: Path, accounts: Accounts) -> None:
    def act() -> None:
        here = Mapped(tmp_path, accounts, state=False)
        assert here.created(accounts.agent) == (_CALLER.uid, _CALLER.gid)
        assert here.shown()["caller"] == (accounts.agent.uid, accounts.agent.gid)
        assert {"nosuid", "nodev"} <= mounted(here.target)

    alone(act)


@needs_root
@pytest.mark.parametrize("accounts", [_ACCOUNTS, _SOLE, _SHARING_A_GROUP])
def test_the_host_user_creates_nothing_through_a_descriptor_of_the_mount(tmp_path: Path, accounts: Accounts) -> None:
    def act() -> None:
        here = Mapped(tmp_path, accounts, state=False)
        creates_nothing(here, _CALLER)
        creates_nothing(here, replaced(_CALLER, gid=_THIRD.gid))
        if accounts.agent.gid != _CALLER.gid:
            creates_nothing(here, replaced(_THIRD, gid=_CALLER.gid))
        assert here.created(_CALLER, at=here.outside) == (_CALLER.uid, _CALLER.gid), "as before, on the host's own path"

    alone(act)


@needs_root
def test_everybody_else_keeps_their_files_and_what_an_agent_owns_on_disk_is_nobodys(tmp_path: Path) -> None:
    def act() -> None:
        here = Mapped(tmp_path, _ACCOUNTS, state=False)
        assert here.shown() == {
            "caller": (_AGENT.uid, _AGENT.gid),
            "agent": (_NOBODY, _NOBODY),
            "owner": (_OWNER.uid, _OWNER.gid),
            "third": (_THIRD.uid, _THIRD.gid),
            "root": (0, 0),
        }
        assert here.created(_THIRD) == (_THIRD.uid, _THIRD.gid)
        with acting_as(_AGENT):
            with pytest.raises(OSError) as caught:
                os.chmod("agent", 0o600, dir_fd=here.inside)
            assert caught.value.errno == errno.EOVERFLOW
            os.chmod("caller", 0o600, dir_fd=here.inside)
        assert stat.S_IMODE((here.disk / "caller").stat().st_mode) == 0o600

    alone(act)


@needs_root
@pytest.mark.parametrize("accounts", [_ACCOUNTS, _SOLE])
def test_in_the_state_the_owners_files_are_the_agents_and_root_is_the_only_other(
    tmp_path: Path, accounts: Accounts
) -> None:
    def act() -> None:
        here = Mapped(tmp_path, accounts, state=True)
        nobodys = dict.fromkeys(("caller", "agent", "third"), (_NOBODY, _NOBODY))
        assert here.shown() == {**nobodys, "owner": (accounts.agent.uid, accounts.agent.gid), "root": (0, 0)}
        assert here.created(accounts.agent) == (_OWNER.uid, _OWNER.gid)
        for other in (_CALLER, _THIRD, replaced(accounts.agent, gid=_THIRD.gid), replaced(_THIRD, gid=989)):
            creates_nothing(here, other)
        if accounts.apart:
            creates_nothing(here, _OWNER)

    alone(act)


@needs_root
def test_a_host_user_whose_group_is_roots_gets_all_the_same(tmp_path: Path) -> None:
    def act() -> None:
        caller = replaced(_CALLER, gid=0, groups=(0,))
        accounts = replaced(_ACCOUNTS, caller=caller)
        assert Mapped(tmp_path / "project", accounts, state=False).created(_AGENT) == (1000, 0)
        assert Mapped(tmp_path / "state", accounts, state=True).created(_AGENT) == (990, 989)

    alone(act)


@needs_root
def test_a_file_system_that_cannot_map_owners_is_shown_as_it_is(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "target").mkdir()
        owners = mounts.owner_maps(_ACCOUNTS)
        tree, mapped = mounts.prepared(os.open("/proc", os.O_PATH), owners.project)
        attach(tree, tmp_path / "target")
        assert mapped is False
        assert (tmp_path / "target/self/comm").exists()
        assert {"nosuid", "nodev"} <= mounted(tmp_path / "target")

    alone(act)


@needs_root
def test_a_state_there_is_refused_unless_the_agent_owns_it() -> None:
    def act() -> None:
        proc = os.open("/proc", os.O_PATH)
        with pytest.raises(Refusal) as caught:
            mounts.prepared_state(proc, mounts.owner_maps(_ACCOUNTS).state, _ACCOUNTS)
        assert caught.value.status == EX_CONFIG and "cannot map owners" in caught.value.what
        assert mounts.prepared_state(proc, mounts.owner_maps(_SOLE).state, _SOLE)[1] is False

    alone(act)
