"""The runner once more. How it sees a session out is tested with the shell that becomes it (test_attendance.py)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_SOFTWARE
from tests.support.interpreters import importing

_MAIN = "from pi_agent.cli import resumption; resumption.main()"


@pytest.mark.parametrize("content", [None, "", "[]", "[1, 2, 3]", "\0"])
def test_what_cannot_be_read_back_is_told_without_a_traceback(tmp_path: Path, content: str | None) -> None:
    """The process then ends, and its guard cleans up."""
    if content is not None:
        (tmp_path / "unfinished").write_text(content)
    words = [importing(tmp_path / "python"), "-I", "-c", _MAIN, "pi-x", str(tmp_path), "news"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == EX_SOFTWARE
    assert done.stderr.startswith("pi-x: ") and "Traceback" not in done.stderr
    assert done.stdout == ""
