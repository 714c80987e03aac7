"""Checks of what pi-agent has on disk, and of the paths that the policy names. All need root."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pi_agent.cli.doctor import host_user_checks
from pi_agent.cli.doctor.context import Context
from pi_agent.environment import env_files, git_identity
from pi_agent.linux import directories, files, identities, processes
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import finding, findings, installation_refusals
from pi_agent.messages.finding import Finding
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.sandbox import mounts
from pi_agent.session import host_view, running_sessions, session_directory, session_names
from pi_agent.state import sync_directory, user_state
from pi_agent.state.pi_files import KEPT_CODE, KEPT_SETTINGS
from pi_agent.state.user_state import PI_AGENT_DIRECTORY

_GIT_SETTINGS_AT_MOST: Final = 1024**2  # bytes
_SECOND_LOOK: Final = 0.5  # seconds
# Where Pi and npm keep code from one session to the next.
_CODE: Final = (
    *(f"{PI_AGENT_DIRECTORY}/{name}" for name in KEPT_CODE),
    *(f".npm-global/{name}" for name in ("bin", "etc", "lib")),
    ".npm/_npx",
)


# -- state


def state(context: Context) -> Iterator[Finding]:
    """The state is what a launch needs, and closed to others.

    Raises Refusal where a launch would: 78 when the state directory is missing, not its owner's or cannot map owners,
    or when others could change sync's; 69 when it cannot be read or is being reset.
    """
    policy = context.policy
    owner = accounts.owner(policy)
    made = () if context.user is None else _made_by_launch(policy, accounts.of(policy, context.user))
    found: list[Finding] = []
    with _opened(policy, owner) as top:
        for path, allowed in _trees(context):
            status = _status(top, path)
            if status is not None and stat.S_ISDIR(status.st_mode):
                directory = f"{policy.state_dir}/{path}".rstrip("/")
                found += _permissions(directory, owner, policy.group, status, allowed)
        obstacles = dict.fromkeys(filter(None, (_obstacle(top, path) for path in made)))
    found += _sync_permissions(context)
    if not found:
        found += [findings.state_unusable(f"{policy.state_dir}/{path}") for path in obstacles]
    yield from found or [findings.state(policy.state_dir)]


@contextmanager
def _opened(policy: Policy, owner: Identity) -> Iterator[int]:
    """The state directory, open, as its owner. Raises Refusal (78) if it is missing."""
    with acting_as(owner):
        try:
            top = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise installation_refusals.state_missing(policy.state_dir, reason(error)) from error
        try:
            yield top
        finally:
            os.close(top)


def _made_by_launch(policy: Policy, of_caller: Accounts) -> tuple[str, ...]:
    """The directories that a launch would make, or put right, relative to the state directory."""
    found = user_state.look(policy, of_caller.owner, of_caller.caller.name)
    try:
        owners = mounts.owner_maps(of_caller)
        try:
            os.close(mounts.prepared_state(found.nearest, owners.state, of_caller)[0])
        finally:
            owners.close()
    finally:
        user_state.close(found)
    return tuple(path for path in found.make if not path.startswith("/"))


def _trees(context: Context) -> Iterator[tuple[str, int]]:
    """Directories of the state, and the most that their modes may allow."""
    yield from (("", 0o750), ("users", 0o750))
    if context.user is not None:
        yield (f"users/{context.user.name}", 0o700)


def _status(top: int, path: str) -> os.stat_result | None:
    """The status of what is at the relative path, no link followed; None if there is nothing that can be reached."""
    folder, _, name = path.rpartition("/")
    with suppress(OSError):
        parent = directories.peek_path(top, folder)
        try:
            return os.stat(name or ".", dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
    return None


def _obstacle(top: int, path: str) -> str | None:
    """What a launch moves aside, or opens up to its owner, to make the directory of that path; None if nothing."""
    names = path.split("/")
    for number in range(len(names)):
        here = "/".join(names[: number + 1])
        status = _status(top, here)
        if status is None:
            return None
        if not stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            return here
    return None


def _permissions(
    directory: str, owner: Identity, group: str, status: os.stat_result, allowed: int
) -> Iterator[Finding]:
    """What is wrong with the owner and the mode of a directory of the state. group: the owner's, by name."""
    mode = stat.S_IMODE(status.st_mode)
    if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
        yield findings.state_of_others(directory, owner.name, group)
    elif mode & ~allowed:
        yield findings.state_open_to_others(directory, mode, allowed, (owner.name, group))


