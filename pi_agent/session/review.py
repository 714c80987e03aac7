"""Reviews what a session has left that the host may run by itself: tells, asks, and disarms, before `pi` returns.

Runs as root, after the session has ended and before the caller's shell shows its prompt. Nothing here changes the exit
status. Ctrl-C, a closed terminal and an empty answer all mean the safe answer: to disarm.
"""

from __future__ import annotations

import os

from pi_agent.linux import standard_error
from pi_agent.messages import self_running_texts as texts
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.records import record
from pi_agent.python.standard import suppress
from pi_agent.sandbox.self_running import answers, disarming, look, report
from pi_agent.sandbox.self_running.answers import Digest
from pi_agent.sandbox.self_running.report import Report
from pi_agent.session import audit
from pi_agent.session.audit import Known
from pi_agent.session.patience import Interrupted, Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from pi_agent.linux.identities import Identity
    from pi_agent.sandbox.self_running.disarming import Outcome
    from pi_agent.sandbox.self_running.judgement import Item

_ANSWER_AT_MOST: Final = 64  # bytes
_SHOWN_AT_MOST: Final = 30
_DIGESTS_AT_MOST: Final = 1000  # answers about more are not remembered


@record
class Reviewed:
    """A session that has ended. before: what was recorded when it began. memory: what is remembered for the caller,
    open; terminal: whether input and output are one; known: for the journal.
    """

    policy: Policy
    caller: Identity
    project: Project
    before: bytes
    memory: int
    terminal: bool
    known: Known


def settle(session: Reviewed, found: Report, signals: Signals) -> None:
    """Say and do what there is to be said and done about what was found. Raises OSError or Refusal."""
    if found.unseen:
        places = [(each.path, each.why) for each in found.unseen]
        _say(session, texts.could_not_see(places, session.project.root))
    known = answers.recalled(session.memory)
    mode = session.policy.sandbox.on_self_running
    asked: list[Digest] = []  # what an answer is needed for
    disarmed: list[Digest] = []  # what is disarmed without a question
    told: list[Item] = []
    with look.ground_of(session.caller, session.project) as ground:
        for number, item in enumerate(found.items):
            digest = answers.of(ground, item) if item.asks and number < _DIGESTS_AT_MOST else Digest(item, None)
            earlier = known.get(digest.value or "")
            if earlier == answers.KEEP:
                continue
            told.append(item)
            if item.asks and mode != "tell":
                (disarmed if mode == "disarm" or earlier == answers.DISARM else asked).append(digest)
    _tell(session, told, found)
    if session.terminal and not os.isatty(0):
        disarmed += asked  # the terminal is gone, and nobody has read what was told
    elif asked and session.terminal and os.isatty(2):
        answer = _answer(session, signals)
        if answer == answers.DISARM:
            disarmed += asked
        with suppress(OSError):
            answers.remember(session.memory, known, asked, answer)
        if answer == answers.KEEP:
            _say(session, texts.KEPT)
    if disarmed:
        _disarm(session, [each.item for each in disarmed])


def _tell(session: Reviewed, items: Sequence[Item], found: Report) -> None:
    """Say what was found, on standard error and in the journal."""
    if items:
        _say(session, texts.told(session.project.root, [*report.lines(items), texts.OTHERS_AT_WORK]))
    if items or found.unseen:
        audit.self_running(session.known, [item.path for item in items], [each.path for each in found.unseen])


def _answer(session: Reviewed, signals: Signals) -> str:
    """Ask at the terminal. Only a clear answer keeps anything."""
    import termios

    with suppress(OSError, termios.error):
        termios.tcflush(0, termios.TCIFLUSH)  # what was typed before the question does not answer it
    try:
        os.write(2, f"{session.policy.command_name}: {texts.QUESTION}".encode())
        with signals.interrupting():
            given = os.read(0, _ANSWER_AT_MOST)
    except (OSError, Interrupted):
        given = b""
    if not given.endswith(b"\n"):
        with suppress(OSError):
            os.write(2, b"\n")
    return answers.KEEP if given.strip().lower() in (b"k", b"keep") else answers.DISARM


def _disarm(session: Reviewed, items: Sequence[Item]) -> None:
    """Disarm the files, and say what has become of each."""
    with look.ground_of(session.caller, session.project) as ground:
        outcomes = [disarming.disarm(ground, session.policy.tools, item) for item in items]
    again = look.after(session.before, session.policy, session.caller, session.project)
    still = set() if again is None else {item.path for item in again.items}
    done = [each for each in outcomes if each.kept is not None and each.item.path not in still]
    failed = [each for each in outcomes if each not in done and (each.why or each.item.path in still)]
    if done:
        _say(session, "\n".join([texts.DISARMED, *_shown([_done(each) for each in done])]))
    if failed:
        lines = [texts.not_disarmed(each.item.path, each.why or texts.KEEPS_CHANGING) for each in failed]
        _say(session, "\n".join([texts.NOT_DISARMED, *_shown(lines)]))
    audit.disarmed(session.known, [each.item.path for each in done], [each.item.path for each in failed])


def _done(outcome: Outcome) -> str:
    from pi_agent.sandbox.self_running import git_reading

    return texts.disarmed(outcome.item.path, outcome.kept or "", git_reading.shown(outcome.item.keys))


def _shown(lines: Sequence[str]) -> list[str]:
    left = len(lines) - _SHOWN_AT_MOST
    return [*lines[:_SHOWN_AT_MOST], texts.more(left)] if left > 0 else [*lines]


def _say(session: Reviewed, text: str) -> None:
    standard_error.say(session.policy.command_name, text)
