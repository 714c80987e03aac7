"""Mount points in a session's namespace, made for real, in a root that other sessions share."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pi_agent.linux import mount_api
from pi_agent.linux.mount_namespaces import entered
from pi_agent.sandbox import prepared_root
from pi_agent.sandbox.mount_points import MountPoints
from pi_agent.sandbox.prepared_root import Content, Root
from tests.support.limits import open_descriptors
from tests.support.namespaces import Unit, alone, apart, tmpfs
from tests.support.people import needs_root

pytestmark = needs_root


class Session:
    """A session as systemd starts it: its root is the prepared one, read-only, with /run and /home of its own."""

    def __init__(self, shared: Path, unit: Unit) -> None:
        self.shared = shared
        self.unit = unit

    def furnish(self, *paths: str, directory: bool = True, inside: Callable[[], None] = lambda: None) -> None:
        """Attach an empty file system, or file, at each path; then run inside in the namespace."""
        prepared = os.open(self.shared, os.O_PATH | os.O_DIRECTORY)
        before = open_descriptors()
        try:
            with entered(self.unit.descriptor):
                with MountPoints(prepared) as points:
                    for path in paths:
                        kind = points.at(path, directory=directory)
                        assert stat.S_ISDIR(os.fstat(kind).st_mode) == directory
                        if directory:
                            tree = mount_api.new("tmpfs", {}, 0)
                            mount_api.attach(tree, kind)
                            os.close(tree)
                inside()
            assert open_descriptors() == before
        finally:
            os.close(prepared)


def with_sessions(tmp_path: Path, count: int, act: Callable[..., None]) -> None:
    """Run act with sessions that share a prepared root."""

    def check() -> None:
        tmpfs(tmp_path / "top")
        root = Root(str(tmp_path / "top/root"), None)
        (tmp_path / "etc/deep").mkdir(parents=True)
        prepared_root._mount(root, Content((), (("/bin", "usr/bin"), ("/var/run", "/run"))))
        os.mkdir(f"{root.path}/etc")
        sessions = []
        units = []
        for number in range(count):
            view = tmp_path / f"top/view-{number}"
            view.mkdir()
            source = os.open(root.path, os.O_PATH)
            tree = mount_api.clone(source)
            mount_api.set_attributes(tree, mount_api.RDONLY)
            target = os.open(view, os.O_PATH)
            mount_api.attach(tree, target)
            for name in ("home", "run"):
                tmpfs(view / name)
            _read_only(view / "home")
            for descriptor in (source, tree, target):
                os.close(descriptor)
            context = apart(view)
            units.append(context)
            sessions.append(Session(Path(root.path), context.__enter__()))
        try:
            act(*sessions)
        finally:
            for context in units:
                context.__exit__(None, None, None)

    alone(check)


def _read_only(place: Path) -> None:
    descriptor = os.open(place, os.O_PATH)
    mount_api.set_attributes(descriptor, mount_api.RDONLY)
    os.close(descriptor)


def writes(path: str) -> int | None:
    """Why nothing can be made at the path; None if something can."""
    try:
        os.mkdir(path)
    except OSError as error:
        return error.errno
    os.rmdir(path)
    return None


@pytest.mark.parametrize(
    "path",
    [
        "/home/alice/projects",
        "/srv",
        "/srv/deep/er",
        "/var/lib/pi-agent",
        "/var/lib/x/y",
        "/new/top level/directory",
        '/a "quoted" \\ name/%h:x',
        "/run/media/alice/disk",
        "/opt",
    ],
)
def test_what_is_missing_is_made_and_only_what_is_attached_can_be_written(tmp_path: Path, path: str) -> None:
    def act(session: Session) -> None:
        def inside() -> None:
            assert writes(f"{path}/made") is None
            above = os.path.dirname(path)
            while above != "/" and not above.startswith("/run"):  # that is the unit's own
                assert writes(f"{above}/made") == errno.EROFS, above
                above = os.path.dirname(above)
            assert writes("/made") == errno.EROFS

        session.furnish(path, inside=inside)

    with_sessions(tmp_path, 1, act)


def test_a_file_gets_a_file_to_be_mounted_on(tmp_path: Path) -> None:
    def act(session: Session) -> None:
        session.furnish("/etc-of-others/secret", "/file", directory=False)
        assert (session.shared / "file").read_bytes() == b""

    with_sessions(tmp_path, 1, act)


def test_several_places_below_one_are_made_in_one_file_system(tmp_path: Path) -> None:
    def act(session: Session) -> None:
        paths = ("/home/alice/a/b", "/home/alice/c", "/home/data", "/srv/x/y", "/srv/z")

        def inside() -> None:
            assert sorted(os.listdir("/home")) == ["alice", "data"] and sorted(os.listdir("/home/alice")) == ["a", "c"]
            assert sorted(os.listdir("/srv")) == ["x", "z"]
            assert all(writes(f"{path}/made") is None for path in paths)

        session.furnish(*paths, inside=inside)

    with_sessions(tmp_path, 1, act)


def test_two_sessions_that_need_the_same_new_directory_see_nothing_of_each_other(tmp_path: Path) -> None:
    def act(one: Session, other: Session) -> None:
        one.furnish("/srv/of-alice/x", "/var/lib/shared/of-alice")
        other.furnish("/srv/of-bob/x", "/var/lib/shared/of-bob")
        for session, own in ((one, "of-alice"), (other, "of-bob")):
            with entered(session.unit.descriptor):
                assert os.listdir("/srv") == os.listdir("/var/lib/shared") == [own]
        assert os.listdir(one.shared / "srv") == os.listdir(one.shared / "var/lib") == []

    with_sessions(tmp_path, 2, act)


@pytest.mark.parametrize("path", ["/bin/x", "/var/run/x", "/home/alice/link/x", "/home/alice/link"])
def test_no_link_is_followed_and_nothing_is_made_where_it_leads(tmp_path: Path, path: str) -> None:
    """The agent's other session may have put it there: in the project, beneath which a further path lies."""

    def act(session: Session) -> None:
        def plant() -> None:
            os.symlink("/run", "/home/alice/link")

        session.furnish("/home/alice", inside=plant)
        with pytest.raises(OSError) as caught:
            session.furnish(path)
        assert caught.value.errno == errno.ELOOP and caught.value.filename == path
        with entered(session.unit.descriptor):
            assert os.listdir("/run") == []

    with_sessions(tmp_path, 1, act)


@pytest.mark.parametrize("directory", [True, False])
def test_nothing_is_made_in_what_was_attached(tmp_path: Path, directory: bool) -> None:
    """A further path that has vanished from the project is missing there."""

    def act(session: Session) -> None:
        session.furnish("/home/alice")
        with pytest.raises(FileNotFoundError):
            session.furnish("/home/alice/gone/deep", directory=directory)
        with entered(session.unit.descriptor):
            assert os.listdir("/home/alice") == []

    with_sessions(tmp_path, 1, act)


def test_nothing_is_hidden_to_make_room(tmp_path: Path) -> None:
    """A read-only directory with something in it stays as it is."""

    def act(session: Session) -> None:
        def fill() -> None:
            Path("/home/full/something").touch()
            _read_only(Path("/home/full"))

        session.furnish("/home/full", inside=fill)
        with pytest.raises(OSError) as caught:
            session.furnish("/home/full/new")
        assert caught.value.errno == errno.EROFS
        with entered(session.unit.descriptor):
            assert os.listdir("/home/full") == ["something"]

    with_sessions(tmp_path, 1, act)
