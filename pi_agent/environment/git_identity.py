"""The host user's name and e-mail, for git commits made inside the sandbox.

The host user's git configuration is not shown inside: it may name credential helpers, keys and aliases. Only
`user.name` and `user.email` are copied, into the user file with the lowest precedence (git-config(1),
`~/.config/git/config`). A repository's own identity, and one that the agent was told to set, still win.
"""

from __future__ import annotations

import os

from pi_agent.linux import files, paths
from pi_agent.state import home_files
from pi_agent.state.home_files import HomeFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final, TypeAlias

# The later file wins, as in git.
_SOURCES: Final = (".config/git/config", ".gitconfig")
_BYTES_AT_MOST: Final = 1024**2
_VALUE_AT_MOST: Final = 256
_KEYS: Final = ("name", "email")
FOLDER: Final = ".config/git"
NAME: Final = "config"
_COMMENT: Final = "#;"
_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n", "t": "\t", "b": "\b"}
_HEADER: Final = (
    b"# Written by pi-agent at each start, from the host user's identity. Your own settings: ~/.gitconfig\n"
)
GitIdentity: TypeAlias = "Mapping[str, str]"


def of_host_user(home: str) -> GitIdentity:
    """`name` and `email`, if the git configuration under home sets them. Must run as the host user.

    A file that is missing or cannot be used counts as empty. Includes are not followed.
    """
    found: dict[str, str] = {}
    for text in texts_of(home):
        found |= parsed(text)
    return found


def texts_of(home: str) -> list[str]:
    """The host user's git configuration files, the later ones winning; of what `of_host_user` says, too."""
    return [_content(f"{home}/{source}") for source in _SOURCES]


def _content(path: str) -> str:
    try:
        looked = paths.walk(path)
    except OSError:
        return ""
    try:
        if paths.real_path(looked).startswith(("/dev/", "/proc/", "/sys/")):
            return ""
        descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            return files.read(descriptor, _BYTES_AT_MOST).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return ""
    finally:
        os.close(looked)


def parsed(text: str) -> GitIdentity:
    """`name` and `email` from the `[user]` sections of git configuration text. A pure function."""
    found: dict[str, str] = {}
    section = ""
    lines = iter(text.split("\n"))
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line[1:].partition("]")[0].strip().lower()
        elif line and line[0] not in _COMMENT:
            key, equals, rest = (part.strip() for part in line.partition("="))
            value = _value(rest, lines)
            if section == "user" and key.lower() in _KEYS and equals and value is not None:
                found[key.lower()] = value
    return found


def _value(text: str, lines: Iterator[str]) -> str | None:
    """The value that begins in text, without quotes, escapes and comment (git-config(1), Syntax).

    lines: the lines that follow, consumed while the value continues. None if git would reject the value, or if it is
    not printable or too long for a name.
    """
    plain = ""
    quoted = False
    waiting = list(reversed(text))
    while waiting:
        char = waiting.pop()
        if char == "\\" and not waiting:  # the value continues on the next line
            waiting = list(reversed(next(lines, "")))
        elif char == "\\":
            char = waiting.pop()
            if char not in _ESCAPES:
                return None
            plain += _ESCAPES[char]
        elif char == '"':
            quoted = not quoted
        elif char in _COMMENT and not quoted:
            break
        else:
            plain += char
    plain = plain.rstrip()
    return plain if not quoted and plain.isprintable() and len(plain) <= _VALUE_AT_MOST else None


def rendered(identity: GitIdentity) -> bytes:
    """The git configuration file that sets identity."""
    lines = []
    for key, value in identity.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'\t{key} = "{escaped}"\n')
    return _HEADER + "".join(["[user]\n", *lines]).encode()


def is_identity_alone(content: bytes) -> bool:
    """Whether a git configuration file is one that `rendered` makes, and so has nothing else."""
    return content == rendered(parsed(content.decode("utf-8", "replace")))


def plan(identity: GitIdentity, home: int | None) -> HomeFile | None:
    """The file, if it must be written. home: an open directory, None if it does not exist yet. Must run as the owner.

    None if there is no identity, the file is current, or pi-agent did not write the file in its place.
    """
    if not identity:
        return None
    return home_files.plan(home, HomeFile(FOLDER, NAME, rendered(identity), _HEADER))