def _sync_permissions(context: Context) -> Iterator[Finding]:
    """What is wrong with owner and mode of sync's directories, which are root's."""
    users = ["", *([] if context.user is None else [context.user.name])]
    for directory in (sync_directory.path(context.policy, user) for user in users):
        with suppress(OSError):
            yield from _permissions(directory, identities.root(), "root", os.lstat(directory), 0o700)


def kept_code(context: Context) -> Iterator[Finding]:
    """Nothing that one session left is run by the next one. Raises Refusal (78) if the state directory is missing."""
    if context.user is None:
        return
    with _opened(context.policy, accounts.owner(context.policy)) as top:
        code, settings = (
            [path for path in paths if _holds_something(top, f"users/{context.user.name}/{path}")]
            for paths in (_CODE, KEPT_SETTINGS)
        )
        settings += _git_settings(top, f"users/{context.user.name}")
    if code:
        yield findings.code_kept(code, context.policy.command_name)
    if settings:
        yield findings.settings_kept(settings, context.policy.command_name)


def _git_settings(top: int, home: str) -> list[str]:
    """git's user file, unless it has only a name and an e-mail. A link in its place is among KEPT_SETTINGS."""
    try:
        directory = directories.peek_path(top, f"{home}/{git_identity.FOLDER}")
    except OSError:
        return []
    try:
        content = files.read_named(directory, git_identity.NAME, _GIT_SETTINGS_AT_MOST)
    except (OSError, ValueError):
        content = b""
    finally:
        os.close(directory)
    alone = content is None or git_identity.is_identity_alone(content)
    return [] if alone else [f"{git_identity.FOLDER}/{git_identity.NAME}"]


def _holds_something(top: int, path: str) -> bool:
    """Whether the directory at the relative path has entries, or is closed to its owner, or another file is there.

    A link counts, also one on the way: nobody knows where it leads during a session.
    """
    try:
        directory = directories.peek_path(top, path)
    except PermissionError:
        return True
    except OSError:
        names = path.split("/")
        above = [_status(top, "/".join(names[:number])) for number in range(1, len(names))]
        linked = any(status is not None and stat.S_ISLNK(status.st_mode) for status in above)
        return linked or _status(top, path) is not None
    try:
        return bool(os.listdir(directory))
    finally:
        os.close(directory)


# -- sessions


def staging(_context: Context) -> Iterator[Finding]:
    """Only root can enter the place where sessions have their directories. Raises Refusal (69)."""
    session_directory.check_private(session_names.STAGING)
    yield findings.staging(session_names.STAGING)


def leftovers(context: Context) -> Iterator[Finding]:
    """No session has a directory or runs that nobody takes care of."""
    first = _abandoned(context.policy)
    if first:
        time.sleep(_SECOND_LOOK)  # a session that is just ending is not a leftover
    names = sorted(first & _abandoned(context.policy)) if first else []
    yield findings.leftovers(names) if names else findings.no_leftovers()


def _abandoned(policy: Policy) -> set[str]:
    """The units of sessions that nobody takes care of, whether they have a directory or run."""
    attended, abandoned = running_sessions.attended_and_abandoned()
    options = ("list-units", "--all", "--plain", "--no-legend", "--full", session_names.UNITS)
    listed = processes.run([policy.tools.systemctl, *options]).output
    units = {line.split()[0] for line in listed.splitlines() if line.strip()}
    attended |= running_sessions.attended_and_abandoned()[0]  # those that began meanwhile
    return abandoned | (units - attended)


# -- paths of the policy


def environment_files(context: Context) -> Iterator[Finding]:
    """A launch can use the `environmentFiles`."""
    for path in context.policy.environment_files:
        try:
            env_files.variables_in(path)
        except Refusal as refusal:
            yield finding.refused("env file", refusal)
        else:
            yield findings.env_file(path)


def shown_paths(context: Context) -> Iterator[Finding]:
    """A launch can show the further paths of the policy."""
    options = context.policy.sandbox
    for path in (*options.read_only_paths, *options.read_write_paths):
        try:
            mapped = _can_map(context, path)
        except Refusal as refusal:
            yield findings.shown_path_unusable(refusal)
        else:
            yield findings.shown_path(path) if mapped else findings.shown_path_not_mapped(path)


def _can_map(context: Context, path: str) -> bool:
    """Whether a launch can map owners there; taken for granted where nobody could launch. Raises Refusal: 69, 78."""
    descriptor = host_view.open_extra(path)
    try:
        if context.user is None:
            return True
        tree, mapped = host_user_checks.prepared(accounts.of(context.policy, context.user), descriptor)
        os.close(tree)
        return mapped
    finally:
        os.close(descriptor)
