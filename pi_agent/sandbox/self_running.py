"""Reports what a session left in the project that the host may run by itself. Changes nothing.

Existing protected paths cannot be changed inside, but new ones can be made: a hooks directory in a repository that had
none, an `.envrc`, an editor's task, a script in `package.json`. Whoever next enters, opens or commits in the project
would run them. The search is short: the places that are protected, a few levels deep.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import files, paths
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.linux.signatures import signature_of
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python import json_reader
from pi_agent.sandbox import project_search
from pi_agent.sandbox.project_search import ProjectView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

# In addition to the protected paths: files that every project edits and of which only a part runs by itself, and a file
# that points git to another configuration.
_PACKAGE: Final = "package.json"
_FURTHER: Final = (_PACKAGE, ".git/commondir")
_INERT: Final = ".sample"  # git's example hooks, in every new repository
_DEPTH: Final = 3
_FILES_AT_MOST: Final = 5000
_PACKAGE_AT_MOST: Final = 1024**2
# Path relative to the project root → a value that differs between versions.
Snapshot = dict[str, object]


def look(policy: Policy, caller: Identity, project: Project) -> Snapshot:
    """The current version of everything in the project that runs by itself."""
    ground = ProjectView(project.descriptor, project.root, caller)
    return snapshot(ground, project.directory, policy.sandbox.protected_paths)


def snapshot(ground: ProjectView, directory: str, protected: Iterable[str]) -> Snapshot:
    """The current version of everything that runs by itself. Never raises: what cannot be read counts as missing."""
    found: Snapshot = {}
    with acting_as(ground.viewer):
        for path in project_search.find(ground, directory, [*protected, *_FURTHER]):
            for name, version in _versions(ground, path, _DEPTH):
                found[name] = version
                if len(found) >= _FILES_AT_MOST:
                    return found
    return found


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """The paths that are new or changed. A pure function."""
    # If the first snapshot reached the limit, a path missing from it may only have been cut off.
    known = before.keys() if len(before) >= _FILES_AT_MOST else after.keys()
    return sorted(path for path in known & after.keys() if after[path] not in (None, before.get(path)))


def _versions(ground: ProjectView, path: str, depth: int) -> Iterator[tuple[str, object]]:
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, path)
    except OSError:
        outward = project_search.link(ground, path)
        if outward is not None:
            yield path, outward
        return
    try:
        status = os.fstat(looked)
        if stat.S_ISDIR(status.st_mode):
            names = _names(looked) if depth else []
        else:
            yield path, _scripts(looked, status) if os.path.basename(path) == _PACKAGE else signature_of(status)
            return
    finally:
        os.close(looked)
    for name in names:
        if name.endswith(_INERT):
            continue
        yield from _versions(ground, f"{path}/{name}", depth - 1)


def _names(looked: int) -> list[str]:
    try:
        directory = paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return os.listdir(directory)
    finally:
        os.close(directory)


def _scripts(looked: int, status: os.stat_result) -> object:
    """The scripts of an open package.json, None if it has none; its signature if it cannot be parsed."""
    try:
        descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK)
        try:
            value = json_reader.loads(files.read(descriptor, _PACKAGE_AT_MOST))
        finally:
            os.close(descriptor)
    except (OSError, ValueError, RecursionError):
        return signature_of(status)
    return value.get("scripts") if isinstance(value, dict) else None
