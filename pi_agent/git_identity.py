"""Whose commits they are: the host user's name and e-mail, for git inside the sandbox.

The host user's git configuration is not shown inside (it may name credential helpers, keys and aliases). Only
`user.name` and `user.email` are taken over, into the user file that ranks lowest (git-config(1),
`~/.config/git/config`): a repository's own identity, and one the agent was told to set, still win.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from pi_agent import paths, refusals
from pi_agent.identity import Identity, acting_as
from pi_agent.mirror import replace_file
from pi_agent.state import State

# The later wins, as in git.
_SOURCES: Final = (".config/git/config", ".gitconfig")
_BYTES_AT_MOST: Final = 1024**2
_VALUE_AT_MOST: Final = 256
_KEYS: Final = ("name", "email")
_HEADER: Final = (
    b"# Written by pi-agent at each start, from the host user's identity. Your own settings: ~/.gitconfig\n"
)
_SECTION: Final = re.compile(r"\[\s*([A-Za-z0-9.-]+)\s*\]")
_VALUE: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^#;"\\]*?))\s*(?:[#;].*)?$')

GitIdentity = dict[str, str]


def of_host_user(home: str) -> GitIdentity:
    """`name` and `email` as the git configuration under home sets them, where it does. Must run as the host user.

    A file that is missing, unreadable or odd says nothing; includes are not followed.
    """
    found: GitIdentity = {}
    for source in _SOURCES:
        found |= parsed(_content(f"{home}/{source}"))
    return found


def _content(path: str) -> str:
    try:
        looked = paths.walk(path)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(looked).st_mode) or paths.real_path(looked).startswith(("/proc/", "/sys/")):
            return ""
        with open(paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return file.read(_BYTES_AT_MOST).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(looked)


def parsed(text: str) -> GitIdentity:
    """`name` and `email` of the `[user]` sections in git configuration text. A pure function."""
    found: GitIdentity = {}
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            header = _SECTION.match(line)
            section = header[1].lower() if header else ""
            continue
        key, equals, rest = line.partition("=")
        key = key.strip().lower()
        value = _VALUE.match(rest)
        if section != "user" or key not in _KEYS or not equals or value is None:
            continue
        plain = value[2] if value[1] is None else re.sub(r"\\(.)", r"\1", value[1])
        if plain.isprintable() and len(plain) <= _VALUE_AT_MOST:
            found[key] = plain
    return found


def rendered(identity: GitIdentity) -> bytes:
    """The git configuration file that says identity."""
    lines = []
    for key, value in identity.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'\t{key} = "{escaped}"\n')
    return _HEADER + "".join(["[user]\n", *lines]).encode()


def write(agent: Identity, state: State, identity: GitIdentity) -> None:
    """Put the identity into the isolated tree, unless a file that is not ours stands there. Raises Refusal (69)."""
    if not identity:
        return
    with acting_as(agent):
        try:
            directory = paths.ensure_path(state.home, ".config/git")
            try:
                current = _current(directory)
                if current != rendered(identity) and (current is None or current.startswith(_HEADER)):
                    replace_file(directory, "config", rendered(identity))
            finally:
                os.close(directory)
        except OSError as error:
            raise refusals.state_not_writable(".config/git/config", error.strerror or str(error)) from error


def _current(directory: int) -> bytes | None:
    try:
        descriptor = os.open("config", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        return os.read(descriptor, _BYTES_AT_MOST)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
