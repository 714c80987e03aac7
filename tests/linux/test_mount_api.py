"""The kernel's mount API for real, in a mount namespace that nobody else sees."""

from __future__ import annotations

import builtins
import errno
import os
import resource
import select
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pi_agent.linux import mount_api
from tests.support.namespaces import alone, mounted, tmpfs
from tests.support.people import needs_root

pytestmark = needs_root


def refused(number: int, act: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        act()
    assert caught.value.errno == number


def opened(path: Path) -> int:
    return os.open(path, os.O_PATH | os.O_NOFOLLOW)


def test_a_clone_shows_the_object_it_was_made_of_wherever_that_went(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "source/below").mkdir(parents=True)
        (tmp_path / "source/below/file").write_text("x")
        (tmp_path / "target").mkdir()
        source, target = opened(tmp_path / "source/below"), opened(tmp_path / "target")
        (tmp_path / "source").rename(tmp_path / "moved")
        (tmp_path / "source").symlink_to("/etc")
        (tmp_path / "target").rename(tmp_path / "elsewhere")
        (tmp_path / "target").symlink_to("/etc")
        tree = mount_api.clone(source)
        mount_api.attach(tree, target)
        os.close(tree)
        assert os.listdir(tmp_path / "elsewhere") == ["file"]
        assert not mounted("/etc")

    alone(act)


def test_a_file_is_mounted_over_a_file_and_not_over_a_directory(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "source").write_text("x")
        (tmp_path / "file").write_text("y")
        (tmp_path / "directory").mkdir()
        tree = mount_api.clone(opened(tmp_path / "source"))
        refused(errno.EINVAL, lambda: mount_api.attach(tree, opened(tmp_path / "directory")))
        mount_api.attach(tree, opened(tmp_path / "file"))
        assert (tmp_path / "file").read_text() == "x"

    alone(act)


def test_attributes_hold_for_the_clone_alone(tmp_path: Path) -> None:
    def act() -> None:
        source, target = tmpfs(tmp_path / "source"), tmp_path / "target"
        target.mkdir()
        tree = mount_api.clone(opened(source))
        mount_api.set_attributes(tree, mount_api.RDONLY)
        mount_api.set_attributes(tree, mount_api.NOSUID | mount_api.NODEV | mount_api.NOEXEC)
        mount_api.attach(tree, opened(target))
        assert {"ro", "nosuid", "nodev", "noexec"} <= mounted(target), "each adds to the others"
        refused(errno.EROFS, (target / "x").touch)
        assert not {"ro", "nosuid"} & mounted(source)
        (source / "x").touch()

    alone(act)


def test_a_clone_that_was_mounted_nowhere_leaves_nothing(tmp_path: Path) -> None:
    def act() -> None:
        source = tmpfs(tmp_path / "source")
        before = Path("/proc/self/mountinfo").read_text()
        os.close(mount_api.clone(opened(source)))
        assert Path("/proc/self/mountinfo").read_text() == before
        refused(errno.EBADF, lambda: mount_api.clone(-2))

    alone(act)


def test_detaching_takes_what_is_in_use_and_all_below_and_minds_no_absence(tmp_path: Path) -> None:
    def act() -> None:
        top = tmpfs(tmp_path / "top")
        tmpfs(top / "below")
        in_use = os.open(top / "below", os.O_RDONLY)
        (tmp_path / "link").symlink_to("top")
        mount_api.detach(str(tmp_path / "link"))
        assert mounted(top) and mounted(top / "below"), "a link is not followed"
        mount_api.detach(str(top))
        assert not mounted(top) and not mounted(top / "below")
        os.close(in_use)
        mount_api.detach(str(top))
        mount_api.detach(str(tmp_path / "none"))
        (tmp_path / "file").touch()
        mount_api.detach(str(tmp_path / "file"))
        refused(errno.ENOTDIR, lambda: mount_api.detach(str(tmp_path / "file/x")))

    alone(act)


def test_a_new_devpts_is_another_instance_with_its_options(tmp_path: Path) -> None:
    def act() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            options = {"mode": "0620", "ptmxmode": "0666", "gid": "5"}
            tree = mount_api.new("devpts", options, mount_api.NOSUID | mount_api.NOEXEC)
            mount_api.attach(tree, opened(tmp_path / name))
            os.close(tree)
            assert {"nosuid", "noexec"} <= mounted(tmp_path / name)
            assert stat.S_IMODE((tmp_path / name / "ptmx").stat().st_mode) == 0o666
        master = os.open(tmp_path / "one/ptmx", os.O_RDWR | os.O_NOCTTY)
        status = (tmp_path / "one/0").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o620, 5)
        assert os.listdir(tmp_path / "two") == ["ptmx"]
        assert len({os.stat(path).st_dev for path in (tmp_path / "one", tmp_path / "two", "/dev/pts")}) == 3
        os.close(master)

    alone(act)


