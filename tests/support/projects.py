"""Projects for tests, as a launch stages them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from pi_agent.linux.identities import Identity
from pi_agent.sandbox.project_search import ProjectView
from tests.support import people


@contextmanager
def ground(root: Path, viewer: Identity | None = None) -> Iterator[ProjectView]:
    """root as a staged project, with us or viewer as its viewer."""
    descriptor = os.open(root, os.O_PATH)
    try:
        yield ProjectView(descriptor, str(root), viewer if viewer is not None else people.agent(root))
    finally:
        os.close(descriptor)


_NAMES = ("a", "b", "c")
PARTS = st.sampled_from([*_NAMES, "..", ".", ""])
_TARGETS = st.one_of(
    st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    st.lists(PARTS, min_size=0, max_size=4).map(lambda parts: "/".join(["{top}", *parts])),
    st.sampled_from(["/", "/etc", "{top}/..", "{top}x", "../outside", "../../outside/a"]),
)
# What is at each name of a tree: a directory, a file, or a link.
TREES = st.dictionaries(
    st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join),
    st.one_of(st.just("directory"), st.just("file"), _TARGETS.map(lambda target: f"link {target}")),
    max_size=9,
)


def grown(top: Path, tree: dict[str, str]) -> None:
    """Make the tree below top, as far as its parts fit together."""
    for path, what in sorted(tree.items()):
        where = top / path
        try:
            # Never through a link that was made before.
            if os.path.realpath(where.parent) != str(where.parent) and where.parent != top:
                continue
            where.parent.mkdir(parents=True, exist_ok=True)
            if what == "directory":
                where.mkdir(exist_ok=True)
            elif what == "file":
                where.touch(exist_ok=False)
            else:
                where.symlink_to(what.removeprefix("link ").replace("{top}", str(top)) or ".")
        except OSError:
            continue
