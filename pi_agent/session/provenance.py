"""Records what runs by itself in a project when a session begins, and reviews what the session has left when it ends.

Runs as root. The record is a file of the session's directory, which only root can enter. The look is part of every
launch with a project, at a terminal or not; all else is imported where something was found.
"""

from __future__ import annotations

import os

from pi_agent.linux import standard_error
from pi_agent.linux.errors import reason
from pi_agent.messages import reasons
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.python.standard import suppress
from pi_agent.session.launch_plan import Request
from pi_agent.session.patience import Signals
from pi_agent.session.session_names import Session
from pi_agent.session.unfinished import Unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pi_agent.policy.project_roots import Project


def record(request: Request) -> None:
    """Look at the project, and write what was seen into the session's directory.

    A record that cannot be written is no reason to end a session: that nothing was seen is said in the end.
    """
    if request.project is None:
        return
    from pi_agent.sandbox.self_running import look

    content = look.before(request.policy, request.accounts.caller, request.project)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError), open(os.open(request.session.record, flags, 0o600), "wb") as file:
        file.write(content)


def _recorded(session: Session) -> bytes | None:
    """What was written then; None if nothing was."""
    try:
        with open(session.record, "rb") as file:
            return file.read()
    except OSError:
        return None


def review(running: Unfinished) -> None:
    """Look again, and tell, ask and disarm. Nothing of it changes the exit status."""
    project = running.project
    if project is None:
        return
    before = _recorded(running.session)
    if before is None:
        _say_unseen(running.command, project, reasons.NOT_RECORDED)
        return
    from pi_agent.sandbox.self_running import look

    with Signals() as signals:
        try:
            policy = policy_file.load(running.known.policy)
            caller = accounts.through_sudo(policy, os.environ)
            found = look.after(before, policy, caller, project)
            if found is not None:
                from pi_agent.session import review as reviewing

                terminal = running.terminal is not None
                known = running.known
                session = reviewing.Reviewed(policy, caller, project, before, running.memory, terminal, known)
                reviewing.settle(session, found, signals)
        except (OSError, Refusal) as error:
            why = error.what if isinstance(error, Refusal) else reason(error)
            _say_unseen(running.command, project, why)


def _say_unseen(command: str, project: Project, why: str) -> None:
    from pi_agent.messages import self_running_texts

    standard_error.say(command, self_running_texts.could_not_see([("", why)], project.root))
