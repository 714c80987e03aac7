"""Entering the mount namespace of another process, for real."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pi_agent.linux.mount_namespaces import entered
from pi_agent.python.c_library import checked
from tests.support.limits import open_descriptors
from tests.support.namespaces import Unit, alone, apart, mount_points_of, tmpfs
from tests.support.people import needs_root

pytestmark = needs_root


def with_unit(tmp_path: Path, act: Callable[[Unit], None]) -> None:
    """Run act with a process whose root is a file system of its own, in which there is a file `inside`."""

    def check() -> None:
        root = tmpfs(tmp_path / "root")
        (root / "inside").touch()
        with apart(root) as unit:
            act(unit)

    alone(check)


def test_while_entered_all_paths_are_the_units_and_afterwards_our_own_again(tmp_path: Path) -> None:
    def act(unit: Unit) -> None:
        os.chdir(tmp_path)
        before = open_descriptors()
        with entered(unit.descriptor):
            assert os.listdir("/") == ["inside"]
            assert os.readlink(str(unit.descriptor)).startswith("anon_inode:"), "of the host's /proc/self/fd"
        assert os.getcwd() == str(tmp_path) and os.path.exists("/proc/self")
        assert open_descriptors() == before

    with_unit(tmp_path, act)


def test_what_is_opened_there_stays_open_and_what_is_mounted_there_is_not_here(tmp_path: Path) -> None:
    def act(unit: Unit) -> None:
        before = mount_points_of("self")
        with entered(unit.descriptor):
            tmpfs(Path("/mounted"))
            inside = os.open("/mounted", os.O_PATH)
        assert os.listdir(f"/proc/self/fd/{inside}") == []
        assert mount_points_of("self") == before
        assert "/mounted" in mount_points_of(unit.number)

    with_unit(tmp_path, act)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_error_in_there_ends_it_as_well(tmp_path: Path, error: BaseException) -> None:
    def act(unit: Unit) -> None:
        with pytest.raises(type(error)), entered(unit.descriptor):
            raise error
        assert os.path.exists("/proc/self")

    with_unit(tmp_path, act)


def test_a_signal_waits_until_it_is_over(tmp_path: Path) -> None:
    def act(unit: Unit) -> None:
        seen: list[bool] = []
        signal.signal(signal.SIGTERM, lambda *_: seen.append(os.path.exists("/proc/self")))
        with entered(unit.descriptor):
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == []
        assert seen == [True], "its handler sees the host"

    with_unit(tmp_path, act)


def test_a_process_that_has_ended_cannot_be_entered_and_nothing_has_changed(tmp_path: Path) -> None:
    def act() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        descriptor = os.pidfd_open(child)
        os.waitpid(child, 0)
        before, mask = open_descriptors(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with pytest.raises(OSError), entered(descriptor):
            pytest.fail("it was entered")
        assert open_descriptors() == before
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask

    alone(act)


def test_who_cannot_return_does_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever follows is meant for the host."""
    after = tmp_path / "after"
    ended: list[int] = []

    def act() -> None:
        root = tmpfs(tmp_path / "root")
        with apart(root) as unit:
            child = os.fork()
            if child == 0:
                calls: list[int] = []

                def failing(result: int) -> int:
                    calls.append(result)
                    if len(calls) == 2:
                        raise OSError(1, "Operation not permitted")
                    return checked(result)

                monkeypatch.setattr("pi_agent.linux.mount_namespaces.checked", failing)
                with entered(unit.descriptor):
                    pass
                after.touch()
                os._exit(0)
            ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            assert ended == [70]

    alone(act)
    assert not after.exists()
