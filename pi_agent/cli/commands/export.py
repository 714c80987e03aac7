"""`--sandbox-export [DIR]`: the caller's Pi transcripts, copied out as the caller's own files.

The wrapper, as the host user, works out where to; the runner, as root, believes neither it nor the tree. It reads as
the agent (transcripts.py) and makes, writes and looks at everything in DIR as the caller. On the way to DIR a link is
followed only where nobody but root and the caller can change it: what lies in a project looks like the caller's, and
the agent may have put it there. Below DIR no link is followed. A file appears whole, of mode 0600, or not at all.

What was copied is remembered in DIR, in `_MEMORY`: so a file that changed there since is known, and is kept.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

import orjson

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.cli.parsing import Invocation
from pi_agent.linux import directories, files, paths, progress_bar, standard_error
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import command_refusals
from pi_agent.messages.quoting import escaped
from pi_agent.policy import project_roots
from pi_agent.policy.policy_file import Policy
from pi_agent.state import copying, transcripts, user_state
from pi_agent.state.copying import LimitExceeded, Source, Synced, Target
from pi_agent.state.scans import BYTES_AT_MOST
from pi_agent.state.transcripts import Found, Stamp, Transcript

_MEMORY: Final = ".exported.json"
_MEMORY_AT_MOST: Final = 32 * 1024**2  # bytes
_NOTICES_AT_MOST: Final = 20
_NEVER: Final = (-1, 0)  # a stamp that no file has
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def on_host(policy: Policy, invocation: Invocation) -> Sequence[str]:
    """What the runner is asked: where to is an absolute path. Raises Refusal (64)."""
    directory = invocation.values.get("DIR")
    if directory is None:
        from xdg import BaseDirectory  # the runner does not have it

        directory = f"{BaseDirectory.xdg_data_home}/pi-agent/sessions"
    elif not directory:
        raise command_refusals.export_directory_missing(policy.command_name)
    return [invocation.command.name, "--", os.path.abspath(directory)]


class Judgement(Enum):
    """What is to be done about a transcript."""

    COPY = "copy"
    UNCHANGED = "unchanged"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Remembered:
    """How a transcript and its copy stood when it was copied."""

    source: Stamp
    copy: Stamp


def judged(source: Stamp, copy: Stamp | None, before: Remembered | None) -> Judgement:
    """copy: what stands there, None for nothing. Only what we wrote, and nobody changed since, is written over."""
    if copy is None:
        return Judgement.COPY
    if copy == source or before == Remembered(source, copy):
        return Judgement.UNCHANGED
    return Judgement.COPY if before is not None and before.copy == copy else Judgement.KEEP


def run(call: Call) -> int:
    """Copy what is new or changed. Raises Refusal: 64 without an absolute DIR, 69 when that cannot be written."""
    where = call.invocation.values.get("DIR", "")
    if not where.startswith("/"):
        raise command_refusals.export_directory_missing(call.policy.command_name)
    export = _Export(call, where)
    own = user_state.existing(call.policy, call.agent, call.caller.name)
    with acting_as(call.agent):
        top = None if own is None else transcripts.open_place(own)
        found = Found((), ()) if top is None else transcripts.find(top)
    for name, why in found.passed_over:
        export.pass_over(name, why)
    if top is not None and found.transcripts:
        export.copy(top, found)
    export.report()
    return 0


class _Export:
    """One export and what came of it."""

    def __init__(self, call: Call, where: str) -> None:
        self._call = call
        self._where = where
        self._copied = self._unchanged = 0
        self._passed_over: list[tuple[str, str]] = []

    def pass_over(self, name: str, why: str) -> None:
        """Note what is not copied."""
        self._passed_over.append((name, why))

    def copy(self, top: int, found: Found) -> None:
        """Bring DIR up to what was found below the open directory top."""
        caller = self._call.caller
        try:
            with acting_as(caller):
                directory = open_directory(self._where, caller, _agents_places(self._call.policy, caller))
            try:
                self._bring_up(top, found, directory)
            finally:
                os.close(directory)
        except BlockingIOError as error:
            raise command_refusals.export_failed("another export into it is going on") from error
        except OSError as error:
            raise command_refusals.export_failed(error.strerror or str(error)) from error

    def _bring_up(self, top: int, found: Found, directory: int) -> None:
        caller, agent = self._call.caller, self._call.agent
        with acting_as(caller):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = _recall(directory)
            wanted = self._wanted(directory, found, before)
        now = dict(before)
        source = Source(agent, lambda name: transcripts.open_one(top, wanted[name]))
        try:
            with (
                directories.Trail(directory, _made) as trail,
                progress_bar.shown("copying transcripts", len(wanted)) as step,
            ):
                target = Target(caller, trail.open, executables=False)
                for batch in copying.transfer(sorted(wanted), source, target, BYTES_AT_MOST, step):
                    now.update((name, self._note(done)) for name, done in batch.copied)
                    self._passed_over += batch.left_out
        except LimitExceeded:
            self.pass_over("", f"{BYTES_AT_MOST // 1024**3} GiB were copied; run it again for the rest")
        finally:
            if now != before:
                with acting_as(caller):
                    files.replace(directory, _MEMORY, _as_json(now))

    def _note(self, done: Synced) -> Remembered:
        """Count a copy that was made, and return what is remembered of it."""
        source, copy = done.host[1:3], done.isolated[1:3]
        whole = copy[0] >= source[0]
        self._copied += whole
        # What was cut off is ours, and a copy of nothing that exists.
        return Remembered(source if whole else _NEVER, copy)

    def _wanted(self, directory: int, found: Found, before: Mapping[str, Remembered]) -> dict[str, str]:
        """What is to be copied: the copy's name → the transcript's. As the caller."""
        wanted: dict[str, str] = {}
        folders: dict[str, str] = {}  # those that cannot be used, and why
        for each in found.transcripts:
            name = shown_path(each.name)
            folder = os.path.dirname(name)
            if folder not in folders:
                taken = paths.contains(_MEMORY, folder)
                folders[folder] = "that name is ours" if taken else _unusable(directory, folder)
            if folders[folder]:
                self.pass_over(each.name, folders[folder])
                continue
            try:
                self._judge(directory, each, name, before.get(name), wanted)
            except OSError as error:  # a name that is too long once it is harmless
                self.pass_over(each.name, error.strerror or str(error))
        return wanted

    def _judge(
        self, directory: int, each: Transcript, name: str, before: Remembered | None, wanted: dict[str, str]
    ) -> None:
        copy = _standing(directory, name)
        if copy is not None and not stat.S_ISREG(copy.st_mode):
            self.pass_over(each.name, "something else of that name is there")
            return
        stamp = None if copy is None else transcripts.stamp_of(copy)
        match judged(each.stamp, stamp, before):
            case Judgement.COPY:
                wanted[name] = each.name
            case Judgement.UNCHANGED:
                self._unchanged += 1
            case Judgement.KEEP:
                self.pass_over(each.name, "its copy was changed by somebody else and was kept; move that away first")

    def report(self) -> None:
        """Say what came of it."""
        for name, why in self._passed_over[:_NOTICES_AT_MOST]:
            standard_error.say(self._call.policy.command_name, f"{escaped(name)}: {why}" if name else why)
        if len(self._passed_over) > _NOTICES_AT_MOST:
            standard_error.say(self._call.policy.command_name, f"and {len(self._passed_over) - _NOTICES_AT_MOST} more")
        counts = f"{self._copied} copied, {self._unchanged} unchanged, {len(self._passed_over)} passed over"
        output.lines([f"{counts}: {escaped(self._where)}"])


def shown_path(name: str) -> str:
    """A relative path as it is called in DIR: no name has characters that a terminal would obey, or that are no text.

    What Pi makes stays as it is. Names that differ stay different.
    """
    return "/".join(escaped(part) for part in name.split("/"))


def _agents_places(policy: Policy, caller: Identity) -> tuple[str, ...]:
    """Where an agent of the caller's may have put a link that looks like the caller's own. As the caller."""
    roots = [project_roots.expanded(root, caller.home) for root in policy.host_users[caller.name].project_roots]
    return tuple(os.path.realpath(path) for path in [*roots, *policy.sandbox.read_write_paths])


def open_directory(path: str, caller: Identity, agents: Sequence[str]) -> int:
    """Open the directory of that absolute path, made with those above it where missing. As the caller.

    agents: where no link is to be followed. Raises OSError.
    """

    def judge(directory: int, _link: str) -> None:
        here = paths.real_path(directory)
        if not paths.only_root_changes(directory, caller.uid) or any(paths.contains(place, here) for place in agents):
            raise OSError(errno.ELOOP, "a link on the way to it can be changed by others")

    names = [part for part in path.split("/") if part]
    missing: list[str] = []
    while True:
        try:
            found = paths.walk("/" + "/".join(names), on_link=judge)
            break
        except FileNotFoundError:
            if not names:
                raise
            missing.append(names.pop())
    try:
        here = paths.reopen(found, _DIRECTORY & ~os.O_NOFOLLOW)
    finally:
        os.close(found)
    try:
        return _folder(here, "/".join(reversed(missing)))
    finally:
        os.close(here)


def _folder(directory: int, relative: str) -> int:
    """Open a directory below an open one, made where missing. As the caller. Raises OSError for a link or a file."""
    return directories.descend(directory, relative, _made)


def _made(parent: int, name: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _standing(directory: int, name: str) -> os.stat_result | None:
    """What stands under that name below DIR, whose folder is there."""
    folder = _folder(directory, os.path.dirname(name))
    try:
        return os.stat(os.path.basename(name), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)


def _unusable(directory: int, relative: str) -> str:
    """Why nothing can be put into a directory below DIR; empty when it can."""
    try:
        os.close(_folder(directory, relative))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _recall(directory: int) -> dict[str, Remembered]:
    """What DIR remembers; what cannot be read is nothing: then files that differ are kept."""
    try:
        content = files.read_named(directory, _MEMORY, _MEMORY_AT_MOST)
        found = {}
        for name, (a, b, c, d) in orjson.loads(content or b"{}").items():
            found[name] = Remembered((a, b), (c, d))
        return found
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _as_json(memory: Mapping[str, Remembered]) -> bytes:
    return orjson.dumps({name: [*each.source, *each.copy] for name, each in memory.items()})
