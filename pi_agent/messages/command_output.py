"""What the sandbox commands print: status, stop, sessions, export, reset and timing.

Names that a user or the agent chose are escaped.
"""

from __future__ import annotations

from typing import Final

from pi_agent.messages.quoting import escaped


def more(number: int) -> str:
    """The end of a list that was cut off."""
    return f"and {number} more"


# -- status and stop

NO_SESSIONS: Final = "You have no running sessions."


def session_ended(name: str) -> str:
    return f"Session {name} has ended."


# -- sessions and export

NO_TRANSCRIPTS: Final = "You have no transcripts."


def older_transcripts(number: int) -> str:
    return f"{number} older transcripts are not listed"


def exported(copied: int, unchanged: int, skipped: int, directory: str) -> str:
    return f"{copied} copied, {unchanged} unchanged, {skipped} skipped: {escaped(directory)}"


def transcript_skipped(name: str, why: str) -> str:
    """name: of the transcript, empty where the reason is about no single one."""
    return f"skipped {escaped(name)}: {why}" if name else why


# Why a transcript is skipped, or why nothing can be exported.
NAME_RESERVED: Final = "this name is reserved for the record of exports"
DESTINATION_TAKEN: Final = "its destination exists and is not a regular file"
COPY_CHANGED: Final = "its copy was changed after the last export and is kept; move the copy away to export again"
EXPORT_RUNNING: Final = "another export to this directory is running"
LINK_CHANGED_BY_OTHERS: Final = "others can change a symbolic link on its path"
HARD_LINKS: Final = "it has several hard links"
TOO_DEEP: Final = "it is nested too deeply"


def export_limit_reached(gibibytes: int) -> str:
    return f"the limit of {gibibytes} GiB an export was reached; run it again for the rest"


def larger_than(mebibytes: int) -> str:
    return f"it is larger than {mebibytes} MiB"


def too_many_entries(number: int) -> str:
    return f"more than {number} files and directories; the rest was skipped"


# -- reset

NOTHING_TO_REMOVE: Final = "Nothing to remove."
NOTHING_REMOVED: Final = "Nothing was removed."
# The title of a list of paths.
WILL_BE_REMOVED: Final = "Will be removed (~ is the home of your agent):"


def sync_record(path: str) -> str:
    return f"{path} (the record of the configuration's sync)"


def confirm_removal(command: str) -> str:
    return f"{command}: remove all of this? [y/N] "


def at_least(size: str) -> str:
    """size: what was counted before the count was given up."""
    return f"more than {size}"


def removed(size: str) -> str:
    return f"Removed: {size}."


# -- timing

STEPS_TITLE: Final = "time spent in each step of this launch, in milliseconds:"
TOTAL: Final = "total"
