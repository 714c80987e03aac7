"""User identities, and acting as one of them.

The runner is root. Below a directory that a host user or the agent can change, it works only inside `acting_as(...)`
that identity. The kernel then grants what that user could have done anyway, and no more (credentials(7),
capabilities(7): leaving euid 0 clears the effective capabilities).
"""

from __future__ import annotations

import os
import pwd

from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@record
class Identity:
    """A user: name, uid, primary gid, all group ids (primary included) and home directory."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def from_passwd(entry: pwd.struct_passwd) -> Identity:
    """The identity of a passwd entry, with the supplementary groups that a login would get."""
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(groups), entry.pw_dir)


def root() -> Identity:
    """The superuser: the runner's identity where it acts as no other user."""
    return Identity("root", 0, 0, (0,), "/root")


@contextmanager
def acting_as(identity: Identity) -> Iterator[None]:
    """Switch the effective uid, gid and supplementary groups to identity, and back to root afterwards.

    Does nothing if the process already is that user (the wrapper). The whole process switches: never hold this across a
    yield to foreign code, and start no process inside.
    """
    if os.geteuid() == identity.uid:
        yield
        return
    groups = os.getgroups()
    try:
        os.setgroups(identity.groups)
        os.setegid(identity.gid)
        os.seteuid(identity.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
