"""The request: the file that tells launch.bash what to run. Only root can open it.

launch.bash has it open from the start, and reads it when it is let in: it is written only then.
"""

from __future__ import annotations

from pi_agent.environment import variable_layers
from pi_agent.linux.errors import reason
from pi_agent.messages import refusals, start_refusals
from pi_agent.session import systemd_run
from pi_agent.session.launch_plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final


# execve(2), limits on size of arguments and environment; a part is left to what is added inside.
_WORD_AT_MOST: Final = 128 * 1024  # bytes
_ALL_AT_MOST: Final = 2 * 1024**2 - 64 * 1024
_POINTER: Final = 8


def write(plan: Plan) -> None:
    """Write the request of the plan's session. Raises Refusal: 65 if it is too large, 69 if it cannot be written."""
    words = [word.encode("utf-8", "surrogateescape") + b"\0" for word in _words(plan)]
    if max(map(len, words)) > _WORD_AT_MOST or sum(len(word) + _POINTER for word in words) > _ALL_AT_MOST:
        raise start_refusals.request_too_large()
    try:
        with open(plan.request.session.request, "wb") as file:
            file.write(b"".join(words))
    except OSError as error:
        raise refusals.staging_failed(plan.request.session.directory, reason(error)) from error


def _words(plan: Plan) -> Sequence[str]:
    """The refusal if it cannot enter the directory, the directory, the variables, an empty word, the command."""
    policy, command = plan.request.policy, plan.request.command
    if plan.start.terminal:
        command = tuple(systemd_run.owning_terminal(policy.tools, command))
    refusal = refusals.directory_closed_to_agent(plan.directory)
    what, *remedy = (refusal.what, *refusal.remedy.split("\n"))
    text = "\n".join([f"{policy.command_name}: {what}", *(f"    {line}" for line in remedy)])
    variables = variable_layers.merged(plan.layers)
    return [text, plan.directory, *(f"{name}={value}" for name, value in variables.items()), "", *command]
