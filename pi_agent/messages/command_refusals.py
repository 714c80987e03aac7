"""Every refusal of a sandbox command, beside those of a launch (refusals.py).

What is wrong goes into the journal, and no argument of the user's may: an argument stands in the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable

from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal

# -- the command line


def command_unknown(name: str, command: str, known: Iterable[str]) -> Refusal:
    return Refusal(
        EX_USAGE,
        "unknown sandbox command",
        f"There is no {escaped(name)}. The sandbox commands of {command} are: {', '.join(known)}",
    )


def argument_unknown(name: str, argument: str, usage: str) -> Refusal:
    return Refusal(EX_USAGE, f"{name}: unexpected argument", f"Remove {escaped(argument)}. Usage: {usage}")


# -- sessions


def session_not_chosen(command: str) -> Refusal:
    return Refusal(
        EX_USAGE,
        "several sessions are running; name one",
        f"They are listed above. Run: {command} --sandbox-stop SESSION",
    )


def session_unknown(wanted: str, command: str) -> Refusal:
    """The same for another user's session and for one that never existed."""
    return Refusal(
        EX_USAGE,
        "no such session",
        f"You have no session {escaped(wanted)}. List your sessions with: {command} --sandbox-status",
    )


def session_not_ended(unit: str) -> Refusal:
    return Refusal(EX_UNAVAILABLE, "the session did not end in time", f"See why with: systemctl status {unit}")


# -- transcripts


def export_directory_missing(command: str) -> Refusal:
    return Refusal(
        EX_USAGE,
        "no export directory given",
        f"Run: {command} --sandbox-export DIR. The runner itself accepts only an absolute path.",
    )


def export_failed(why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"could not copy the transcripts: {escaped(why)}",
        "Choose a directory that you can write to, and whose path has no symbolic link that others can change. "
        "Transcripts copied before the error are kept.",
    )


# -- reset


def reset_not_confirmed() -> Refusal:
    return Refusal(EX_USAGE, "cannot ask for confirmation: no terminal", "Run it at a terminal, or add --yes.")


def sessions_live(names: Iterable[str], command: str) -> Refusal:
    listed = ", ".join(names)
    return Refusal(
        EX_UNAVAILABLE,
        "a session of yours is using the isolated state",
        f"End the session first: {command} --sandbox-stop SESSION" + (f" ({listed})" if listed else ""),
    )


def reset_incomplete(why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"could not remove everything: {escaped(why)}",
        "Something in the state tree does not belong to the owner of the state. Ask an administrator to remove it.",
    )
