"""`.pi/.env` in the agent's home: lists the variables of a session, without secrets, for reference.

The file sets nothing: a session gets its variables from an env file of its own.
"""

from __future__ import annotations

from pi_agent.environment import env_file_syntax
from pi_agent.environment.variable_layers import ENV
from pi_agent.messages.quoting import escaped
from pi_agent.policy.policy_file import Policy
from pi_agent.state import home_files
from pi_agent.state.home_files import HomeFile
from pi_agent.state.user_state import PI_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def plan(policy: Policy, host: Mapping[str, str], home: int | None) -> HomeFile | None:
    """The file, if it must be written; None if it is current. home: an open directory, None if it does not exist yet.

    host: the variables that the host user's env files set. Must run as the owner.
    """
    return home_files.plan(home, HomeFile(PI_DIRECTORY, ENV, content(policy, host)))


def content(policy: Policy, host: Mapping[str, str]) -> bytes:
    """The host's values, then the module's. Secrets are left out. A pure function."""
    text = env_file_syntax.rendered(host) + b"# m3ta.pi-agent.environment\n"
    text += env_file_syntax.rendered(policy.environment)
    for path in policy.environment_files:
        text += f"# {escaped(path)} is read at each start and not written here\n".encode()
    return text
