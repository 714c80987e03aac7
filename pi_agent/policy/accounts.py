"""The accounts of a launch: the host user who asks for it, that user's agent, and the owner of the state on disk.

sudo(8) passes the host user's uid to the runner in SUDO_UID; the wrapper uses its own uid. No other variable is
trusted: SUDO_USER is a name, and two names can share a uid.
"""

from __future__ import annotations

import grp
import pwd

from pi_agent.linux.identities import Identity, from_passwd
from pi_agent.messages import installation_refusals, refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import HostUser, Policy
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@record
class Accounts:
    """The accounts of a launch.

    caller: the host user. agent: what the session runs as, for this host user alone. owner: owns the state of every
    host user on disk. No session runs as the owner, unless the policy has one host user and names it as that user's
    agent.
    """

    caller: Identity
    agent: Identity
    owner: Identity

    @property
    def apart(self) -> bool:
        """Whether the agent is another account than the owner of the state."""
        return self.agent.uid != self.owner.uid


def through_sudo(policy: Policy, environ: Mapping[str, str]) -> Identity:
    """The listed host user who called sudo. Raises Refusal (77) for root, a missing SUDO_UID, or a user not listed."""
    text = environ.get("SUDO_UID", "")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**32)):
        raise refusals.not_through_sudo()
    return by_uid(policy, int(text))


def by_uid(policy: Policy, uid: int) -> Identity:
    """The listed host user with this uid. Raises Refusal (77) for root or a user not listed."""
    if uid == 0:
        raise refusals.root_refused(policy.command_name)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise refusals.user_not_listed(str(uid)) from error
    if entry.pw_name not in policy.host_users:
        raise refusals.user_not_listed(entry.pw_name)
    return from_passwd(entry)


def of(policy: Policy, caller: Identity) -> Accounts:
    """The accounts of a launch for this host user.

    Raises Refusal (78) if a user or group is missing, or if the agent has the ID of root, of the host user or, under
    another name, of anybody else. Of accounts with the same ID, only the one by whose name the machine knows that ID
    can be an agent, so that no two host users' agents are one user.
    """
    user = policy.host_users[caller.name]
    try:
        state_owner = _account(policy.user, policy.group, policy)
        agent = _account(user.agent_user, user.agent_group, policy, policy.project_group)
    except KeyError as error:
        raise _missing(policy, user) from error
    others = [(0, "root"), (caller.uid, caller.name)]
    if agent.name != policy.user:
        others.append((state_owner.uid, policy.user))
    for uid, whose in others:
        if agent.uid == uid:
            raise installation_refusals.agent_shares_id(agent.name, whose)
    _check_names(agent, user.agent_group)
    return Accounts(caller, agent, state_owner)


def _check_names(agent: Identity, group: str) -> None:
    known, known_group = pwd.getpwuid(agent.uid).pw_name, grp.getgrgid(agent.gid).gr_name
    if known != agent.name:
        raise installation_refusals.agent_shares_id(agent.name, known)
    if agent.gid == 0 or known_group != group:
        raise installation_refusals.agent_shares_group(group, known_group)


def owner(policy: Policy) -> Identity:
    """The owner of all state on disk. Raises Refusal (78) if the user or the group is missing."""
    try:
        return _account(policy.user, policy.group, policy)
    except KeyError as error:
        raise _missing(policy) from error


def _account(user: str, group: str, policy: Policy, further_group: str | None = None) -> Identity:
    """The account with this primary group. Its home is the state directory. Raises KeyError if a name is unknown."""
    groups = [grp.getgrnam(name).gr_gid for name in (group, further_group) if name is not None]
    return Identity(user, pwd.getpwnam(user).pw_uid, groups[0], tuple(groups), policy.state_dir)


def _missing(policy: Policy, user: HostUser | None = None) -> Refusal:
    """The refusal that lists every account of the policy that does not exist."""
    users, groups = [policy.user], [policy.group, policy.project_group]
    if user is not None:
        users, groups = [*users, user.agent_user], [*groups, user.agent_group]
    missing = [("user", name) for name in dict.fromkeys(users) if not _exists(pwd.getpwnam, name)]
    missing += [("group", name) for name in dict.fromkeys(groups) if name and not _exists(grp.getgrnam, name)]
    return installation_refusals.identities_missing(missing)


def _exists(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True
