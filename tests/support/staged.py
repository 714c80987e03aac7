"""Directories of sessions, as a runner makes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pi_agent.session.session_names import Session


def place_of(staging: Path, uid: int = 1000) -> Path:
    """The directory of the sessions of the user with this uid, made as a session would make it."""
    staging.mkdir(mode=0o700, exist_ok=True)
    (staging / str(uid)).mkdir(mode=0o700)
    return staging / str(uid)


def left_in(staging: Path) -> list[str]:
    """What is left of sessions, without the users' own empty directories.

    A guard may be removing it: os.walk skips what vanishes.
    """
    if not staging.exists():
        return []
    (_, _, files), *below = os.walk(staging)
    return [*files, *(f"{folder}/{name}" for folder, *kinds in below for names in kinds for name in names)]


def session_in(directory: Path, name: str = "pi-agent-alice-0") -> Session:
    """A session with an empty directory."""
    (directory / name).mkdir(parents=True)
    return Session(f"{name}.service", f"{directory}/{name}")


def fill(own: Session) -> None:
    """The content of a session, with links that must not be followed."""
    fill_more(own)
    Path(own.lock).write_text("x")
    Path(f"{own.directory}/bin").symlink_to("/usr/bin")
    Path(f"{own.directory}/dangling").symlink_to("/nonexistent")


def fill_more(own: Session) -> None:
    """The content of a session that has its lock."""
    for path in (own.request, own.about):
        Path(path).write_text("x")
    os.mkfifo(own.report)


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for the condition."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
