"""The control group of a session's unit: its processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.session import control_group
from tests.support.groups import machine, unit


@pytest.mark.parametrize("below", ["", "/system.slice/container.service"])
def test_the_process_is_found_by_the_units_control_group(tmp_path: Path, below: str) -> None:
    unit(tmp_path, os.getpid(), below=below)
    there = machine(tmp_path, groups=f"1:name=systemd:/x\n0::{below}/init.scope\n")
    number, process = control_group.process_of("u.service", there)
    assert number == os.getpid()
    text = Path(f"/proc/self/fdinfo/{process}").read_text()
    os.close(process)
    assert f"\nPid:\t{os.getpid()}\n" in text


def test_a_unit_without_a_process_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        control_group.process_of("u.service", machine(tmp_path))
    unit(tmp_path)
    with pytest.raises(ProcessLookupError):
        control_group.process_of("u.service", machine(tmp_path))


def test_a_unit_is_gone_when_its_group_is_or_has_no_process(tmp_path: Path) -> None:
    there = machine(tmp_path)
    assert control_group.is_gone("u.service", there)
    unit(tmp_path, os.getpid())
    events = Path(control_group.path("u.service", there)) / "cgroup.events"
    for populated in (True, False):
        events.write_text(f"populated {int(populated)}\nfrozen 0\n")
        assert control_group.is_gone("u.service", there) is not populated
