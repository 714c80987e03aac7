"""The refusals of a launch: the exit status, what is wrong, what to do.

A function takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose are
escaped. README.md's table is made from here (catalogue.py).
"""

from __future__ import annotations

import errno

from pi_agent.messages.quoting import escaped, nix_string
from pi_agent.messages.refusal import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOPERM,
    EX_SOFTWARE,
    EX_UNAVAILABLE,
    Refusal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_SEE_JOURNAL: Final = "The journal may say more: journalctl -b -p warning -n 20"
_CONFIG_PATH: Final = "m3ta.pi-agent.hostUsers.<user>.configPath"
_PROJECT_ROOTS: Final = "m3ta.pi-agent.hostUsers.<user>.projectRoots"


# -- who asks


def not_through_sudo() -> Refusal:
    return Refusal(
        EX_NOPERM,
        "cannot tell who is asking: the runner was not started by sudo",
        "Run the pi command as a listed host user. Do not start the runner as root.",
    )


def root_refused(command: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        "refusing to run as root: the sandbox belongs to a host user and that user's projects",
        f"Run {command} as one of the users in m3ta.pi-agent.hostUsers.",
    )


def user_not_listed(user: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the user «{escaped(user)}» may not use pi-agent on this machine",
        "An administrator can allow it with:\n"
        f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {nix_string('~/projects')} ];",
    )


# -- the project


def outside_roots(
    user: str, directory: str, roots: Iterable[str], proposed: str | None, notes: Iterable[str] = ()
) -> Refusal:
    """proposed: the root to suggest to the administrator; None where directory can never become one. notes: why roots
    were ignored (`root_ignored`)."""
    listed = list(roots)
    lines = [f"Allowed for {escaped(user)}: " + ", ".join(escaped(root) for root in listed), *notes]
    if proposed is None:
        lines.append("Go to one of them; this directory cannot be a project root.")
    else:
        wanted = " ".join(nix_string(root) for root in [*listed, proposed])
        lines.append(f"Go to one of them, or an administrator can allow {escaped(proposed)} with:")
        lines.append(f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {wanted} ];")
    return Refusal(EX_NOPERM, f"{escaped(directory)} is not inside an allowed project root", "\n".join(lines))


def root_ignored(root: str, link: str) -> str:
    """A line for `outside_roots`: why an allowed root does not count."""
    return (
        f"Ignored: {escaped(root)}, because others than root can redirect the symbolic link {escaped(link)}. "
        "Name the directory it leads to."
    )


def directory_gone(directory: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the current directory {escaped(directory)} was removed or renamed, or cannot be reached",
        "Change to an existing directory (cd) and try again.",
    )


def directory_closed_to_agent(directory: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the agent cannot enter {escaped(directory)}",
        "It belongs to somebody else, is on a file system that cannot map owners, or was moved. Give the group in "
        "m3ta.pi-agent.projectGroup access to it.",
    )


def directory_too_deep(directory: str, levels: int) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{escaped(directory)} is more than {levels} levels below its project root",
        "Start in a directory above it, or allow a project root nearer to it.",
    )


def root_reserved(root: str, reserved: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {escaped(root)} overlaps {escaped(reserved)}, which the sandbox provides itself",
        f"Choose another directory in {_PROJECT_ROOTS}.",
    )


def root_unmountable(root: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {escaped(root)} has a control character in its path",
        "Such a path would break what is shown of it. Rename the directory, or allow one above it.",
    )


def too_much_to_protect(root: str, parts: str) -> Refusal:
    """parts: the directories, relative to the root, in which what was found lies; empty if nothing was."""
    where = f"; they lie in {escaped(parts)}" if parts else ""
    return Refusal(
        EX_UNAVAILABLE,
        f"the project root {escaped(root)} has too many paths to protect or hide{where}",
        "Allow a smaller project root, or find out what fills it: thousands of repositories, or of directories in "
        ".git/modules.\nm3ta.pi-agent.sandbox.protectedPaths and hiddenPaths name the paths.",
    )


# -- the host user's configuration


def config_not_a_directory(path: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} is not a directory",
        f"Make it a directory, or set {_CONFIG_PATH} to one.",
    )


def config_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} cannot be read: {escaped(why)}",
        "Correct its permissions, or set m3ta.pi-agent.wrapper.syncConfigFromHost to false.",
    )


def config_too_large(path: str, limit: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} is larger than the limit of {limit}",
        f"Move everything that is not configuration out of it, or set {_CONFIG_PATH} to another directory.",
    )


def document_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"{escaped(path)} is not a JSON object: {escaped(why)}",
        "Correct the file. Nothing was changed.",
    )


def host_env_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the environment file {escaped(path)} cannot be used: {escaped(why)}",
        "Write it as UTF-8 lines of NAME=value (systemd.exec(5), EnvironmentFile=).",
    )


# -- the isolated state


def state_unreadable(path: str, error: OSError) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the isolated state {escaped(path)} cannot be read: {escaped(error.strerror or str(error))}",
        "A running session of yours may be changing it: end that session and try again.",
    )


def state_not_writable(path: str, error: OSError) -> Refusal:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return Refusal(
        EX_UNAVAILABLE,
        f"the isolated state {escaped(path)} cannot be written: {escaped(error.strerror or str(error))}",
        "Free space or make the file system writable. Existing files are unchanged."
        if full
        else "A running session of yours may be changing it: end that session and try again. Existing files are "
        "unchanged.",
    )


def state_being_reset() -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "your isolated state is being reset",
        "Finish or cancel the reset, which may be waiting for an answer in another terminal, and try again.",
    )


# -- the session and the machine


def staging_failed(what: str, why: str) -> Refusal:
    return Refusal(EX_UNAVAILABLE, f"{what} could not be prepared for the sandbox: {escaped(why)}", _SEE_JOURNAL)


def sudo_unavailable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{escaped(path)} cannot be run: {escaped(why)}",
        "pi-agent needs sudo: set security.sudo.enable (or security.sudo-rs.enable) to true, and execWheelOnly to "
        "false.",
    )


def tool_failed(argv: list[str], why: str) -> Refusal:
    return Refusal(EX_UNAVAILABLE, f"{escaped(argv[0])} failed: {escaped(why)}", _SEE_JOURNAL)


def machine_failed(error: OSError | ImportError) -> Refusal:
    known, place = (error.strerror, error.filename) if isinstance(error, OSError) else (None, None)
    where = f" ({escaped(place)})" if isinstance(place, str | bytes) else ""
    return Refusal(
        EX_UNAVAILABLE,
        f"the system failed: {escaped(known or str(error))}{where}",
        f"Check disks, memory and open files. {_SEE_JOURNAL}",
    )


def bug(error: BaseException) -> Refusal:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "an unknown place"
    return Refusal(
        EX_SOFTWARE,
        f"a bug in pi-agent ({type(error).__name__} at {where}): {escaped(str(error))}",
        "Please report this line. Nothing was left running.",
    )
