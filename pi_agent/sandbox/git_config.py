"""Reads the text of a git configuration file as git does (git's config.c, git_parse_source).

Git itself would be a process for each repository of a project, which a launch cannot wait for. A test compares this
with git for any text. Nothing here looks at the machine: includes are not followed.
"""

from __future__ import annotations

import os

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SPACE: Final = " \t\n\r"
_COMMENT: Final = "#;"
_SPECIAL: Final = frozenset('#;"\\')
_ESCAPES: Final = {"t": "\t", "b": "\b", "n": "\n", "\\": "\\", '"': '"'}


@record
class Setting:
    """section and name: in small letters; subsection: as it is written; value: empty if there is none."""

    section: str
    subsection: str
    name: str
    value: str

    @property
    def key(self) -> str:
        """The setting as git writes it: `core.hookspath`, `filter.lfs.clean`."""
        return ".".join(part for part in (self.section, self.subsection, self.name) if part)


def settings(content: bytes) -> list[Setting]:
    """The settings in order, up to the first mistake: git refuses a file that has one. A pure function."""
    # One character a byte, so that indexes and letters are those of C.
    text = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1").replace("\r\n", "\n")
    reader = _Reader(text)
    found: list[Setting] = []
    try:
        while (setting := reader.next()) is not None:
            found.append(setting)
    except _Mistake:
        pass
    return found


class _Mistake(Exception):
    """The text is no git configuration."""


class _Reader:
    """Where in a text git would be."""

    def __init__(self, text: str) -> None:
        # Git takes the end of a file for the end of a line, even after a backslash.
        self._text = text + "\n\n"
        self._at = 0
        self._section = ""
        self._subsection = ""

    def next(self) -> Setting | None:
        """The next setting; None at the end. Raises _Mistake."""
        while self._at < len(self._text):
            char = self._take()
            if char in _COMMENT:
                self._at = self._text.find("\n", self._at) + 1 or len(self._text)
            elif char == "[":
                self._header()
            elif _is_letter(char):
                return self._setting(char)
            elif char not in _SPACE:
                raise _Mistake
        return None

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise _Mistake
        char = self._text[self._at]
        self._at += 1
        return char

    def _header(self) -> None:
        """`[section]`, `[section.subsection]` or `[section "subsection"]`."""
        name = ""
        while (char := self._take()) != "]":
            if char in _SPACE:
                self._section, self._subsection = name, self._quoted_subsection(char)
                return
            if not _is_key(char) and char != ".":
                raise _Mistake
            name += char.lower()
        self._section, _, self._subsection = name.partition(".")

    def _quoted_subsection(self, char: str) -> str:
        while char in _SPACE:
            if char == "\n":
                raise _Mistake
            char = self._take()
        if char != '"':
            raise _Mistake
        name = ""
        while (char := self._take()) != '"':
            if char == "\\":
                char = self._take()
            if char == "\n":
                raise _Mistake
            name += char
        if self._take() != "]":
            raise _Mistake
        return _as_path(name)

    def _setting(self, char: str) -> Setting:
        name = char
        while _is_key(char := self._take()):
            name += char
        while char in " \t":
            char = self._take()
        if char not in "=\n":
            raise _Mistake
        value = self._value() if char == "=" else ""
        return Setting(self._section, self._subsection, name.lower(), _as_path(value))

    def _value(self) -> str:
        end = self._text.find("\n", self._at)
        rest = self._text[self._at : end]
        if not _SPECIAL & set(rest):  # as most are
            self._at = end + 1
            return rest.strip(_SPACE)
        value, kept, quoted = "", 0, False  # kept: its length without white space at the end
        while (char := self._take()) != "\n" or quoted:
            if char == "\n":
                raise _Mistake
            if char in _SPACE and not quoted:
                value += char if value else ""
                continue
            if char in _COMMENT and not quoted:
                self._at = self._text.find("\n", self._at) + 1 or len(self._text)
                break
            if char == '"':
                quoted = not quoted
            elif char == "\\":
                char = self._take()
                if char != "\n":
                    if char not in _ESCAPES:
                        raise _Mistake
                    value += _ESCAPES[char]
            else:
                value += char
            kept = len(value)
        return value[:kept]


def _is_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _is_key(char: str) -> bool:
    return char == "-" or (char.isascii() and char.isalnum())


def _as_path(text: str) -> str:
    """The text as Python names files; git ends it at a NUL."""
    return os.fsdecode(text.partition("\0")[0].encode("latin-1"))
