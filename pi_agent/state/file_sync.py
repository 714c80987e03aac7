"""The files of the configuration, apart from the documents: where they are, what is to happen to them, doing it.

There are two areas: Pi's agent directory, and the skills in `~/.agents` that several agents share. In each, a name that
holds code or instructions matches the host exactly (mirror.py).
"""

from __future__ import annotations

import os

from pi_agent.linux import directories, paths, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import notices
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager
from pi_agent.state import host_config, mirror, pi_files, scans
from pi_agent.state.host_config import HostTree
from pi_agent.state.mirror import HostFiles, Manifest
from pi_agent.state.tree_entries import Entry, Tree, entry_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final, TypeAlias

# Opens a directory by name in an open one.
Enter: TypeAlias = "Callable[[int, str], int]"
_COMMANDS: Final = "commands"
_PROMPTS: Final = "prompts"
_SHARED: Final = f"{pi_files.SHARED_SKILLS}/skills"


@record
class Sides:
    """The two sides of a sync. host: the host user's configuration, open; None if there is none, or sync is off."""

    policy: Policy
    caller: Identity
    owner: Identity
    host: HostTree | None


@record
class Area:
    """A directory inside whose files follow the host's.

    prefix: of its files in sync's memory; only one begins with a slash. is_skipped, is_mirrored: of names at its top.
    cleared: paths in it that are removed at each start.
    """

    prefix: str
    is_skipped: Callable[[str], bool]
    is_mirrored: Callable[[str], bool]
    cleared: tuple[str, ...]

    def mirroring(self, names: frozenset[str]) -> Area:
        """The area in which these names at the top are mirrored as well."""
        return Area(self.prefix, self.is_skipped, lambda name: name in names or self.is_mirrored(name), self.cleared)

    def remembered(self, manifest: Manifest) -> Manifest:
        """What is remembered of the area's files, by path in it."""
        if not self.prefix:
            return {name: numbers for name, numbers in manifest.items() if not name.startswith("/")}
        return {name[1:]: numbers for name, numbers in manifest.items() if name.startswith(self.prefix)}


AGENT_DIRECTORY: Final = Area("", pi_files.is_skipped, pi_files.is_mirrored, pi_files.CLEARED)
HOME: Final = Area("/", pi_files.is_no_shared_skill, pi_files.is_shared_skill, pi_files.CLEARED_IN_HOME)
AREAS: Final = (AGENT_DIRECTORY, HOME)


@record
class HostArea:
    """What the host has for an area. entries: by path in it. moved: see HostFiles. notices: for each entry left out."""

    entries: Tree
    moved: tuple[str, str] | None
    notices: tuple[str, ...]


@record
class FilePlan:
    """What is to happen in an area. overgrown: names at its top to move aside first."""

    area: Area
    overgrown: tuple[str, ...]
    work: mirror.Plan

    @property
    def changes_nothing(self) -> bool:
        """Whether the area is already as it should be."""
        return not (self.overgrown or self.work.remove or self.work.make or self.work.copy)


# -- planning


def on_host(sides: Sides) -> tuple[HostArea, ...]:
    """What the host has for each of AREAS. Must run as the host user. Raises Refusal (65)."""
    with _tree_of(HOME, sides) as skills:
        return (_configuration(sides.host), _skills(skills))


@contextmanager
def _tree_of(area: Area, sides: Sides) -> Iterator[HostTree | None]:
    """The host's directory that an area follows, open; None if there is none. Raises Refusal (65)."""
    if area.prefix == AGENT_DIRECTORY.prefix:
        yield sides.host
        return
    with acting_as(sides.caller):
        skills = host_config.open_shared_skills(sides.policy, sides.caller)
    try:
        yield skills
    finally:
        if skills is not None:
            os.close(skills.descriptor)


