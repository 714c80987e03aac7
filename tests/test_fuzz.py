"""Every fuzz target for a moment, from fixed seeds. `make fuzz` runs longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import SEEDS, TARGETS
from tests.support.checkout import TOP

_BROKEN = """
import sys
from tests.fuzz import targets

def broken(content):
    assert content[:2] != b"st", "found"

targets.TARGETS["launch_report"] = broken
from tests.fuzz.__main__ import main
main(*sys.argv[1:])
"""


def fuzz(tmp: Path, *start: str) -> subprocess.CompletedProcess[str]:
    options = ("-runs=10000", "-seed=1", f"-artifact_prefix={tmp}/")
    return subprocess.run([sys.executable, *start, *options], cwd=TOP, capture_output=True, text=True, check=False)


def test_every_target_has_inputs_to_begin_with() -> None:
    assert SEEDS.keys() == TARGETS.keys()
    for name, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_found_that_a_target_fails_for(tmp_path: Path, name: str) -> None:
    done = fuzz(tmp_path, "-m", "tests.fuzz", name)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 10000 runs" in done.stderr


def test_an_input_that_a_target_fails_for_is_found_and_kept(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "-c", _BROKEN, "launch_report")
    assert done.returncode == 77
    assert "AssertionError: found" in done.stdout + done.stderr
    [crash] = tmp_path.glob("crash-*")
    assert crash.read_bytes()[:2] == b"st"


def test_an_unknown_target_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "-m", "tests.fuzz", "nothing")
    assert done.returncode == 1
    assert all(name in done.stderr for name in TARGETS)
