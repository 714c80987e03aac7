"""Arranges what was found for its reader: by who would run it, the most dangerous first. Pure functions.

An agent chooses the names and the number of files. So the order goes by danger and by place, not by name; many files of
one directory are one line; and what no line has room for is counted, and in the journal.
"""

from __future__ import annotations

from pi_agent.messages import self_running_texts as texts
from pi_agent.python.records import record
from pi_agent.sandbox.self_running import rules
from pi_agent.sandbox.self_running.comparison import Unseen
from pi_agent.sandbox.self_running.judgement import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_TOGETHER: Final = 5  # more files than this in one directory are one line
_LINES_AT_MOST: Final = 30  # of one group
_NAMED: Final = 6  # of many files in one directory
# What git runs most often, so that other names do not hide it. githooks(5)
_OFTEN: Final = (
    *("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-commit", "prepare-commit-msg", "commit-msg"),
    *("post-commit", "reference-transaction", "pre-push", "post-merge", "pre-rebase", "post-rewrite"),
)
# By what a file does, the first that git asks first.
_BY_KIND: Final = (rules.CONFIGURATION, rules.POINTER, rules.HOOK)


@record
class Report:
    """What a look after a session has found. items: in the order of danger. unseen: what it could not see."""

    items: tuple[Item, ...]
    unseen: tuple[Unseen, ...]


def ordered(items: Sequence[Item], groups: Sequence[str]) -> list[Item]:
    """The items, the most dangerous first. groups: who runs them, in that order."""

    def danger(item: Item) -> tuple[object, ...]:
        kind = _BY_KIND.index(item.rule.kind) if item.rule.kind in _BY_KIND else len(_BY_KIND)
        name = item.path.rpartition("/")[2]
        often = _OFTEN.index(name) if name in _OFTEN else len(_OFTEN)
        group = groups.index(item.rule.group) if item.rule.group in groups else len(groups)
        return item.filled, not item.asks, group, kind, often, item.path.count("/"), item.path

    return sorted(items, key=danger)


def lines(items: Sequence[Item]) -> list[str]:
    """The items in the order given, under headings."""
    grouped: dict[str, list[Item]] = {}
    for item in items:
        heading = texts.IN_FILLED if item.filled else texts.RUN_BY[item.rule.group]
        grouped.setdefault(heading, []).append(item)
    written: list[str] = []
    for heading, found in grouped.items():
        written += [heading, *_of_group(found)]
    return written


def _of_group(items: Sequence[Item]) -> list[str]:
    bundles: list[list[Item]] = []
    plain: dict[str, list[Item]] = {}  # files of which there is nothing to say, by directory
    for item in items:
        folder = item.path.rpartition("/")[0]
        if item.what or folder not in plain:
            bundles.append([item])
            if not item.what:
                plain[folder] = bundles[-1]
        else:
            plain[folder].append(item)
    written: list[str] = []
    left = len(items)
    for bundle in bundles:
        if len(written) >= _LINES_AT_MOST:
            return [*written, texts.more(left)]
        written += _of_bundle(bundle)
        left -= len(bundle)
    return written


def _of_bundle(items: Sequence[Item]) -> list[str]:
    if len(items) <= _TOGETHER:
        return [texts.item(item.path, item.what) for item in items]
    folder = items[0].path.rpartition("/")[0]
    return [texts.many(folder, len(items), [item.path.rpartition("/")[2] for item in items[:_NAMED]])]
