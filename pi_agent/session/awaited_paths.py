"""Learns when something returns to paths that are gone (inotify(7)).

Runs as root. Each directory on the way to such a path is watched, since it may be removed and made again as well.
"""

from __future__ import annotations

import os

from pi_agent.linux import inotify, paths
from pi_agent.linux.identities import acting_as
from pi_agent.python.standard import suppress
from pi_agent.sandbox.project_search import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pi_agent.sandbox.project_search import ProjectView


def around(gone: Iterable[str]) -> set[str]:
    """The paths at which something that happens can be the return of one of those that are gone."""
    return {step for path in gone for step in chain(path) if step}


def watch(ground: ProjectView, queue: int, gone: Iterable[str]) -> None:
    """Have the queue told what comes to these paths, and what happens on the way. Raises OSError; ENOSPC."""
    for directory in sorted({os.path.dirname(path) for path in around(gone)}):
        opened = _opened(ground, directory)
        if opened is not None:
            try:
                inotify.add(queue, opened, inotify.NAMES)
            finally:
                os.close(opened)


def exists(ground: ProjectView, path: str) -> bool:
    """Whether something is at the path, without following a link there."""
    above = _opened(ground, os.path.dirname(path))
    if above is None:
        return False
    try:
        with suppress(OSError):
            os.stat(os.path.basename(path), dir_fd=above, follow_symlinks=False)
            return True
        return False
    finally:
        os.close(above)


def _opened(ground: ProjectView, directory: str) -> int | None:
    with suppress(OSError), acting_as(ground.viewer):
        return paths.walk_inside(ground.descriptor, ground.root, directory)
    return None
