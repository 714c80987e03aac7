"""The environment of a session: who sets which variable, and who has the last word.

From first to last, the later wins: what every session needs, the host user's `.env`, the module's `environment`, its
`environmentFiles`, `wrapper.extraEnvironment`, and what none of them may change. The result is one file that systemd
reads (systemd.exec(5), EnvironmentFile=), in a directory that root alone can enter: secrets are nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pi_agent.environment import env_file_syntax, variable_layers
from pi_agent.linux import directories, files
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.messages.quoting import escaped
from pi_agent.policy.policy_file import Policy
from pi_agent.state.user_state import PI_DIRECTORY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


def content(policy: Policy, host: Mapping[str, str]) -> bytes:
    """What `.pi/.env` in the isolated tree says: the host's values, then the module's. Secrets are not written down."""
    content = (
        env_file_syntax.rendered(host) + b"# m3ta.pi-agent.environment\n" + env_file_syntax.rendered(policy.environment)
    )
    for path in policy.environment_files:
        content += f"# {escaped(path)} is read at each start and not written here\n".encode()
    return content


def write(policy: Policy, agent: Identity, state: State, host: Mapping[str, str]) -> None:
    """Keep `.pi/.env` in the isolated tree. Raises Refusal (69) when the tree cannot be written."""
    with acting_as(agent):
        try:
            directory = directories.ensure_path(state.home, PI_DIRECTORY)
            try:
                files.keep(directory, variable_layers.ENV, content(policy, host))
            finally:
                os.close(directory)
        except OSError as error:
            raise refusals.state_not_writable(f"{PI_DIRECTORY}/{variable_layers.ENV}", error) from error
