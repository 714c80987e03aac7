"""A project in which a session leaves something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.left_behind import Left


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)
