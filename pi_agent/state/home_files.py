"""The few files that pi-agent keeps in the agent's home: planned by comparison, written as the owner.

No link is followed. Whatever occupies the place of a directory is moved aside. A name that the agent uses for something
of its own is left alone.
"""

from __future__ import annotations

import os

from pi_agent.linux import directories, files
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.python.records import record
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PROJECTS: Final = "projects"
_OWN_AT_MOST: Final = 1024**2  # bytes that are read to know whose a file is


@record
class HomeFile:
    """A file to write: its content, and its name in a folder of the home. mark: the first bytes of every version that
    we write, so that the agent's own file is left alone; empty if the name is always ours."""

    folder: str
    name: str
    content: bytes
    mark: bytes = b""

    @property
    def path(self) -> str:
        """The path, relative to the home."""
        return f"{self.folder}/{self.name}"


@record
class ProjectLink:
    """A link to make in the home, for convenience inside: `projects/<name>`, to the project root."""

    root: str

    @property
    def path(self) -> str:
        """The path, relative to the home."""
        return f"{_PROJECTS}/{os.path.basename(self.root)}"


def plan(home: int | None, wanted: HomeFile) -> HomeFile | None:
    """The file, or None if the open home needs no change. home: None if it does not exist. Must run as the owner."""
    directory = _open_folder(home, wanted.folder)
    if directory is None:
        return wanted
    try:
        return None if _stays(directory, wanted) else wanted
    finally:
        os.close(directory)


def plan_link(home: int | None, root: str) -> ProjectLink | None:
    """The link to the project root; None if it exists, or the agent uses that name itself. Must run as the owner."""
    link = ProjectLink(root)
    directory = _open_folder(home, _PROJECTS)
    if directory is None:
        return link
    try:
        return None if os.readlink(os.path.basename(root), dir_fd=directory) == root else link
    except FileNotFoundError:
        return link
    except OSError:  # not a link
        return None
    finally:
        os.close(directory)


def _open_folder(home: int | None, folder: str) -> int | None:
    """Open a folder of the open home; None if it does not exist or is inaccessible. Must run as the owner."""
    if home is None:
        return None
    try:
        return directories.peek_path(home, folder)
    except OSError:
        return None


def write(owner: Identity, state: State, wanted: HomeFile) -> None:
    """Write the file. Raises Refusal (69) if the tree cannot be written."""
    with acting_as(owner):
        try:
            directory = directories.ensure_path(state.home, wanted.folder)
            try:
                if not _stays(directory, wanted):  # a closed folder could not be read before
                    files.replace(directory, wanted.name, wanted.content)
            finally:
                os.close(directory)
        except OSError as error:
            raise refusals.state_not_writable(wanted.path, error) from error


def _stays(directory: int, wanted: HomeFile) -> bool:
    """Whether to leave the file in the open directory alone: it has that content already, or is the agent's own."""
    if not wanted.mark:
        return files.says(directory, wanted.name, wanted.content)
    try:
        current = files.read_named(directory, wanted.name, _OWN_AT_MOST)
    except (OSError, ValueError):
        return True
    return current is not None and (not current.startswith(wanted.mark) or current == wanted.content)


def make_link(owner: Identity, state: State, link: ProjectLink) -> None:
    """Make the link. Raises Refusal (69) if the tree cannot be written."""
    with acting_as(owner):
        try:
            projects = directories.ensure_path(state.home, _PROJECTS)
            try:
                _point(projects, os.path.basename(link.root), link.root)
            finally:
                os.close(projects)
        except OSError as error:
            raise refusals.state_not_writable(_PROJECTS, error) from error


def _point(directory: int, name: str, target: str) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        try:
            os.readlink(name, dir_fd=directory)
        except OSError:  # not a link: the agent uses the name itself
            return
        os.unlink(name, dir_fd=directory)
        os.symlink(target, name, dir_fd=directory)