def _configuration(tree: HostTree | None) -> HostArea:
    if tree is None:
        return HostArea({}, None, ())
    found = scans.scan_host(tree, pi_files.is_skipped)
    if _COMMANDS not in found.entries or _PROMPTS in found.entries:
        return HostArea(found.entries, None, found.notices)
    # Pi would rename it so at its start, each time anew.
    entries = {_renamed(name): entry for name, entry in found.entries.items()}
    return HostArea(entries, (_PROMPTS, _COMMANDS), found.notices)


def _renamed(name: str) -> str:
    return _PROMPTS + name[len(_COMMANDS) :] if paths.contains(_COMMANDS, name) else name


def _skills(tree: HostTree | None) -> HostArea:
    if tree is None:
        return HostArea({}, None, ())
    found = scans.scan_host(tree, lambda name: False)
    folder = entry_of(os.fstat(tree.descriptor))
    entries = {pi_files.SHARED_SKILLS: folder, _SHARED: folder}
    entries |= {f"{_SHARED}/{name}": entry for name, entry in found.entries.items()}
    return HostArea(entries, (_SHARED, ""), found.notices)


def plan(area: Area, isolated: int | None, host: HostArea, manifest: Manifest, enter: Enter) -> FilePlan:
    """Plan the files of an area. Must run as the owner.

    isolated: the area, open; None if it does not exist. manifest: what sync remembers. enter: see scans.scan_isolated.
    """
    manifest = area.remembered(manifest)
    known = {name for name in host.entries if "/" not in name} | {name.partition("/")[0] for name in manifest}
    if isolated is None:
        return FilePlan(area, (), mirror.plan(host.entries, {}, manifest, area.is_mirrored))
    present, overgrown = _scanned(area, isolated, known, enter)
    work = mirror.plan(host.entries, present, manifest, area.is_mirrored)
    cleared = [name for name in area.cleared if _exists(isolated, name)]
    return FilePlan(area, overgrown, mirror.Plan((*cleared, *work.remove), work.make, work.copy))


def _scanned(area: Area, isolated: int, known: set[str], enter: Enter) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Scan the part of the isolated tree that sync manages; the agent's own files there may have any size.

    Also returns the names that exceed the limits. They count as missing.
    """
    overgrown: list[str] = []

    def wanted(name: str) -> bool:
        managed = name in known or area.is_mirrored(name)
        return managed and not area.is_skipped(name) and name not in overgrown

    while True:
        try:
            return scans.scan_isolated(isolated, wanted, enter), tuple(overgrown)
        except scans.Overgrown as found:
            overgrown.append(found.name)


def _exists(top: int, path: str) -> bool:
    """Whether something is at the path, no link followed. What is closed to its owner may hold it."""
    folder, _, name = path.rpartition("/")
    try:
        directory = directories.peek_path(top, folder)
        try:
            os.stat(name, dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(directory)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


# -- carrying out


def carry_out(planned: FilePlan, host: HostArea, sides: Sides, isolated: int) -> mirror.Done:
    """Carry out the plan in the open area. Returns the files that were copied, by name in sync's memory, and notices.

    Raises OSError if the isolated tree cannot be written, Refusal (65) if the host's files have grown beyond the limit.
    """
    with acting_as(sides.owner):
        told = _moved_aside(isolated, planned.overgrown)
    with _tree_of(planned.area, sides) as tree:
        files = HostFiles(tree, host.moved)
        done = mirror.carry_out(planned.work, files, sides.caller, sides.owner, isolated)
    copied = {planned.area.prefix + name: each for name, each in done.copied.items()}
    return mirror.Done(copied, (*told, *done.notices))


def _moved_aside(isolated: int, overgrown: Sequence[str]) -> Sequence[str]:
    """Move aside what exceeds the limits, and return the notices. Must run as the owner."""
    told = []
    for name in overgrown:
        with directories.suppress_gone():
            if name.startswith(directories.OURS):  # left by a killed sync, or named to look so
                removal.remove(isolated, name)
            else:
                told.append(notices.isolated_path_overgrown(name, directories.move_aside(isolated, name)))
    return told
