"""What sync remembers between launches: the signatures of files on both sides, and the sources of each document.

It is kept in a directory of root's (sync_directory.py), so no agent can rewrite it.
"""

from __future__ import annotations

import os

from pi_agent.linux import files
from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.messages import notices
from pi_agent.python import json_reader, lazy_orjson
from pi_agent.python.records import record
from pi_agent.state import documents, json_merge
from pi_agent.state.document_kinds import Kind
from pi_agent.state.documents import Memory
from pi_agent.state.mirror import Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

MEMORY: Final = "memory.json"
_VERSION: Final = 1
_NUMBERS: Final = 8  # per file: its signatures on both sides


class SyncMemory:
    """What sync remembers between launches."""

    def __init__(self, files: Manifest, known: Mapping[str, Memory]) -> None:
        self.files = files
        self.documents = known

    def document(self, kind: Kind) -> Memory:
        """The memory of a document."""
        return self.documents.get(kind.name, documents.nothing_known())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncMemory):
            return NotImplemented
        # Documents are compared as JSON, where 1 and true differ.
        return self.files == other.files and json_merge.same(self._documents_to_json(), other._documents_to_json())

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> bytes:
        """The memory as JSON, for its file."""
        files = {_to_text(name): numbers for name, numbers in self.files.items()}
        value = {"version": _VERSION, "files": files, "documents": self._documents_to_json()}
        content: bytes = lazy_orjson.orjson().dumps(value)
        return content

    def _documents_to_json(self) -> dict[str, Any]:
        return {name: documents.memory_to_json(memory) for name, memory in self.documents.items()}

    @staticmethod
    def from_json(content: bytes) -> SyncMemory:
        """The inverse of to_json. Raises ValueError, KeyError, TypeError, AttributeError or RecursionError."""
        value = json_reader.loads(content)
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}")
        files = {_from_text(name): numbers for name, numbers in value["files"].items()}
        if not all(isinstance(numbers, list) and len(numbers) == _NUMBERS for numbers in files.values()):
            raise ValueError(f"a file has other than {_NUMBERS} numbers")
        return SyncMemory(
            files, {name: documents.memory_from_json(entry) for name, entry in value["documents"].items()}
        )


def _to_text(name: str) -> str:
    """A file name as JSON can hold it. A name may have any bytes; each becomes the character with the same number."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def _from_text(text: str) -> str:
    """The inverse of _to_text."""
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))


@record
class Recalled:
    """memory: what was remembered. version: the signature of its file, None without one. notices: for the user."""

    memory: SyncMemory
    version: Signature | None
    notices: tuple[str, ...] = ()


def recall(directory: int | None) -> Recalled:
    """What was remembered in the open directory, which is None if it does not exist yet. Must run as root.

    A memory that cannot be read is dropped, with a notice; everything is then copied again. Raises OSError.
    """
    nothing = SyncMemory({}, {})
    if directory is None:
        return Recalled(nothing, None)
    try:
        descriptor = os.open(MEMORY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return Recalled(nothing, None)
    with open(descriptor, "rb") as file:
        version = signature_of(os.fstat(descriptor))
        content = file.read()
    try:
        return Recalled(SyncMemory.from_json(content), version)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Recalled(nothing, version, (notices.sync_memory_unreadable(str(error)),))


def is_current(recalled: Recalled, directory: int) -> bool:
    """Whether the memory in the open directory is still the recalled one. Must run as root."""
    try:
        status = os.stat(MEMORY, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return recalled.version is None
    return signature_of(status) == recalled.version


def remember(directory: int, memory: SyncMemory) -> None:
    """Store the memory in the open directory for the next launch. Must run as root. Raises OSError."""
    files.replace(directory, MEMORY, memory.to_json())
