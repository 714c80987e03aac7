"""The help of the sandbox commands: a summary of each, and a line for each argument.

Each is a phrase without a capital or a full stop; the manual page adds both.
"""

from __future__ import annotations

from typing import Final

HELP: Final = "list the sandbox commands"

EXPLAIN: Final = "show what a launch here would do, without doing it"
EXPLAIN_JSON: Final = "print one JSON object"

DOCTOR: Final = "check this installation and say how to fix it"

SHELL: Final = "open an interactive shell in the sandbox that Pi gets"

STATUS: Final = "list running sessions and their resource use"
JSON: Final = "print JSON"

STOP: Final = "end one of your sessions"
STOP_SESSION: Final = "its name, as --sandbox-status lists it; optional if only one is running"

SESSIONS: Final = "list your transcripts, newest first"

EXPORT: Final = "copy your transcripts to files of your own"
EXPORT_DIR: Final = "the target directory; default: $XDG_DATA_HOME/pi-agent/sessions"

RESET: Final = "remove the agent's caches and packages"
RESET_ALL: Final = "remove everything: also transcripts, and logins and settings made inside"
RESET_YES: Final = "do not ask for confirmation"

TIMING: Final = "launch Pi and show how long each step took"
TIMING_JSON: Final = "print one line of JSON"

# The argument that every command has.
USAGE: Final = "show the usage of this command"

# What shells call these commands as a group.
GROUP: Final = "sandbox command"


def overview_title(program: str) -> str:
    return f"Sandbox commands of {program}:"


def usage(line: str) -> str:
    return f"usage: {line}"


def see_also(program: str) -> str:
    return f"See also: {program} --sandbox-help"


def sentence(phrase: str) -> str:
    """A summary or an argument's help as a sentence of its own."""
    return f"{phrase[0].upper()}{phrase[1:]}."
