"""Artifacts that are built once per set of inputs, kept in the cache and shared by all checkouts.

An unfinished artifact has another name. A finished one never changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import layout

KEPT: Final = 2


def ensure(kind: str, key: str, build: Callable[[Path, Path], None]) -> Path:
    """Return the `kind` named `key`. If it is missing, `build(draft, log)` must make the directory `draft`."""
    whole = layout.cache() / f"{kind}-{key}"
    with layout.locked(layout.cache() / kind):
        if not whole.exists():
            draft = whole.with_name(f"{whole.name}.new")
            log = whole.with_name(f"{whole.name}.log")
            shutil.rmtree(draft, ignore_errors=True)
            log.unlink(missing_ok=True)
            build(draft, log)
            draft.rename(whole)
            forget_old(kind, whole)
    return whole


def forget_old(kind: str, newest: Path) -> None:
    """Keep only the newest: a base takes a gigabyte. Machines are copies and do not need theirs."""
    others = [path for path in newest.parent.glob(f"{kind}-*") if path.is_dir() and path != newest]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
