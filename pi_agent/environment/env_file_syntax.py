"""Parses and writes environment files as systemd does (systemd.exec(5), EnvironmentFile=). Pure functions.

A file that does not say what its author meant is refused, not half applied. No message has the content of a line, which
may be a secret.
"""

from __future__ import annotations

from pi_agent.messages import reasons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_NEWLINE: Final = "\n\r"
_BLANK: Final = " \t" + _NEWLINE
_COMMENT: Final = "#;"
_ESCAPED: Final = '"\\`$'  # what a backslash escapes between double quotes
_EXPORT: Final = ("export ", "export\t")


def parse(content: bytes) -> dict[str, str]:
    """The variables that an environment file sets. The last value of a name wins. `export NAME=value` is accepted too.

    Raises UnicodeDecodeError for text that is not UTF-8. Otherwise raises ValueError, which names the line and never
    its content, for a missing `=`, an invalid name, an unclosed quote, or a control character in a value (newlines and
    tabs may stand between quotes).
    """
    text = content.decode("utf-8")
    found: dict[str, str] = {}
    reader = _Reader(text)
    while (line := reader.next_assignment()) is not None:
        name = reader.name()
        if name.startswith(_EXPORT):
            name = name[len(_EXPORT[0]) :].strip()
        if not is_name(name):
            raise ValueError(reasons.line_without_assignment(line))
        value = reader.value(line)
        if not is_value(value):
            raise ValueError(reasons.line_with_control_character(line))
        found[name] = value
    return found


def is_name(name: str) -> bool:
    """Whether name can name an environment variable (environ(7)): ASCII letters, digits and `_`, no digit first."""
    return name.isascii() and name.isidentifier()


def is_value(value: str) -> bool:
    """Whether value can be a variable's: no control characters except tab and newline, as systemd has it."""
    return all(char.isprintable() or char in "\t\n" or ord(char) >= 0xA0 for char in value)


def rendered(variables: Mapping[str, str]) -> bytes:
    """variables as an environment file: each value in double quotes, with special characters escaped."""
    lines = []
    for name, value in variables.items():
        escaped = "".join(f"\\{char}" if char in _ESCAPED else char for char in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines).encode("utf-8", "surrogateescape")


class _Reader:
    """A position in the text. The states and transitions are those of systemd's src/basic/env-file.c."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def _take(self) -> str:
        """The next character; "" at the end."""
        char = self._text[self._at : self._at + 1]
        self._at += 1
        self._line += char == "\n"
        return char

    def next_assignment(self) -> int | None:
        """Go to the first character of the next assignment, and return its line number; None at the end of the text."""
        while char := self._take():
            if char in _COMMENT:
                self._skip_line()
            elif char not in _BLANK:
                self._at -= 1
                return self._line
        return None

    def _skip_line(self) -> None:
        while (char := self._take()) and char not in _NEWLINE:
            pass

    def name(self) -> str:
        """The text before the `=`; "" if the line has none."""
        name = ""
        while (char := self._take()) and char not in _NEWLINE:
            if char == "=":
                return name.rstrip(_BLANK)
            name += char
        return ""

    def value(self, line: int) -> str:
        """The value after the `=`. Raises ValueError for an unclosed quote."""
        value = ""
        solid = 0  # length of value without trailing blanks
        quotable = True  # a quote opens at the beginning, or right after a closed one
        while (char := self._take()) and char not in _NEWLINE:
            if quotable and char in "'\"":
                value += self._quoted(char, line)
                solid = len(value)
            elif quotable and char in _BLANK:
                continue
            else:
                quotable = False
                if char == "\\":
                    char = self._take()
                    if char in _NEWLINE:  # the value continues on the next line
                        continue
                    value += char
                    solid = len(value)
                else:
                    value += char
                    solid = len(value) if char not in _BLANK else solid
        return value[:solid]

    def _quoted(self, quote: str, line: int) -> str:
        inside = ""
        while char := self._take():
            if char == quote:
                return inside
            if char == "\\" and quote == '"':
                char = self._take()
                if char == "\n":
                    continue
                if char not in _ESCAPED:
                    inside += "\\"
            inside += char
        raise ValueError(reasons.line_with_open_quote(line))
