"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from pi_agent.messages.quoting import escaped, nix_string
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_SOFTWARE, EX_UNAVAILABLE, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

# -- policy and installation


def policy_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the frozen policy {escaped(path)} cannot be used: {escaped(why)}",
        "This installation is broken. Rebuild the system configuration (nixos-rebuild switch) and try again.",
    )


def identity_missing(kind: str, name: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the isolated {kind} «{escaped(name)}» does not exist on this machine",
        "Rebuild the system configuration, or create it yourself where m3ta.pi-agent.createUser is false.",
    )


def state_missing(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the state directory {escaped(path)} cannot be used: {escaped(why)}",
        "Recreate it with: systemd-tmpfiles --create (or rebuild the system configuration).",
    )


def env_file_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the environment file {escaped(path)} (m3ta.pi-agent.environmentFiles) cannot be used: {escaped(why)}",
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
        f"the user «{escaped(user)}» may not use pi-agent on this machine",
        "An administrator can allow it with:\n"
        f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {nix_string('~/projects')} ];",
    )


def outside_roots(
    user: str, directory: str, roots: Iterable[str], proposed: str | None, notes: Iterable[str] = ()
) -> Refusal:
    """proposed: the root to suggest to the administrator; None where directory can never become one."""
    listed = list(roots)
    lines = [f"Allowed for {escaped(user)}: " + ", ".join(escaped(root) for root in listed)]
    lines += [*notes]
    if proposed is None:
        lines.append("Go to one of them; this directory cannot be made a project root.")
    else:
        wanted = " ".join(nix_string(root) for root in [*listed, proposed])
        lines.append(f"Go to one of them, or an administrator can allow {escaped(proposed)} with:")
        lines.append(f"  m3ta.pi-agent.hostUsers.{nix_string(user)}.projectRoots = [ {wanted} ];")
    return Refusal(EX_NOPERM, f"{escaped(directory)} is not inside an allowed project root", "\n".join(lines))


def directory_gone(directory: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the current directory {escaped(directory)} was removed, renamed or is out of reach",
        "Change to an existing directory (cd) and try again.",
    )


def directory_closed_to_agent(directory: str) -> Refusal:
    return Refusal(
        EX_NOPERM,
        f"the agent cannot enter {escaped(directory)}",
        "Give its user, or the group in m3ta.pi-agent.projectGroup, access to the directory.",
    )


def root_reserved(root: str, reserved: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {escaped(root)} overlaps {escaped(reserved)}, which the sandbox provides itself",
        "Choose another directory in m3ta.pi-agent.hostUsers.<user>.projectRoots.",
    )


def root_unmountable(root: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the project root {escaped(root)} has a quote, a backslash or a control character in its path",
        "systemd cannot mount such a path. Rename the directory, or allow one above it.",
    )


def root_not_considered(root: str, link: str) -> str:
    """A line for `outside_roots`: why an allowed root was not considered."""
    return (
        f"Not considered: {escaped(root)}, because {escaped(link)} is a symbolic link that others than root can "
        "redirect. Name the directory it leads to."
    )


def directory_too_deep(directory: str, levels: int) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{escaped(directory)} lies more than {levels} levels below its project root",
        "Start in a directory above it, or allow a project root nearer to it.",
    )


def too_much_to_protect(root: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the project root {escaped(root)} has too many places to protect or hide",
        "Allow a smaller project root, or look for what fills it: thousands of repositories, or of directories in "
        ".git/modules.\nThe places are those of m3ta.pi-agent.sandbox.protectedPaths and hiddenPaths.",
    )


def extra_path_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the path {escaped(path)} (m3ta.pi-agent.sandbox) cannot be shown inside: {escaped(why)}",
        "Make it exist, reached through no link that others than root can redirect, or remove it from the option.",
    )


# -- the host user's configuration


def config_not_a_directory(path: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} is not a directory",
        "Make it a directory, or set m3ta.pi-agent.hostUsers.<user>.configPath to one.",
    )


def config_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} cannot be read: {escaped(why)}",
        "Correct its permissions, or set m3ta.pi-agent.wrapper.syncConfigFromHost = false.",
    )


def config_too_large(path: str, limit: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the Pi configuration {escaped(path)} is larger than the limit of {limit}",
        "Move what is not configuration out of it, or point m3ta.pi-agent.hostUsers.<user>.configPath elsewhere.",
    )


def document_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"{escaped(path)} is not a JSON object: {escaped(why)}",
        "Correct the file; nothing in the isolated state was changed.",
    )


def host_env_invalid(path: str, why: str) -> Refusal:
    return Refusal(
        EX_DATAERR,
        f"the environment file {escaped(path)} cannot be used: {escaped(why)}",
        "Write it as UTF-8 lines of KEY=value (systemd.exec(5), EnvironmentFile=).",
    )


def state_not_writable(path: str, error: OSError) -> Refusal:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return Refusal(
        EX_UNAVAILABLE,
        f"the isolated state {escaped(path)} cannot be written: {escaped(error.strerror or str(error))}",
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
        f"the isolated state {escaped(path)} cannot be read: {escaped(error.strerror or str(error))}",
        "A running session of yours may be changing it: end that and try again.",
    )


# -- the session


def staging_failed(what: str, why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{what} could not be prepared for the sandbox: {escaped(why)}",
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
        f"{escaped(path)} cannot be run: {escaped(why)}",
        "pi-agent needs sudo: security.sudo.enable (or sudo-rs) must be true, and execWheelOnly false.",
    )


def tool_failed(argv: list[str], why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"{escaped(argv[0])} failed: {escaped(why)}",
        "The journal may say more: journalctl -b -p warning -n 20",
    )


def machine_failed(error: OSError | ImportError) -> Refusal:
    known, place = (error.strerror, error.filename) if isinstance(error, OSError) else (None, None)
    where = f" ({escaped(place)})" if isinstance(place, str | bytes) else ""
    return Refusal(
        EX_UNAVAILABLE,
        f"the system failed: {escaped(known or str(error))}{where}",
        "See to disks, memory and open files; the journal may say more: journalctl -b -p warning -n 20",
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
