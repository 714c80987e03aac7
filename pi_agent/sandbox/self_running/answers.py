"""What a host user has answered about files that run by themselves: to keep them or to disarm them.

An answer holds for exactly one root, path and content, and for what the content includes or names inside the project.
It is kept in root's own place, beside what sync remembers, so no agent can give one; a reset forgets it.
"""

from __future__ import annotations

import os

from pi_agent.linux import files, paths
from pi_agent.python.records import record
from pi_agent.sandbox import git_config, git_settings
from pi_agent.sandbox.git_settings import Effect
from pi_agent.sandbox.self_running import rules, seeing
from pi_agent.sandbox.self_running.judgement import Item
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

FILE: Final = "self-running-answers"
KEEP: Final = "keep"
DISARM: Final = "disarm"
_REMEMBERED_AT_MOST: Final = 2000
_FILE_AT_MOST: Final = 1 << 20
_NAMED_AT_MOST: Final = 200  # files that one configuration names


@record
class Digest:
    """What an answer is about, as a digest; None if not everything that belongs to it could be read."""

    item: Item
    value: str | None


def of(ground: Ground, item: Item) -> Digest:
    """The digest of an item as it is now."""
    import hashlib  # only a session that has left something needs it

    parts = [ground.root, item.path, item.rule.group, item.rule.kind]
    content = _read(ground, item.path)
    if content is None:
        return Digest(item, None)
    total = hashlib.sha256()
    for part in [*(os.fsencode(part) for part in parts), content]:
        total.update(b"%d:" % len(part) + part)
    for path in _named(ground, item, content):
        included = _read(ground, path)
        if included is None:
            return Digest(item, None)
        total.update(os.fsencode(path) + b"\0%d:" % len(included) + included)
    return Digest(item, total.hexdigest())


def recalled(memory: int) -> dict[str, str]:
    """Digest → answer. memory: the directory of what is remembered for this user, open."""
    try:
        content = files.read_named(memory, FILE, _FILE_AT_MOST) or b""
    except (OSError, ValueError):
        return {}
    pairs = [line.partition(" ") for line in content.decode("ascii", "replace").splitlines()]
    return {digest: answer for answer, _, digest in pairs if answer in (KEEP, DISARM)}


def remember(memory: int, known: Mapping[str, str], digests: Iterable[Digest], answer: str) -> None:
    """Add an answer about these to those that are known. Raises OSError."""
    merged = {**known, **{each.value: answer for each in digests if each.value is not None}}
    lines = [f"{given} {digest}\n" for digest, given in merged.items()]
    files.replace(memory, FILE, "".join(lines[-_REMEMBERED_AT_MOST:]).encode())


def _read(ground: Ground, path: str) -> bytes | None:
    """The content of the file at path; of a directory, the names and contents of its files. None if unreadable."""
    found = seeing.target(ground, path)
    if found is None:
        return None
    looked, real = found
    try:
        content = seeing.content_of(ground, looked)
        return content if content is not None else _directory(ground, looked, real)
    finally:
        os.close(looked)


def _directory(ground: Ground, looked: int, real: str) -> bytes | None:
    try:
        descriptor = seeing.reopened(ground, looked, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        names = sorted(os.listdir(descriptor))
        contents = [seeing.content(ground, descriptor, name) for name in names[:_NAMED_AT_MOST]]
    finally:
        os.close(descriptor)
    if len(names) > _NAMED_AT_MOST or None in contents:
        return None
    pairs = zip(names, contents, strict=True)
    return b"".join(os.fsencode(name) + b"\0%d:" % len(each) + each for name, each in pairs if each is not None)


def _named(ground: Ground, item: Item, content: bytes) -> Iterator[str]:
    """What a git configuration includes or names in the project, as paths below the root."""
    if item.rule.kind != rules.CONFIGURATION:
        return
    folder = item.path.rpartition("/")[0]
    places = (folder, folder.rpartition("/")[0])
    seen: set[str] = set()
    for setting in git_config.settings(content):
        effect = git_settings.effect_of(setting)
        if effect is None:
            continue
        for word in git_settings.words(setting.value) if effect is Effect.RUN else [setting.value]:
            for path in _places(ground, word, places):
                if path not in seen and (found := seeing.target(ground, path)) is not None:
                    os.close(found[0])
                    seen.add(path)
                    yield path


def _places(ground: Ground, word: str, places: Iterable[str]) -> Iterator[str]:
    if not word.startswith("/"):
        yield from (f"{place}/{word}" for place in places)
    elif paths.contains(ground.root, word):
        yield word[len(ground.root) :]
