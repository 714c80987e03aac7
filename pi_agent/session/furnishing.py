"""Gives a session what it needs before anything of the agent runs: what it sees of the host, and its request.

Runs as root, in two steps: while systemd starts the unit, and when launch.bash waits to be let in.
"""

from __future__ import annotations

from pi_agent.linux import standard_error, timing
from pi_agent.session import provenance, request_file
from pi_agent.session.attachment import Attachment
from pi_agent.session.launch_plan import Plan
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pi_agent.session.renewal import Covered


class Furnishing:
    """What is given to one session. A context manager. covered: what to watch afterwards, None if nothing."""

    def __init__(self, plan: Plan, state: State, told: Sequence[str]) -> None:
        """state: the user's own tree. told: notices for the user, said before the session runs."""
        self._plan = plan
        self._state = state
        self._told = told
        self._attachment: Attachment | None = None

    def __enter__(self) -> Furnishing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._attachment is not None:
            self._attachment.close()

    @property
    def covered(self) -> Covered | None:
        """What is to be watched while the session runs."""
        return None if self._attachment is None else self._attachment.covered

    def prepare(self) -> None:
        """Prepare everything, while systemd is busy. Raises Refusal (69)."""
        self._attachment = Attachment(self._plan, self._state)
        timing.mark("mounts")
        provenance.record(self._plan.request)
        timing.mark("provenance")

    def give(self, process: int) -> None:
        """Furnish the session of the process, by its descriptor (pidfd_open(2)). Raises Refusal (69)."""
        if self._attachment is None:
            raise ValueError("nothing was prepared")
        for notice in [*self._told, *self._attachment.attach(process)]:
            standard_error.say(self._plan.request.policy.command_name, notice)
        self._plan.held.close()
        request_file.write(self._plan)
        timing.mark("mounts")
