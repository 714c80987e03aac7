"""Staging directories of sessions, as a runner makes them."""

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
    (_, _, files), *below = os.walk(staging)
    return [*files, *(f"{folder}/{name}" for folder, *kinds in below for names in kinds for name in names)]


def session_in(directory: Path, name: str = "pi-agent-alice-0") -> Session:
    """A session with an empty staging directory."""
    (directory / name).mkdir(parents=True)
    return Session(f"{name}.service", f"{directory}/{name}")


def fill(own: Session) -> None:
    """The content of a session, with links that must not be followed."""
    for directory in (*own.mounts, f"{own.root}/deep/er", f"{own.extras}/0", own.empty[0]):
        os.makedirs(directory)
    for path in (f"{own.extras}/1", own.empty[1], own.argv, own.environment, own.lock):
        Path(path).write_text("x")
    os.mkfifo(own.report)
    Path(f"{own.root}/bin").symlink_to("/usr/bin")
    Path(f"{own.root}/dangling").symlink_to("/nonexistent")


def fill_more(own: Session) -> None:
    """The same for a session that has its lock."""
    for directory in (*own.mounts, own.root):
        os.mkdir(directory)
    Path(own.argv).write_text("x")


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for the condition."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
