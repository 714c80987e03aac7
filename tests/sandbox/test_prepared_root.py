"""The read-only system tree that sessions share, mounted for real where nobody else sees it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pi_agent.linux import mount_api
from pi_agent.sandbox import prepared_root
from pi_agent.sandbox.prepared_root import Content, Root
from tests.support.namespaces import alone, attach, mount_points_of, tmpfs
from tests.support.people import needs_root


class Machine:
    """A machine in a directory: what of its system is shown, and which system runs."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.place = top / "prepared"
        self.link = top / "current-system"
        self.shown = top / "etc"
        (self.shown / "deep").mkdir(parents=True)
        (self.shown / "file").write_text("of the system")
        (top / "lib64").symlink_to("usr/lib64")
        monkeypatch.setattr(prepared_root, "PLACE", str(self.place))
        monkeypatch.setattr(prepared_root, "SYSTEM", str(self.link))
        monkeypatch.setattr(prepared_root, "_SHOWN", (str(self.shown), str(top / "lib64"), str(top / "none")))

    def switch(self, system: str) -> None:
        """Run another system from now on."""
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(f"/nix/store/{system}")

    @property
    def root(self) -> Path:
        """Where the tree of the running system is."""
        return Path(prepared_root.look().path)

    def below(self, path: Path) -> Path:
        """Where the tree shows a path of the host."""
        return Path(f"{self.root}{path}")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_tree_is_named_after_the_system(machine: Machine) -> None:
    assert prepared_root.look() == Root(f"{machine.place}/system", None)
    machine.switch("abc-nixos-system-26.05")
    assert prepared_root.look() == Root(f"{machine.place}/abc-nixos-system-26.05", "/nix/store/abc-nixos-system-26.05")


def test_directories_are_shown_as_such_and_links_as_links(machine: Machine) -> None:
    assert prepared_root.content() == Content(
        (str(machine.shown),), ((str(machine.top / "lib64"), "usr/lib64"), ("/var/run", "/run"))
    )


def test_on_this_machine_no_place_of_users_is_shown() -> None:
    places = {
        "/",
        "/home",
        "/root",
        "/var",
        "/run",
        "/srv",
        "/mnt",
        "/proc",
        "/sys",
        "/dev",
        "/nix/var/nix/daemon-socket",
    }
    shown = prepared_root.content()
    assert shown.directories and not places & {*shown.directories, *(path for path, _ in shown.links)}


def mounted(act: Callable[[], None]) -> None:
    """Run act alone, after the tree was mounted."""

    def prepared() -> None:
        prepared_root.prepare()
        act()

    alone(prepared)


@needs_root
def test_the_tree_holds_what_is_shown_and_nobody_writes_there(machine: Machine) -> None:
    def act() -> None:
        assert prepared_root.look().is_mounted
        assert machine.place.stat().st_mode & 0o777 == 0o700
        assert machine.below(machine.shown / "file").read_text() == "of the system"
        assert os.readlink(machine.below(machine.top / "lib64")) == "usr/lib64"
        assert os.readlink(machine.root / "var/run") == "/run"
        with pytest.raises(OSError) as caught:
            machine.below(machine.shown / "new").touch()
        assert caught.value.errno == errno.EROFS
        assert os.listdir(f"{machine.root}{prepared_root.EMPTY_DIRECTORY}") == []
        assert Path(f"{machine.root}{prepared_root.EMPTY_FILE}").read_bytes() == b""
        for name in ("dev", "home", "proc", "root", "run", "sys", "var/lib", "var/tmp"):
            assert os.listdir(machine.root / name) == [], name

    mounted(act)


@needs_root
def test_mounts_below_are_shown_as_read_only_as_the_rest_and_later_ones_are_not(machine: Machine) -> None:
    def act() -> None:
        below = tmpfs(machine.shown / "deep")
        (below / "file").touch()
        prepared_root.prepare()
        shown = machine.below(below)
        assert os.listdir(shown) == ["file"]
        with pytest.raises(OSError) as caught:
            (shown / "new").touch()
        assert caught.value.errno == errno.EROFS
        (tmpfs(machine.shown / "deep/later") / "secret").touch()
        assert os.listdir(shown / "later") == []

    alone(act)


@needs_root
def test_preparing_again_changes_nothing(machine: Machine) -> None:
    def act() -> None:
        mounts, file = mount_points_of("self"), os.stat(machine.root / "var").st_ino
        prepared_root.prepare()
        assert (mount_points_of("self"), os.stat(machine.root / "var").st_ino) == (mounts, file)

    mounted(act)


@needs_root
def test_another_system_has_another_tree_and_who_has_the_earlier_one_keeps_it(machine: Machine) -> None:
    def act() -> None:
        machine.switch("one")
        prepared_root.prepare()
        root = os.open(machine.root, os.O_PATH)
        copy = machine.top / "session"
        copy.mkdir()
        attach(mount_api.clone(root, recursive=True), copy)
        earlier = machine.root
        machine.switch("two")
        assert not prepared_root.look().is_mounted
        prepared_root.prepare()
        assert prepared_root.look().is_mounted and machine.root.name == "two"
        assert not earlier.exists() and sorted(os.listdir(machine.place)) == ["two", "two.mounted"]
        assert Path(f"{copy}{machine.shown}/file").read_text() == "of the system"

    alone(act)


@needs_root
@pytest.mark.parametrize(
    "half", ["a directory", "a mount", "a mark of another system", "everything but the mark", "nothing but the mark"]
)
def test_what_was_left_half_done_is_done_again(machine: Machine, half: str) -> None:
    def act() -> None:
        machine.place.mkdir(mode=0o700)
        if half == "a directory":
            (machine.root / "left/by/a unit").mkdir(parents=True)
        elif half == "a mount":
            (tmpfs(machine.root) / "left").touch()
        elif half == "a mark of another system":
            (machine.place / "old.mounted").touch()
        else:
            prepared_root.prepare()
            if half == "everything but the mark":
                os.unlink(prepared_root.look().mark)
            else:
                mount_api.detach(str(machine.root))
            assert not prepared_root.look().is_mounted
        prepared_root.prepare()
        assert machine.below(machine.shown / "file").read_text() == "of the system"
        assert sorted(os.listdir(machine.place)) == ["system", "system.mounted"]

    alone(act)


@needs_root
@pytest.mark.parametrize("what", ["new", "clone", "set_attributes", "attach"])
def test_a_tree_that_is_not_whole_is_never_taken_for_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def failing(*_: object, **__: object) -> int:
        raise OSError(errno.EPERM, "Operation not permitted")

    def act() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(mount_api, what, failing)
            with pytest.raises(PermissionError):
                prepared_root.prepare()
        assert not prepared_root.look().is_mounted
        prepared_root.prepare()
        assert prepared_root.look().is_mounted

    alone(act)
