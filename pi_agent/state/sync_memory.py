"""Host configuration → isolated configuration, at every start.

Read as the host user, written as the agent. Three kinds of names at the top of Pi's directory: those Pi owns at run
time, which we neither copy nor delete; the two documents that merge (documents.py); everything else, which follows
the host (mirror.py). One launch of a user at a time (flock(2)); a running Pi is respected through its own locks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from pi_agent.linux import files
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.python import lazy_orjson
from pi_agent.state import documents, json_merge
from pi_agent.state.documents import Kind, Memory
from pi_agent.state.mirror import Manifest
from pi_agent.state.scans import Notice
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_MEMORY: Final = "memory.json"

_VERSION: Final = 1

_NUMBERS: Final = 8  # of a file: its signatures on both sides


class SyncMemory:
    """What sync remembers between launches."""

    def __init__(self, files: Manifest, known: Mapping[str, Memory]) -> None:
        self.files = files
        self.documents = known

    def document(self, kind: Kind) -> Memory:
        """What is known of a document."""
        return self.documents.get(kind.name, documents.nothing_known())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncMemory):
            return NotImplemented
        # Documents are compared as JSON, where 1 is not true.
        return self.files == other.files and json_merge.same(self._documents_to_json(), other._documents_to_json())

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> bytes:
        files = {_to_text(name): numbers for name, numbers in self.files.items()}
        value = {"version": _VERSION, "files": files, "documents": self._documents_to_json()}
        content: bytes = lazy_orjson.orjson().dumps(value)
        return content

    def _documents_to_json(self) -> dict[str, Any]:
        return {name: documents.memory_to_json(memory) for name, memory in self.documents.items()}

    @staticmethod
    def from_json(content: bytes) -> SyncMemory:
        value = json.loads(content)
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}")
        files = {_from_text(name): numbers for name, numbers in value["files"].items()}
        if not all(isinstance(numbers, list) and len(numbers) == _NUMBERS for numbers in files.values()):
            raise ValueError(f"a file has other than {_NUMBERS} numbers")
        return SyncMemory(
            files, {name: documents.memory_from_json(entry) for name, entry in value["documents"].items()}
        )


def _to_text(name: str) -> str:
    """A file name as JSON can hold it: names may have any bytes, so each becomes the character of the same number."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def _from_text(text: str) -> str:
    """The inverse of _to_text."""
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))


def recall(agent: Identity, memory: int, notice: Notice) -> SyncMemory:
    """What was remembered. A memory that cannot be read is forgotten, with a notice: then everything is copied anew."""
    with acting_as(agent):
        try:
            descriptor = os.open(_MEMORY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=memory)
        except FileNotFoundError:
            return SyncMemory({}, {})
        with open(descriptor, "rb") as file:
            content = file.read()
    try:
        return SyncMemory.from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        notice(f"what sync remembered could not be read ({error}); the configuration is copied anew")
        return SyncMemory({}, {})


def remember(agent: Identity, state: State, before: SyncMemory, after: SyncMemory) -> None:
    if after != before:
        with acting_as(agent):
            files.replace(state.memory, _MEMORY, after.to_json())