def test_what_the_kernel_does_not_know_is_an_error_and_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    refused(errno.ENODEV, lambda: mount_api.new("nonsense", {}, 0))
    refused(errno.EINVAL, lambda: mount_api.new("devpts", {"mode": "nonsense"}, 0))
    assert os.listdir("/proc/self/fd") == before


# -- user namespaces

_MAPS = ("0 0 10\n10 2000 5\n", "0 7 1\n"), ("0 0 1\n990 991 1\n", "980 981 1\n")


def ids_in(namespace: int, name: str) -> list[str]:
    """The uid_map or gid_map of the namespace, as a process sees it that enters."""
    shown = subprocess.run(
        ["nsenter", f"--user=/proc/self/fd/{namespace}", "--preserve-credentials", "cat", f"/proc/self/{name}"],
        pass_fds=[namespace], capture_output=True, check=True, text=True,
    )  # fmt: skip
    return shown.stdout.split()


def nothing_is_left_of(act: Callable[[], None]) -> None:
    """Neither a descriptor nor a child; and signals arrive as before."""
    before, blocked = os.listdir("/proc/self/fd"), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    children = Path("/proc/self/task", str(threading.get_native_id()), "children")
    others = children.read_text()  # of earlier tests
    act()
    assert os.listdir("/proc/self/fd") == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == blocked
    assert set(children.read_text().split()) <= set(others.split())


def test_a_user_namespace_has_the_maps_of_the_hosts_ids_and_nobody_in_it() -> None:
    def act() -> None:
        made = [mount_api.user_namespace(*maps) for maps in _MAPS]
        for namespace, maps in zip(made, _MAPS, strict=True):
            assert not os.get_inheritable(namespace)
            for name, expected in zip(("uid_map", "gid_map"), maps, strict=True):
                assert ids_in(namespace, name) == expected.split()
            os.close(namespace)

    nothing_is_left_of(act)


@pytest.mark.parametrize("maps", [("0 0 2\n1 1 1\n", "0 0 1\n"), ("0 0 1\n", "nonsense\n")])
def test_maps_that_the_kernel_refuses_are_an_error(maps: tuple[str, str]) -> None:
    nothing_is_left_of(lambda: refused(errno.EINVAL, lambda: mount_api.user_namespace(*maps)))


def test_where_no_process_can_be_made_that_is_the_error() -> None:
    def act() -> None:
        os.setresuid(65533, 65533, 65533)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        nothing_is_left_of(lambda: refused(errno.EAGAIN, lambda: mount_api.user_namespace(*_MAPS[0])))

    alone(act)


def in_a_runner(meanwhile: Callable[[int], None]) -> tuple[bytes, bool]:
    """Make a user namespace in a process of its own. `meanwhile` gets the helper's pid when its maps are to be written.

    Returns what was written by a helper that came back from the call, and whether the helper ended.
    """
    listen, tell = os.pipe()
    runner = os.fork()
    if runner == 0:
        us, opening = os.getpid(), open

        def opened(path: str, *arguments: Any, **options: Any) -> Any:
            if path.startswith("/proc/") and path.endswith("/uid_map"):
                os.write(tell, path.split("/")[2].encode() + b" ")
                os.close(tell)  # from here on, only a helper can hold it
                meanwhile(int(path.split("/")[2]))
            return opening(path, *arguments, **options)

        try:
            os.close(listen)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            pytest.MonkeyPatch().setattr(builtins, "open", opened)
            mount_api.user_namespace("0 0 1\n", "0 0 1\n")
        except BaseException:
            if os.getpid() != us:
                os.write(tell, b"came back")
        finally:
            os._exit(0)
    os.close(tell)
    said, ended = b"", False
    while not ended and select.select([listen], [], [], 3)[0]:
        got = os.read(listen, 100)
        said, ended = said + got, not got
    os.close(listen)
    os.waitpid(runner, 0)
    number, _, words = said.partition(b" ")
    assert number, "the maps were to be written"
    if not ended:
        os.kill(int(number), signal.SIGKILL)
    return words, ended


def test_a_runner_that_is_killed_meanwhile_leaves_no_process() -> None:
    assert in_a_runner(lambda helper: os.kill(os.getpid(), signal.SIGKILL)) == (b"", True)


def test_the_helper_never_runs_what_is_the_runners() -> None:
    """Ctrl-C reaches the whole process group."""

    def interrupt(helper: int) -> None:
        os.kill(helper, signal.SIGINT)
        select.select([], [], [], 0.5)  # waiting is not possible: a deaf helper does nothing at all

    assert in_a_runner(interrupt) == (b"", True)
