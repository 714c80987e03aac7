"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78

_LONGEST_SHOWN: Final = 400


class Refusal(Exception):
    """A launch that ends before Pi starts, by our decision.

    status: the exit status of the command. what: one line saying what is wrong. remedy: lines saying what to do.
    """

    def __init__(self, status: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.remedy = remedy


def shown(name: str | bytes) -> str:
    """A file name or other foreign text as it may be printed: one line, no control characters, bounded.

    What is not printable, undecodable bytes (surrogates, as os.fsdecode makes them) included, appears as a
    backslash escape, so two names never look the same by hiding something.
    """
    clean = whole(name)
    return clean if len(clean) <= _LONGEST_SHOWN else clean[:_LONGEST_SHOWN] + "…"


def whole(name: str | bytes) -> str:
    """As `shown`, but however long: for what a program reads."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return "".join(char if char.isprintable() and char != "\\" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0xFF:  # or it would look like the byte of that number
        return f"\\u{code:04x}"
    return char.encode("unicode_escape").decode("ascii")


def nix_string(text: str) -> str:
    """text as a Nix string literal, for the lines a refusal proposes."""
    return '"' + shown(text).replace('"', '\\"').replace("${", "\\${") + '"'


# -- the commands that Pi does not have


def argument_unknown(name: str, argument: str, usage: str) -> Refusal:
    """The argument stands in the remedy: what is wrong goes into the journal, and no argument does."""
    return Refusal(
        EX_USAGE, f"{name} has an argument that it does not take", f"It is {shown(argument)}. Usage: {usage}"
    )


def command_unknown(name: str, command: str, known: Iterable[str]) -> Refusal:
    return Refusal(
        EX_USAGE,
        "this is no command of the sandbox",
        f"There is no {shown(name)}. {command} has: {', '.join(known)}",
    )


def session_not_chosen(command: str) -> Refusal:
    return Refusal(
        EX_USAGE,
        "you have several sessions, and did not say which is to end",
        f"They are listed above. Name one of them: {command} --sandbox-stop SESSION",
    )


def session_unknown(wanted: str, command: str) -> Refusal:
    """The same for a session of somebody else's and for one that never was."""
    return Refusal(
        EX_USAGE,
        "you have no session of that name",
        f"It was {shown(wanted)}. Yours are listed by: {command} --sandbox-status",
    )


def session_not_ended(unit: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "the session was told to end and is still there",
        f"See why with: systemctl status {unit}",
    )


def export_directory_missing(command: str) -> Refusal:
    return Refusal(
        EX_USAGE,
        "it was not said where the transcripts are to go",
        f"Name a directory: {command} --sandbox-export DIR. The runner by itself takes an absolute path only.",
    )


def export_failed(why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the transcripts could not be copied there: {shown(why)}",
        "Choose a directory that you can write to, reached through no link that others can change. What was copied "
        "before stays.",
    )


def reset_not_confirmed() -> Refusal:
    return Refusal(
        EX_USAGE,
        "there is no terminal to ask at whether it is to be removed",
        "Call it at a terminal, or with --yes if you are sure.",
    )


def sessions_live(names: Iterable[str], command: str) -> Refusal:
    listed = ", ".join(names)
    return Refusal(
        EX_UNAVAILABLE,
        "a session of yours is using the isolated state",
        f"End it first: {command} --sandbox-stop SESSION" + (f" ({listed})" if listed else ""),
    )


def reset_incomplete(why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"not everything could be removed: {shown(why)}",
        "Something in the state tree is not the agent's own. An administrator can look and remove it.",
    )


# -- policy and installation


def policy_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the frozen policy {shown(path)} cannot be used: {shown(why)}",
        "This installation is broken. Rebuild the system configuration (nixos-rebuild switch) and try again.",
    )


def identity_missing(kind: str, name: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the isolated {kind} «{shown(name)}» does not exist on this machine",
        "Rebuild the system configuration, or create it yourself where m3ta.pi-agent.createUser is false.",
    )


