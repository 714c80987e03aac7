"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

from collections.abc import Iterable

from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

# -- the commands that Pi does not have


def argument_unknown(name: str, argument: str, usage: str) -> Refusal:
    """The argument stands in the remedy: what is wrong goes into the journal, and no argument does."""
    return Refusal(
        EX_USAGE, f"{name} has an argument that it does not take", f"It is {escaped(argument)}. Usage: {usage}"
    )


def command_unknown(name: str, command: str, known: Iterable[str]) -> Refusal:
    return Refusal(
        EX_USAGE,
        "this is no command of the sandbox",
        f"There is no {escaped(name)}. {command} has: {', '.join(known)}",
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
        f"It was {escaped(wanted)}. Yours are listed by: {command} --sandbox-status",
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
        f"the transcripts could not be copied there: {escaped(why)}",
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
        f"not everything could be removed: {escaped(why)}",
        "Something in the state tree is not the agent's own. An administrator can look and remove it.",
    )
