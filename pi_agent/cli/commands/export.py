"""`--sandbox-export [DIR]`: the caller's Pi transcripts, copied to files of the caller's own.

The wrapper, as the host user, chooses DIR. The runner, as root, trusts neither DIR nor the tree: it reads as the owner
of the state (state/transcripts.py), and makes, writes and looks at everything in DIR as the caller
(cli/export/destination.py). A file appears whole, with mode 0600, or not at all.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.cli.export import destination, record
from pi_agent.cli.export.record import Action, Copied, Record
from pi_agent.cli.parsing import Invocation
from pi_agent.linux import directories, paths, progress_bar, standard_error
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import acting_as
from pi_agent.messages import command_output, command_refusals, progress_texts
from pi_agent.policy.policy_file import Policy
from pi_agent.state import copying, transcripts, user_state
from pi_agent.state.copying import LimitExceeded, Source, Synced, Target
from pi_agent.state.scans import BYTES_AT_MOST
from pi_agent.state.transcripts import Found, Transcript

_NOTICES_AT_MOST: Final = 20


def on_host(policy: Policy, invocation: Invocation) -> Sequence[str]:
    """The arguments for the runner, with DIR as an absolute path. Raises Refusal (64)."""
    directory = invocation.values.get("DIR")
    if directory is None:
        from xdg import BaseDirectory  # the runner does not have it

        directory = f"{BaseDirectory.xdg_data_home}/pi-agent/sessions"
    elif not directory:
        raise command_refusals.export_directory_missing(policy.command_name)
    return [invocation.command.name, "--", os.path.abspath(directory)]


def run(call: Call) -> int:
    """Copy what is new or changed. Returns 0. Raises Refusal: 64 without an absolute DIR, 69 if DIR cannot be used."""
    where = call.invocation.values.get("DIR", "")
    if not where.startswith("/"):
        raise command_refusals.export_directory_missing(call.policy.command_name)
    own = user_state.existing(call.policy, call.accounts.owner, call.accounts.caller.name)
    with acting_as(call.accounts.owner):
        top = None if own is None else transcripts.open_place(own)
        found = Found((), ()) if top is None else transcripts.find(top)
    export = _Export(call, where, skipped=[*found.skipped])
    if top is not None and found.transcripts:
        export.copy(top, found.transcripts)
    export.report()
    return 0


@dataclass
class _Export:
    """One export, and what has come of it so far. skipped: (name, why), no name for a reason that is about no one."""

    call: Call
    where: str
    copied: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def copy(self, top: int, found: Sequence[Transcript]) -> None:
        """Copy transcripts from the open directory top. Raises Refusal (69)."""
        caller = self.call.accounts.caller
        try:
            with acting_as(caller):
                agents = destination.agent_writable(self.call.policy, caller)
                directory = destination.open_directory(self.where, caller, agents)
            try:
                self._copy_into(directory, top, found)
            finally:
                os.close(directory)
        except BlockingIOError as error:
            raise command_refusals.export_failed(command_output.EXPORT_RUNNING) from error
        except OSError as error:
            raise command_refusals.export_failed(reason(error)) from error

    def _copy_into(self, directory: int, top: int, found: Sequence[Transcript]) -> None:
        """Copy to the open directory, under its lock, and record what was copied, also if that ends with an error."""
        with acting_as(self.call.accounts.caller):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = record.read(directory)
            wanted = self._wanted(directory, found, before)
        now = dict(before)
        try:
            self._transfer(directory, top, wanted, now)
        except LimitExceeded:
            self.skipped.append(("", command_output.export_limit_reached(BYTES_AT_MOST // 1024**3)))
        finally:
            if now != before:
                with acting_as(self.call.accounts.caller):
                    record.write(directory, now)

    def _wanted(self, directory: int, found: Sequence[Transcript], before: Record) -> dict[str, str]:
        """What is to be copied: the copy's name → the transcript's. As the caller."""
        wanted: dict[str, str] = {}
        unusable: dict[str, str] = {}  # folder → why nothing can be put into it, empty if it can
        for each in found:
            name = destination.name_of_copy(each.name)
            folder = os.path.dirname(name)
            if folder not in unusable:
                reserved = paths.contains(record.NAME, folder)
                unusable[folder] = command_output.NAME_RESERVED if reserved else destination.unusable(directory, folder)
            if unusable[folder]:
                self.skipped.append((each.name, unusable[folder]))
                continue
            try:
                if self._is_wanted(directory, each, name, before.get(name)):
                    wanted[name] = each.name
            except OSError as error:  # a name that is too long once it is escaped
                self.skipped.append((each.name, reason(error)))
        return wanted

    def _is_wanted(self, directory: int, each: Transcript, name: str, before: Copied | None) -> bool:
        """Whether to copy a transcript; if not, that is counted."""
        status = destination.status(directory, name)
        if status is not None and not stat.S_ISREG(status.st_mode):
            self.skipped.append((each.name, command_output.DESTINATION_TAKEN))
            return False
        match record.action(each.stamp, None if status is None else transcripts.stamp_of(status), before):
            case Action.COPY:
                return True
            case Action.UNCHANGED:
                self.unchanged += 1
            case Action.KEEP:
                self.skipped.append((each.name, command_output.COPY_CHANGED))
        return False

    def _transfer(self, directory: int, top: int, wanted: dict[str, str], now: dict[str, Copied]) -> None:
        """Copy the wanted transcripts. now: the record, which is updated. Raises OSError, LimitExceeded."""
        source = Source(self.call.accounts.owner, lambda name: transcripts.open_one(top, wanted[name]))
        with (
            directories.Trail(directory, destination.make_and_open) as trail,
            progress_bar.shown(progress_texts.COPYING_TRANSCRIPTS, len(wanted)) as step,
        ):
            target = Target(self.call.accounts.caller, trail.open, executables=False)
            for batch in copying.transfer(sorted(wanted), source, target, BYTES_AT_MOST, step):
                now.update((name, self._count(done)) for name, done in batch.copied)
                self.skipped += batch.left_out

    def _count(self, done: Synced) -> Copied:
        """Count a copy that was made, and return what is recorded of it."""
        source, copy = done.host[1:3], done.isolated[1:3]
        if copy[0] < source[0]:
            return record.cut_off(copy)
        self.copied += 1
        return Copied(source, copy)

    def report(self) -> None:
        """Print what has come of it."""
        command = self.call.policy.command_name
        for name, why in self.skipped[:_NOTICES_AT_MOST]:
            standard_error.say(command, command_output.transcript_skipped(name, why))
        if len(self.skipped) > _NOTICES_AT_MOST:
            standard_error.say(command, command_output.more(len(self.skipped) - _NOTICES_AT_MOST))
        output.lines([command_output.exported(self.copied, self.unchanged, len(self.skipped), self.where)])
