"""A user's Pi configuration: files on the host, and the documents that a program inside reads."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import as_user, inside
from support.installed import Json, home


def write(path: Path, content: Json | str, user: str = "alice") -> None:
    """Write a file as the user, and create the directories that it needs."""
    text = content if isinstance(content, str) else json.dumps(content)
    as_user(user, "sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, stdin=text.encode()).ok()


def host_file(name: str, user: str = "alice") -> Path:
    """A file of the user's Pi configuration on the host."""
    return home(user) / ".pi/agent" / name


def document(name: str = "settings.json", command: str = "pi-probe", user: str = "alice") -> Json:
    """One of Pi's documents, as a program inside reads it."""
    text = inside('cat "$PI_CODING_AGENT_DIR/$1"', name, command=command, user=user).ok().stdout
    value: Json = json.loads(text)
    return value
