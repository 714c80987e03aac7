"""Entries of a scanned tree: the kind, permissions and signature of each file and directory."""

from __future__ import annotations

import os
import stat

from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.python.records import record
from pi_agent.python.standard import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TypeAlias


class Kind(Enum):
    """What an entry is. OTHER (links, pipes, sockets, devices) occurs only in a scan of the isolated tree."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"


_KINDS: Final = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY}


@record
class Entry:
    """kind; mode: permission bits; signature: see signatures.py."""

    kind: Kind
    mode: int
    signature: Signature

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.signature[1]


Tree: TypeAlias = "Mapping[str, Entry]"


def entry_of(status: os.stat_result) -> Entry:
    """The entry for a stat result."""
    mode = status.st_mode
    return Entry(_KINDS.get(stat.S_IFMT(mode), Kind.OTHER), stat.S_IMODE(mode), signature_of(status))
