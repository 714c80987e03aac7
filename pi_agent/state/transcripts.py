"""Finds and opens Pi's transcripts in a host user's own tree, as its owner. The host user cannot read that tree.

The agent writes the tree, so it may hold anything. Only regular files named `*.jsonl` with one hard link are read.
No link is followed, and everything has a limit.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

import orjson

from pi_agent.linux import directories
from pi_agent.linux.signatures import signature_of
from pi_agent.messages import command_output, reasons
from pi_agent.state import scans
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

FILE_AT_MOST: Final = 512 * 1024**2  # bytes
SUFFIX: Final = ".jsonl"
_PLACE: Final = f"{PI_AGENT_DIRECTORY}/sessions"
_HEAD_AT_MOST: Final = 1 << 16
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Size in bytes and mtime in nanoseconds.
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript. name: its relative path; stamp: its size and the time of its last change."""

    name: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Found:
    """transcripts: sorted by name. skipped: (relative path, reason) of files that only look like transcripts."""

    transcripts: tuple[Transcript, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a transcript: the directory in which Pi was started, and the user's first message."""

    directory: str | None = None
    first: str | None = None


def open_place(state: State) -> int | None:
    """Open the directory of the transcripts; None if it does not exist. Must run as the owner."""
    try:
        return directories.enter_path(state.home, _PLACE)
    except OSError as error:
        if error.errno not in directories.GONE:
            raise
        return None


def find(top: int) -> Found:
    """The transcripts below the open directory top. Must run as the owner."""
    found: list[Transcript] = []
    skipped: list[tuple[str, str]] = []

    def descend(name: str) -> bool:
        if os.path.basename(name).startswith(directories.OURS):
            return False
        if name.count("/") < scans.DEPTH_AT_MOST:
            return True
        skipped.append((name, command_output.TOO_DEEP))
        return False

    for number, (name, status) in enumerate(scans.walked(top, descend)):
        if number >= scans.ENTRIES_AT_MOST:
            skipped.append(("", command_output.too_many_entries(scans.ENTRIES_AT_MOST)))
            break
        if not name.endswith(SUFFIX) or stat.S_ISDIR(status.st_mode):
            continue
        if why := unfit(status):
            skipped.append((name, why))
        else:
            found.append(Transcript(name, stamp_of(status)))
    return Found(tuple(sorted(found, key=lambda each: each.name)), tuple(skipped))


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a stat result."""
    _, size, modified, _ = signature_of(status)
    return size, modified


def unfit(status: os.stat_result) -> str:
    """Why a file with that status does not count as a transcript; empty if it does."""
    if not stat.S_ISREG(status.st_mode):
        return reasons.NOT_A_REGULAR_FILE
    if status.st_nlink != 1:
        return command_output.HARD_LINKS
    if status.st_size > FILE_AT_MOST:
        return command_output.larger_than(FILE_AT_MOST // 1024**2)
    return ""


def open_one(top: int, name: str) -> int:
    """Open a transcript for reading, if it still is one. Must run as the owner.

    Raises OSError, whose strerror is for the user.
    """
    folder, _, last = name.rpartition("/")
    directory = directories.enter_path(top, folder)
    try:
        descriptor = os.open(last, _OPEN, dir_fd=directory)
    finally:
        os.close(directory)
    if why := unfit(os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(0, why)
    return descriptor


def head(top: int, name: str) -> Head:
    """The beginning of a transcript, as far as it can be read. Must run as the owner."""
    try:
        descriptor = open_one(top, name)
    except OSError:
        return Head()
    try:
        return parsed(os.pread(descriptor, _HEAD_AT_MOST, 0))
    finally:
        os.close(descriptor)


def parsed(content: bytes) -> Head:
    """The beginning of a transcript, from its first lines. The last line may be cut off.

    Lines that Pi did not write are ignored.
    """
    directory = first = None
    for line in content.split(b"\n"):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        match entry:
            case {"type": "session", "cwd": str(cwd)} if directory is None:
                directory = cwd
            case {"type": "message", "message": {"role": "user", "content": said}}:
                first = _text(said)
        if first is not None:
            break
    return Head(directory, first)


def _text(said: object) -> str | None:
    match said:
        case str():
            return said
        case [*parts]:
            return next((text for part in parts if (text := _text_of_part(part)) is not None), None)
    return None


def _text_of_part(part: object) -> str | None:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    return None
