"""sync's own directory for a host user: `${stateDir}-sync/<name>`, which belongs to root.

It holds what sync remembers (sync_memory.py), and its lock. An agent that could write it could have a launch keep what
it has planted. So it stands beside the state directory, below directories that root alone can change: no agent's
account can enter it, not even through a descriptor from outside.

Every launch shares a lock on the directory itself until the launch ends; a reset holds it alone (flock(2)).
"""

from __future__ import annotations

import errno
import fcntl
import os

from pi_agent.linux import directories, files, paths, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import installation_refusals, reasons, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.standard import suppress
from pi_agent.state.sync_memory import MEMORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Where earlier versions kept it, relative to the state directory, whose owner it belonged to.
_EARLIER: Final = "sync"
_EARLIER_AT_MOST: Final = 256 * 1024**2  # bytes


def path(policy: Policy, user: str = "") -> str:
    """The path of a user's directory; without a user, of the directory that holds them all."""
    return f"{policy.sync_dir}/{user}".rstrip("/")


def look(policy: Policy, user: str) -> int | None:
    """Open the directory, sharing its lock; None if it does not exist. Changes nothing.

    Raises Refusal: 69 while the state is being reset or if it cannot be read, 78 if others than root could change the
    directory.
    """
    try:
        top = _top(policy)
        if top is None:
            return None
        try:
            return _shared(_entered(top, user))
        finally:
            os.close(top)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusals.state_unreadable(path(policy, user), error) from error


def ensure(policy: Policy, owner: Identity, user: str) -> int:
    """Open the directory, sharing its lock. Makes it if it is missing, with what an earlier version remembered.

    owner: of the state. Raises Refusal as `look` does.
    """
    try:
        top = _made_top(policy)
        try:
            fcntl.flock(top, fcntl.LOCK_EX)  # two first launches at once
            try:
                return _shared(_entered(top, user))
            except FileNotFoundError:
                return _shared(_made(policy, owner, top, user))
        finally:
            os.close(top)
    except OSError as error:
        raise refusals.state_not_writable(path(policy, user), error) from error


def claim(directory: int) -> bool:
    """Claim the state for this process alone. Returns False while a launch shares it."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _shared(directory: int) -> int:
    """Keep others from claiming the state. Raises Refusal (69) if somebody has claimed it."""
    try:
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(directory)
        raise refusals.state_being_reset() from error
    return directory


def _top(policy: Policy) -> int | None:
    """The directory that holds them all, open; None if it does not exist. Raises Refusal (78)."""
    try:
        looked = _trusted(path(policy))
    except FileNotFoundError:
        return None
    try:
        return paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(looked)


def _made_top(policy: Policy) -> int:
    """The directory that holds them all, open. Made if it is missing, as after a state directory that was restored."""
    above, name = os.path.split(path(policy))
    parent = _trusted(above)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
    finally:
        os.close(parent)
    if (top := _top(policy)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path(policy))
    return top


def _trusted(directory: str) -> int:
    """Open (O_PATH) a directory that root alone can change, through such directories. Raises Refusal (78)."""
    looked = paths.walk(directory, on_directory=_only_root_changes)
    try:
        _only_root_changes(looked)
    except BaseException:
        os.close(looked)
        raise
    return looked


def _only_root_changes(directory: int) -> None:
    if not paths.only_root_changes(directory):
        where = paths.real_path(directory)
        raise installation_refusals.sync_directory_unusable(where, reasons.changed_by_others(where))


def _entered(top: int, user: str) -> int:
    return os.open(user, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)


def _made(policy: Policy, owner: Identity, top: int, user: str) -> int:
    """Make the user's directory. It appears under its name once it is complete, so that a KILL loses nothing."""
    unfinished = f"{directories.OURS}{user}"
    removal.remove_path(top, unfinished)
    os.mkdir(unfinished, 0o700, dir_fd=top)
    made = _entered(top, unfinished)
    remembered = _remembered_earlier(policy, owner, user)
    if remembered is not None:
        files.replace(made, MEMORY, remembered)
    os.rename(unfinished, user, src_dir_fd=top, dst_dir_fd=top)
    _remove_earlier(policy, owner, user)
    return made


def _remembered_earlier(policy: Policy, owner: Identity, user: str) -> bytes | None:
    """What an earlier version remembered, as it is on disk; None if nothing. sync_memory checks it when it is read."""
    with acting_as(owner), directories.suppress_gone():
        directory = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            earlier = directories.enter_path(directory, f"{_EARLIER}/{user}")
        finally:
            os.close(directory)
        try:
            return files.read_named(earlier, MEMORY, _EARLIER_AT_MOST)
        except (OSError, ValueError):  # whatever stands there: without it, everything is copied again
            return None
        finally:
            os.close(earlier)
    return None


def _remove_earlier(policy: Policy, owner: Identity, user: str) -> None:
    """Remove what an earlier version kept, and the directory that held it for all users once it is empty."""
    with acting_as(owner), directories.suppress_gone():
        directory = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            removal.remove_path(directory, f"{_EARLIER}/{user}")
            os.rmdir(_EARLIER, dir_fd=directory)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        finally:
            os.close(directory)
