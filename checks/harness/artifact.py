"""What is built once for each set of inputs, kept in the cache and shared by all checkouts.

A half-built one has another name, and one that is whole never changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import layout

KEPT: Final = 2


def ensure(kind: str, key: str, build: Callable[[Path, Path], None]) -> Path:
    """Return the `kind` named `key`. Where it is missing, `build(draft, log)` has to make the directory `draft`."""
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
    """Keep the newest only: a base takes a gigabyte. Machines are copies and do not need theirs."""
    others = [path for path in newest.parent.glob(f"{kind}-*") if path.is_dir() and path != newest]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
