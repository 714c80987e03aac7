"""The control group of a session's unit, in a directory that stands in for the kernel's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pi_agent.python.records import values
from pi_agent.session import control_group
from tests.support.control_groups import groups, unit

_BELOW = ["", "/system.slice/container.service"]


@pytest.mark.parametrize("below", _BELOW)
def test_the_process_is_found_by_the_units_control_group(tmp_path: Path, below: str) -> None:
    unit(tmp_path, os.getpid(), below=below)
    number, process = control_group.process_of("u.service", groups(tmp_path, f"1:name=x:/x\n0::{below}/init.scope\n"))
    assert number == os.getpid()
    text = Path(f"/proc/self/fdinfo/{process}").read_text()
    os.close(process)
    assert f"\nPid:\t{os.getpid()}\n" in text


def test_a_unit_without_a_process_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        control_group.process_of("u.service", groups(tmp_path))
    unit(tmp_path)
    with pytest.raises(ProcessLookupError):
        control_group.process_of("u.service", groups(tmp_path))


@pytest.mark.parametrize("below", _BELOW)
def test_a_unit_is_gone_with_its_last_process_or_with_its_control_group(tmp_path: Path, below: str) -> None:
    there = groups(tmp_path, f"0::{below}/init.scope\n")
    assert control_group.is_gone("u.service", there)
    group = unit(tmp_path, 1, below=below)
    assert not control_group.is_gone("u.service", there)
    unit(tmp_path, below=below)
    assert control_group.is_gone("u.service", there)
    (group / "cgroup.events").unlink()
    assert control_group.is_gone("u.service", there)


def test_where_it_cannot_be_read_nobody_says_that_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = groups(tmp_path)
    group = unit(tmp_path, 1)
    (group / "cgroup.events").unlink()
    (group / "cgroup.events").mkdir()
    with pytest.raises(IsADirectoryError):
        control_group.is_gone("u.service", there)


def test_a_control_group_that_is_being_removed_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(control_group, "path", lambda unit, machine: str(tmp_path))
    monkeypatch.setattr("builtins.open", fail)
    assert control_group.is_gone("u.service")


def test_the_real_machine_is_the_default() -> None:
    assert values(control_group.MACHINE) == ("/sys/fs/cgroup", "/proc/1/cgroup")
