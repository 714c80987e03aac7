"""settings.json, auth.json and their like: JSON objects that the host, Pi inside the sandbox and Nix contribute to.

A change that Pi makes inside overrides the host's document, until the host's file says something new at the same place.
The Nix settings override both.
"""

from __future__ import annotations

import os

from pi_agent.linux import directories, files
from pi_agent.linux.errors import reason
from pi_agent.messages import notices, reasons, refusals
from pi_agent.python import lazy_orjson
from pi_agent.python.records import record
from pi_agent.state import json_merge, pi_lock
from pi_agent.state.document_kinds import Kind
from pi_agent.state.host_config import HostTree
from pi_agent.state.json_merge import REMOVED, Changes, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Final

BYTES_AT_MOST: Final = 4 * 1024**2
_NESTED_AT_MOST: Final = 100
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@record
class Memory:
    """What is remembered of a document: the host's version, what was last written, and choices made inside.

    host_text, written_text: the text of the two files, if known. A file that still has that text, byte for byte, need
    not be parsed.
    """

    host: Json
    written: Json
    choices: Changes
    host_text: bytes | None = None
    written_text: bytes | None = None

    def with_texts(self, host: bytes | None, written: bytes | None) -> Memory:
        """This memory, with the current text of the two files."""
        return Memory(self.host, self.written, self.choices, host, written)


def nothing_known() -> Memory:
    """The memory of a document that was never merged."""
    return Memory({}, {}, {})


@record
class Document:
    """The value and the text of a file. text is None if no file exists that can be parsed."""

    value: Json
    text: bytes | None


def merged(
    kind: Kind, memory: Memory, inside: Mapping[str, Any], host: Mapping[str, Any], nix: Mapping[str, Any]
) -> Memory:
    """The next memory. Its `written` is the next content of the isolated file. A pure function."""
    news = json_merge.changes(memory.written, inside, kind.depth)
    choices = json_merge.recorded(memory.choices, news)
    choices = {
        path: kind.reduced(value, host.get(path[0]))
        for path, value in choices.items()
        if kind.lasts(path, value, host.get(path[0]))
    }
    choices = json_merge.without(choices, json_merge.changes(memory.host, host, kind.depth))
    return Memory(dict(host), json_merge.overridden(json_merge.applied(host, choices), nix), choices)


def memory_to_json(memory: Memory) -> Json:
    """memory as JSON. A choice is a path and, unless it removes the value, a value."""
    choices = [[list(path)] if value is REMOVED else [list(path), value] for path, value in memory.choices.items()]
    # Both are UTF-8; otherwise they could not have been parsed.
    texts = {
        name: text.decode()
        for name, text in (("hostText", memory.host_text), ("writtenText", memory.written_text))
        if text is not None
    }
    return {"host": memory.host, "written": memory.written, "choices": choices, **texts}


def memory_from_json(value: Mapping[str, Any]) -> Memory:
    """The inverse of memory_to_json. Raises KeyError, TypeError or ValueError for anything else."""
    choices: Changes = {}
    for path, *rest in value["choices"]:
        if not path or not all(isinstance(key, str) for key in path):
            raise ValueError(f"{path!r} is not a path")
        choices[tuple(path)] = rest[0] if rest else REMOVED
    texts = (value[name].encode() if name in value else None for name in ("hostText", "writtenText"))
    return Memory(dict(value["host"]), dict(value["written"]), choices, *texts)


def read_host(tree: HostTree, name: str, memory: Memory | None = None) -> Document:
    """The host's document; {} if it does not exist. Must run as the host user. Raises Refusal (65) with the place."""
    where = f"{tree.path}/{name}"
    try:
        descriptor = tree.open(name)
    except FileNotFoundError:
        return Document({}, None)
    except OSError as error:
        raise refusals.document_invalid(where, error.strerror or str(error)) from error
    try:
        text = files.read(descriptor, BYTES_AT_MOST)
        if memory and text == memory.host_text:
            return Document(memory.host, text)
        return Document(_parse(text.removeprefix(_BYTE_ORDER_MARK)), text)  # as Pi reads it
    except ValueError as error:
        raise refusals.document_invalid(where, str(error)) from error
    except OSError as error:
        raise refusals.config_unreadable(where, reason(error)) from error
    finally:
        os.close(descriptor)