def state_missing(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the state directory {shown(path)} cannot be used: {shown(why)}",
        "Recreate it with: systemd-tmpfiles --create (or rebuild the system configuration).",
    )


def env_file_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the environment file {shown(path)} (m3ta.pi-agent.environmentFiles) cannot be used: {shown(why)}",
        "Make it a file of KEY=value lines in a directory that only root can change, or remove it from the option.",
    )


# -- who and where


def not_through_sudo() -> Refusal:
    return Refusal(
        EX_NOPERM,
        "the runner serves host users through sudo and does not know who is asking",
        "Run the pi command as a listed host user; do not call the runner as root.",
    )


def root_refused(command: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        "it does not run as root: the sandbox belongs to a host user and that user's projects",
        f"Run {command} as one of the users in m3ta.pi-agent.hostUsers.",
    )


def user_not_listed(user: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the user «{shown(user)}» may not use pi-agent on this machine",
        "An administrator can allow it with:\n"
        f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {nix_string('~/projects')} ];",
    )


def outside_roots(
    user: str, directory: str, roots: Iterable[str], proposed: str | None, notes: Iterable[str] = ()
) -> Refusal:
    """proposed: the root to suggest to the administrator; None where directory can never become one."""
    listed = list(roots)
    lines = [f"Allowed for {shown(user)}: " + ", ".join(shown(root) for root in listed)]
    lines += [*notes]
    if proposed is None:
        lines.append("Go to one of them; this directory cannot be made a project root.")
    else:
        wanted = " ".join(nix_string(root) for root in [*listed, proposed])
        lines.append(f"Go to one of them, or an administrator can allow {shown(proposed)} with:")
        lines.append(f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {wanted} ];")
    return Refusal(EX_NOPERM, f"{shown(directory)} is not inside an allowed project root", "\n".join(lines))


def directory_gone(directory: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the current directory {shown(directory)} was removed, renamed or is out of reach",
        "Change to an existing directory (cd) and try again.",
    )


def root_reserved(root: str, reserved: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {shown(root)} overlaps {shown(reserved)}, which the sandbox provides itself",
        "Choose another directory in m3ta.pi-agent.hostUsers.<user>.projectRoots.",
    )


def root_unmountable(root: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {shown(root)} has a quote, a backslash or a control character in its path",
        "systemd cannot mount such a path. Rename the directory, or allow one above it.",
    )


def root_redirectable(root: str, link: str) -> str:
    """A line for `outside_roots`: why an allowed root was not considered."""
    return (
        f"Not considered: {shown(root)}, because {shown(link)} is a symbolic link that others than root can "
        "redirect. Name the directory it leads to."
    )


def notice_foreign_file_system(root: str) -> str:
    """A notice: what the agent can do on a file system that cannot map owners."""
    return (
        f"{shown(root)} is on a file system that cannot map owners; the agent has only the access that its own user "
        "and m3ta.pi-agent.projectGroup give it there"
    )


def notice_runs_by_itself(changed: list[str]) -> str:
    """A notice after a session: what it made or changed that the host may run by itself."""
    shown_at_most = 20
    lines = [f"  {shown(path)}" for path in changed[:shown_at_most]]
    if len(changed) > shown_at_most:
        lines.append(f"  and {len(changed) - shown_at_most} more")
    what = "during this session, files changed that your machine may run by itself. Look before you use the project:"
    return "\n".join([what, *lines])


def notice_not_covered(path: str) -> str:
    """A notice: something that should have been protected was moved away while the session was prepared."""
    return f"{shown(path)} vanished while it was about to be protected"


def directory_too_deep(directory: str, levels: int) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{shown(directory)} lies more than {levels} levels below its project root",
        "Start in a directory above it, or allow a project root nearer to it.",
    )


