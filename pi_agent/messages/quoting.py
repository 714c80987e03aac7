"""Foreign text as it may be printed: a terminal obeys what is printed on it, and names are chosen by anybody."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LONGEST_SHOWN: Final = 400


def escaped(name: str | bytes) -> str:
    """A file name or other foreign text as it may be printed: one line, no control characters, bounded.

    What is not printable, undecodable bytes (surrogates, as os.fsdecode makes them) included, appears as a
    backslash escape, so two names never look the same by hiding something.
    """
    clean = escaped_in_full(name)
    return clean if len(clean) <= _LONGEST_SHOWN else clean[:_LONGEST_SHOWN] + "…"


def escaped_in_full(name: str | bytes) -> str:
    """As `escaped`, but of any length: for what a program reads."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return "".join(char if char.isprintable() and char != "\\" else _escaped_character(char) for char in text)


def _escaped_character(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0xFF:  # or it would look like the byte of that number
        return f"\\u{code:04x}"
    return char.encode("unicode_escape").decode("ascii")


def nix_string(text: str) -> str:
    """text as a Nix string literal, for the lines a refusal proposes."""
    return '"' + escaped(text).replace('"', '\\"').replace("${", "\\${") + '"'