@record
class Plan:
    """What is to happen to an isolated document.

    known, host, nix: what it is made of, together with `inside`: our memory of it, the host's document, the Nix
    settings. inside: what the file says now, None if no file exists that can be parsed. unreadable: why an existing
    file cannot be parsed. abandoned: whether a killed sync has left its lock. after: the next memory, whose `written`
    is the file's next content.
    """

    kind: Kind
    known: Memory
    host: Document
    nix: Mapping[str, Any]
    inside: Document | None
    unreadable: str | None
    abandoned: bool
    after: Memory

    @property
    def changes_nothing(self) -> bool:
        """Whether the file already has its next content, and no lock must be removed."""
        return not self.abandoned and self.is_current

    @property
    def is_current(self) -> bool:
        """Whether the file already has its next content."""
        if self.inside is None:
            return self.unreadable is None and not self.after.written
        return json_merge.same(self.inside.value, self.after.written)

    @property
    def unchanged(self) -> Memory:
        """The next memory if the file stays as it is."""
        return self.after.with_texts(self.host.text, None if self.inside is None else self.inside.text)

    @property
    def changes(self) -> Changes:
        """How the file's content will change."""
        said = {} if self.inside is None else self.inside.value
        return json_merge.changes(said, self.after.written, self.kind.depth)


@record
class Done:
    """memory: the next one. notices: for the user."""

    memory: Memory
    notices: tuple[str, ...]


def plan(directory: int | None, kind: Kind, known: Memory, host: Document, nix: Mapping[str, Any]) -> Plan:
    """Plan the document in the open directory, which is None if it does not exist yet. Changes nothing.

    Must run as the owner. known: our memory of the document.
    """
    inside, unreadable = (None, None) if directory is None else _read_isolated(directory, kind.name, known)
    said = known.written if inside is None else inside.value
    abandoned = directory is not None and pi_lock.is_abandoned(directory, kind.name)
    return Plan(kind, known, host, nix, inside, unreadable, abandoned, merged(kind, known, said, host.value, nix))


def carry_out(planned: Plan, directory: int, waiting: Callable[[], None] = lambda: None) -> Done:
    """Write the document in the open directory, under Pi's own lock. Must run as the owner.

    A running Pi may change the document at any time, so it is planned again while waiting for the lock, and once more
    when the lock is held. An isolated file that is not a JSON object is kept under another name, with a notice.
    waiting: called once, if the wait takes long. Raises OSError if the file cannot be written.
    """
    lock = pi_lock.PiLock(directory, planned.kind, waiting)
    while not planned.changes_nothing:
        held = lock.take()
        try:
            planned = plan(directory, planned.kind, planned.known, planned.host, planned.nix)
            if held:
                return _written(planned, directory)
        finally:
            if held:
                lock.release()
    return Done(planned.unchanged, ())


def _written(planned: Plan, directory: int) -> Done:
    """Write the file, unless it already has its next content."""
    if planned.is_current:
        return Done(planned.unchanged, ())
    name = planned.kind.name
    told: tuple[str, ...] = ()
    if planned.unreadable is not None:
        kept = directories.move_aside(directory, name)
        told = (notices.isolated_file_replaced(name, planned.unreadable, kept),)
    if planned.inside is None and not planned.after.written:
        return Done(planned.unchanged, told)
    text = _text(planned.after.written)
    files.replace(directory, name, text)
    return Done(planned.after.with_texts(planned.host.text, text), told)


def _read_isolated(directory: int, name: str, memory: Memory) -> tuple[Document | None, str | None]:
    """The isolated document, None if no file exists that can be parsed; and why an existing file cannot be parsed."""
    try:
        text = files.read_named(directory, name, BYTES_AT_MOST)
        if text is None:
            return None, None
        return Document(memory.written if text == memory.written_text else _parse(text), text), None
    except OSError as error:
        return None, error.strerror or str(error)
    except ValueError as error:
        return None, str(error)


def _parse(content: bytes) -> Json:
    value = lazy_orjson.orjson().loads(content)
    if not isinstance(value, dict):
        raise ValueError(reasons.NOT_AN_OBJECT)
    if _depth(value) > _NESTED_AT_MOST:
        raise ValueError(reasons.nested_deeper_than(_NESTED_AT_MOST))
    return value


def _text(value: Json) -> bytes:
    orjson = lazy_orjson.orjson()
    content: bytes = orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
    return content


def _depth(value: object) -> int:
    """The levels of nesting, counted without recursion, so that the input cannot exhaust the stack."""
    level, layer = 0, [value]
    while layer := [child for item in layer if isinstance(item, dict | list) for child in _children(item)]:
        level += 1
        if level > _NESTED_AT_MOST:
            break
    return level


def _children(item: Json | list[Any]) -> Iterator[Any]:
    yield from item.values() if isinstance(item, dict) else item