def too_much_to_protect(root: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the project root {shown(root)} has too many places to protect or hide",
        "Allow a smaller project root, or look for what fills it: thousands of repositories, or of directories in "
        ".git/modules.\nThe places are those of m3ta.pi-agent.sandbox.protectedPaths and hiddenPaths.",
    )


def notice_repositories_overlooked(root: str) -> str:
    """A notice: the project is too large for its nested repositories to be found."""
    return (
        f"{shown(root)} has so many directories that repositories nested in it may be unprotected; start in the "
        "repository itself, or allow a smaller project root"
    )


def extra_path_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the path {shown(path)} (m3ta.pi-agent.sandbox) cannot be shown inside: {shown(why)}",
        "Make it exist, reached through no link that others than root can redirect, or remove it from the option.",
    )


# -- the host user's configuration


def config_not_a_directory(path: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {shown(path)} is not a directory",
        "Make it a directory, or set m3ta.pi-agent.hostUsers.<user>.configPath to one.",
    )


def config_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {shown(path)} cannot be read: {shown(why)}",
        "Correct its permissions, or set m3ta.pi-agent.wrapper.syncConfigFromHost = false.",
    )


def config_too_large(path: str, limit: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {shown(path)} is larger than the limit of {limit}",
        "Move what is not configuration out of it, or point m3ta.pi-agent.hostUsers.<user>.configPath elsewhere.",
    )


def document_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"{shown(path)} is not a JSON object: {shown(why)}",
        "Correct the file; nothing in the isolated state was changed.",
    )


def host_env_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the environment file {shown(path)} cannot be used: {shown(why)}",
        "Write it as UTF-8 lines of KEY=value (systemd.exec(5), EnvironmentFile=).",
    )


def state_not_writable(path: str, error: OSError) -> Refusal:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return Refusal(
        EX_UNAVAILABLE,
        f"the isolated state {shown(path)} cannot be written: {shown(error.strerror or str(error))}",
        "Free space or make the file system writable; what was there is unchanged."
        if full
        else "A running session of yours may be changing it: end that and try again. What was there is unchanged.",
    )


def state_being_reset() -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "your isolated state is being reset",
        "Finish that first (it may wait for an answer in another terminal), and try again.",
    )


def state_unreadable(path: str, error: OSError) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the isolated state {shown(path)} cannot be read: {shown(error.strerror or str(error))}",
        "A running session of yours may be changing it: end that and try again.",
    )


# -- the session


def staging_failed(what: str, why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{what} could not be prepared for the sandbox: {shown(why)}",
        "The journal may say more: journalctl -b -p warning -n 20",
    )


def session_not_started(unit: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "systemd did not start the session",
        f"See why with: journalctl -u {unit}",
    )


def sudo_unavailable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{shown(path)} cannot be run: {shown(why)}",
        "pi-agent needs sudo: security.sudo.enable (or sudo-rs) must be true, and execWheelOnly false.",
    )


def tool_failed(argv: list[str], why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{shown(argv[0])} failed: {shown(why)}",
        "The journal may say more: journalctl -b -p warning -n 20",
    )


# What the machine, not we, must be blamed for, wherever it comes from.
MACHINES_FAULTS: Final = frozenset(
    {errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}
)


def machine_failed(error: OSError | ImportError) -> Refusal:
    known, place = (error.strerror, error.filename) if isinstance(error, OSError) else (None, None)
    where = f" ({shown(place)})" if isinstance(place, str | bytes) else ""
    return Refusal(
        EX_UNAVAILABLE,
        f"the system failed: {shown(known or str(error))}{where}",
        "See to disks, memory and open files; the journal may say more: journalctl -b -p warning -n 20",
    )


def bug(error: BaseException) -> Refusal:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "an unknown place"
    return Refusal(
        EX_SOFTWARE,
        f"a bug in pi-agent ({type(error).__name__} at {where}): {shown(str(error))}",
        "Please report this line. Nothing was left running.",
    )
