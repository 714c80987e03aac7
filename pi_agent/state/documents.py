"""settings.json and auth.json: JSON objects that the host, Pi inside the sandbox and Nix all contribute to.

Three sources, the later wins: what Pi changed inside since we last wrote, what the host says, what Nix says. A choice
made inside stands until the host's file says something new at the same place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from pi_agent.linux import directories, files
from pi_agent.messages import notices, reasons, refusals
from pi_agent.python import lazy_orjson
from pi_agent.python.records import record
from pi_agent.state import json_merge, pi_lock
from pi_agent.state.host_config import HostTree
from pi_agent.state.json_merge import REMOVED, Changes, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

BYTES_AT_MOST: Final = 4 * 1024**2
_NESTED_AT_MOST: Final = 100


@record
class Kind:
    """name: the file's. depth: levels of objects that merge. never_inside: keys that a choice inside cannot set."""

    name: str
    depth: int
    never_inside: frozenset[str] = frozenset()


# Code that Pi loads or runs: what the agent could write here would outlive the session it was written in.
CODE_KEYS: Final = frozenset(
    {
        "packages",
        "extensions",
        "skills",
        "prompts",
        "themes",
        "npmCommand",
        "shellPath",
        "shellCommandPrefix",
    }
)
SETTINGS: Final = Kind("settings.json", 16, CODE_KEYS)
# One level: a provider's entry holds tokens that belong together.
AUTH: Final = Kind("auth.json", 1)


@record
class Memory:
    """What we know of a document from the last time: the host's version, what we wrote, and choices made inside.

    host_text, written_text: the same as the two files had it, where known. A file that still says that byte for byte
    need not be parsed.
    """

    host: Json
    written: Json
    choices: Changes
    host_text: bytes | None = None
    written_text: bytes | None = None

    def with_texts(self, host: bytes | None, written: bytes | None) -> Memory:
        """This memory, with what the two files say now."""
        return Memory(self.host, self.written, self.choices, host, written)


def nothing_known() -> Memory:
    """The memory of a document that was never merged."""
    return Memory({}, {}, {})


@record
class Document:
    """What a file says, and its text; no text where there is no file that can be understood."""

    value: Json
    text: bytes | None


def merged(
    kind: Kind, memory: Memory, inside: Mapping[str, Any], host: Mapping[str, Any], nix: Mapping[str, Any]
) -> Memory:
    """The next memory, whose `written` is what the isolated file must now say. A pure function."""
    news = json_merge.changes(memory.written, inside, kind.depth)
    choices = json_merge.recorded(memory.choices, news)
    choices = {path: value for path, value in choices.items() if path[0] not in kind.never_inside}
    choices = json_merge.without(choices, json_merge.changes(memory.host, host, kind.depth))
    return Memory(dict(host), json_merge.overridden(json_merge.applied(host, choices), nix), choices)


def memory_to_json(memory: Memory) -> Json:
    """memory as JSON; a choice is a path and, unless it removes, a value."""
    choices = [[list(path)] if value is REMOVED else [list(path), value] for path, value in memory.choices.items()]
    # Both are UTF-8, or they could not have been parsed.
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
    """The host's document, {} when there is none. Must run as the host user. Raises Refusal (65) naming the place."""
    where = f"{tree.path}/{name}"
    try:
        descriptor = tree.open(name)
    except FileNotFoundError:
        return Document({}, None)
    except OSError as error:
        raise refusals.document_invalid(where, error.strerror or str(error)) from error
    try:
        text = files.read(descriptor, BYTES_AT_MOST)
        return Document(memory.host if memory and text == memory.host_text else _parse(text), text)
    except ValueError as error:
        raise refusals.document_invalid(where, str(error)) from error
    finally:
        os.close(descriptor)


@record
class Plan:
    """What is to become of an isolated document.

    known, host, nix: what it is made of, with `inside`: our memory of it, the host's document, what Nix says. inside:
    what the file says now, None when there is none that can be understood; unreadable: why one that exists cannot be.
    abandoned: whether a killed sync has left its lock. after: the next memory, whose `written` is the file's next
    content.
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
        """Whether the file already says what it has to say, and no lock is to be removed."""
        return not self.abandoned and self.is_current

    @property
    def is_current(self) -> bool:
        """Whether the file already says what it has to say."""
        if self.inside is None:
            return self.unreadable is None and not self.after.written
        return json_merge.same(self.inside.value, self.after.written)

    @property
    def unchanged(self) -> Memory:
        """The next memory where the file stays as it is."""
        return self.after.with_texts(self.host.text, None if self.inside is None else self.inside.text)

    @property
    def changes(self) -> Changes:
        """What the file will say that it does not say now."""
        said = {} if self.inside is None else self.inside.value
        return json_merge.changes(said, self.after.written, self.kind.depth)


@record
class Done:
    """memory: the next one. notices: what the user is to be told."""

    memory: Memory
    notices: tuple[str, ...]


def plan(directory: int | None, kind: Kind, known: Memory, host: Document, nix: Mapping[str, Any]) -> Plan:
    """What is to become of the document in the open directory, None where that does not exist yet. Changes nothing.

    Must run as the agent. known: our memory of it.
    """
    inside, unreadable = (None, None) if directory is None else _read_isolated(directory, kind.name, known)
    said = known.written if inside is None else inside.value
    abandoned = directory is not None and pi_lock.is_abandoned(directory, kind.name)
    return Plan(kind, known, host, nix, inside, unreadable, abandoned, merged(kind, known, said, host.value, nix))


def carry_out(planned: Plan, directory: int) -> Done:
    """Write the document in the open directory, under Pi's own lock. Must run as the agent.

    A running Pi may change it at any time: while the lock is waited for, and again when it is held, the document is
    planned anew. An isolated file that is no JSON object is kept under another name, with a notice. Raises OSError when
    the file cannot be written.
    """
    lock = pi_lock.PiLock(directory, planned.kind.name)
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
    """Write the file, unless it says already what it has to say."""
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
    """The isolated document, None when there is none that can be understood; and why one that is there cannot be."""
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
    """Levels of nesting, counted without recursion: the caller's stack must not depend on the input."""
    level, layer = 0, [value]
    while layer := [child for item in layer if isinstance(item, dict | list) for child in _children(item)]:
        level += 1
        if level > _NESTED_AT_MOST:
            break
    return level


def _children(item: Json | list[Any]) -> Iterator[Any]:
    yield from item.values() if isinstance(item, dict) else item
