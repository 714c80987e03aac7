"""Reasons: the second half of many messages, after a colon. Pure text, or functions from facts to text."""

from __future__ import annotations

from pi_agent.messages.quoting import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NOT_A_REGULAR_FILE: Final = "it is not a regular file"
NOT_UTF8: Final = "it is not UTF-8 text"
NOT_AN_OBJECT: Final = "its top level is not an object"
LINK_INTO_KERNEL: Final = "a link leads into the kernel's own file systems"
LINK_OUT_OF_ROOT: Final = "a link inside a project root leads out of it"
ONLY_INSIDE: Final = (
    "inside, only the agent has something there. Name a place in a project root by its absolute path, or put it into "
    "Pi's directory"
)
ENTERED_BY_OTHERS: Final = "others than root can enter it"
NOT_OWNED_BY: Final = "it does not belong to {}"
MORE_THAN_IS_LOOKED_AT: Final = "there is more than can be looked at"
NOT_RECORDED: Final = "what was there before the session could not be recorded"


def larger_than(size: int) -> str:
    """size: in bytes."""
    return f"it is larger than {size // 1024} KiB"


def nested_deeper_than(levels: int) -> str:
    return f"it is nested more than {levels} levels deep"


def more_variables_than(number: int) -> str:
    return f"it sets more than {number} variables"


def changed_by_others(directory: str) -> str:
    return f"others than root can change {escaped(directory)}"


def link_redirected_by_others(name: str) -> str:
    return f"others than root can redirect the link {escaped(name)}"


def line_without_assignment(line: int) -> str:
    return f"line {line} does not start with a variable name and `=`"


def line_with_control_character(line: int) -> str:
    return f"line {line} has a control character in its value"


def line_with_open_quote(line: int) -> str:
    return f"line {line} opens a quote that is never closed"
