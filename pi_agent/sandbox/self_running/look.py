"""The look at what the host may run by itself: before a session, and after it.

`before` returns bytes for a file of the session's directory. `after` takes them and reports what is new. Neither
changes anything in the project.
"""

from __future__ import annotations

import marshal
import os
import time

from pi_agent.linux.identities import Identity
from pi_agent.messages import reasons
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.standard import cache, contextmanager
from pi_agent.sandbox import self_running_table
from pi_agent.sandbox.self_running import seeing
from pi_agent.sandbox.self_running.comparison import Comparison
from pi_agent.sandbox.self_running.record import Recorder, unlisted
from pi_agent.sandbox.self_running.rules import DEFAULT, Rules
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pi_agent.sandbox.self_running.named import Named
    from pi_agent.sandbox.self_running.report import Report

# Directories: some 60 ms, for which a session's start may have to wait.
_RECORDED_AT_MOST: Final = 3000
# Configurations of git that run something, and whose named files are looked at then.
_ARMED_AT_MOST: Final = 100
# Seconds, for which a session's end may have to wait.
_COMPARING: Final = 20.0
_JUDGING: Final = 10.0
# File systems keep times to two seconds at worst (vfat), and the kernel's clock for them is coarse.
_GRANULARITY: Final = 2_000_000_000


@cache
def _rules(protected: tuple[str, ...]) -> Rules:
    return Rules(self_running_table.raw(), protected)


@contextmanager
def ground_of(caller: Identity, project: Project) -> Iterator[Ground]:
    """The project as it is looked at. Raises OSError."""
    top = seeing.opened(project.descriptor)
    try:
        yield Ground(top, project.root, caller)
    finally:
        os.close(top)


def before(policy: Policy, caller: Identity, project: Project) -> bytes:
    """Record what runs by itself in the project. Never raises: what is not recorded is judged by its times later."""
    began = time.time_ns() - _GRANULARITY
    known = _rules(policy.sandbox.protected_paths)
    record = unlisted(DEFAULT)
    obeyed: Named = {}
    try:
        with ground_of(caller, project) as ground:
            top = seeing.directory(ground, ground.top, ".")
            try:
                recorder = Recorder(ground, known, _RECORDED_AT_MOST)
                record = recorder.directory(top, "", DEFAULT)
            finally:
                os.close(top)
            if recorder.armed:
                from pi_agent.sandbox.self_running import named

                obeyed = named.look(ground, recorder.armed[:_ARMED_AT_MOST])
                obeyed |= {path: None for path in recorder.armed[_ARMED_AT_MOST:]}
    except OSError:
        pass
    return marshal.dumps((began, record, obeyed))


def after(recorded: bytes, policy: Policy, caller: Identity, project: Project) -> Report | None:
    """What runs by itself and did not when it was recorded; None if nothing does and everything was seen."""
    began, record, obeyed = marshal.loads(recorded)  # noqa: S302 (root's own file)
    known = _rules(policy.sandbox.protected_paths)
    with ground_of(caller, project) as ground:
        comparison = Comparison(ground, known, began, _COMPARING)
        comparison.run(record)
        if comparison.old_configurations:
            obeyed |= dict.fromkeys(comparison.old_configurations)
        if obeyed:
            from pi_agent.sandbox.self_running import named

            known_paths = {change.path for change in comparison.changes}
            changes, unread = named.changes(ground, obeyed, began, known_paths)
            comparison.changes += changes
            for path in unread:
                comparison.overlook(path, reasons.MORE_THAN_IS_LOOKED_AT)
        if not comparison.changes and not comparison.unseen:
            return None
        from pi_agent.sandbox.self_running import report
        from pi_agent.sandbox.self_running.judgement import Judge

        items = Judge(ground, known, policy.tools, _JUDGING).items(comparison.changes)
        if not items and not comparison.unseen:
            return None
        return report.Report(tuple(report.ordered(items, known.groups)), tuple(comparison.unseen))
