"""Takes care of a session from before its first file until nothing of it is left.

Runs as root. The runner cleans up itself; its guard does if it cannot. What holds the session's lock takes care of it:
the next launch of the same user cleans up what nobody does (session_directory.py).
"""

from __future__ import annotations

import os

from pi_agent.linux.errors import reason
from pi_agent.linux.terminals import Terminal
from pi_agent.messages import refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.session import guard, session_directory, session_names
from pi_agent.session.guard import Guard
from pi_agent.session.session_names import Session


class Care:
    """A session that this process takes care of. A context manager: at the end, nothing is left of the session.

    guard: of the session. kept: descriptors of locks. has_unit: whether the unit may exist; set it to False when it has
    ended.
    """

    def __init__(self, tools: Tools, session: Session, guard: Guard, kept: tuple[int, ...]) -> None:
        self._tools = tools
        self._session = session
        self.guard = guard
        self.kept = kept
        self.has_unit = True

    def __enter__(self) -> Care:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            session_directory.clean_up(self._tools, self._session, ended=not self.has_unit)
        except (OSError, Refusal):  # the machine lacks something that the guard may have
            self.guard.clean_up()
        else:
            self.guard.dismiss()
        finally:
            for lock in self.kept:
                os.close(lock)


def taken(tools: Tools, session: Session, shared: int, beyond: Terminal | None) -> Care:
    """Make the session's directory, and take care of it. shared, beyond: see guard.posted. Raises Refusal (69)."""
    try:
        posted = guard.posted(tools, session, shared, beyond)
    except OSError as error:
        raise refusals.staging_failed(session_names.STAGING, reason(error)) from error
    try:
        return Care(tools, session, posted, (session_directory.create(tools, session),))
    except BaseException as error:
        session_directory.clean_up(tools, session, ended=True)
        posted.dismiss()
        if isinstance(error, OSError):
            raise refusals.staging_failed(session_names.STAGING, reason(error)) from error
        raise
