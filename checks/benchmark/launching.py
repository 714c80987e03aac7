"""The rows of a launch of a program that does nothing: what it takes, beside what else would start such a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from support import installed, policy_override, terminals
from support.commands import as_user
from support.installed import FACTS, demo
from support.resident import waiting
from support.sessions import IDLE, session
from support.waiting import until

from benchmark import figures, hyperfine, launch_steps, weight
from benchmark.by_hand import bubblewrap, by_hand
from benchmark.figures import Round
from benchmark.held import held
from benchmark.hyperfine import CommandError, Pace, Setting, python_of
from benchmark.prepared import VARIANT, Desk
from benchmark.results import Measured, compared, timed

Measure = Callable[[Desk, Pace], Measured]

_AT_ONCE: Final = 20
_NOT_PERMITTED: Final = 77
# Stops xargs from changing the words of a command: no command contains this.
_UNUSED: Final = "{number-of-the-launch}"
_PROBE: Final = "pi-probe"
# The first word of the steps that belong to systemd and the program. All other steps are ours.
_SESSION: Final = "session"
_END: Final = "session end"


def launch(terminal: bool) -> Measure:
    """A launch of a program that does nothing, through pipes or at a terminal."""

    def measure(desk: Desk, pace: Pace) -> Measured:
        with by_hand(desk) as reference, held(desk) as alike:
            desk.allow(reference.systemd_run)
            commands = [[VARIANT], reference.launch(terminal=terminal), alike.launch(terminal=terminal)]
            return timed(hyperfine.rounds(desk, commands, pace, Setting(terminal=terminal)))

    return measure


def parallel(desk: Desk, pace: Pace) -> Measured:
    """Many launches at once, until the last one ends."""
    with by_hand(desk) as reference, held(desk) as alike:
        desk.allow(reference.systemd_run)
        commands = [_at_once(command) for command in ([VARIANT], reference.launch(), alike.launch())]
        return timed(hyperfine.rounds(desk, commands, pace.slower()))


def steps(desk: Desk, pace: Pace) -> Measured:
    """The steps of a launch, as it reports them."""
    typical = _steps(desk, pace, terminal=False)
    slowest = max((name for name in typical if name.split()[0] != _SESSION), key=lambda name: typical[name].median)
    details = [f"{name}: {each.median:.1f} ms ({each.low:.1f}–{each.high:.1f})" for name, each in typical.items()]
    return Measured("s", (), typical[slowest], (f"slowest: {slowest}", *details))


def end(terminal: bool) -> Measure:
    """What a launch still does once the session's program has ended, as it reports it."""

    def measure(desk: Desk, pace: Pace) -> Measured:
        return Measured("s", (), _steps(desk, pace, terminal=terminal)[_END])

    return measure


def refusal(desk: Desk, pace: Pace) -> Measured:
    """The wrapper where it refuses to start, against its interpreter doing nothing."""
    python = python_of(policy_override.wrapped(FACTS["variants"][VARIANT]["wrapper"]))
    if (done := as_user(desk.user, VARIANT, cwd="/")).status != _NOT_PERMITTED:
        raise CommandError([VARIANT], done.complaint)
    setting = Setting(cwd="/", statuses=(0, _NOT_PERMITTED))
    return timed(hyperfine.rounds(desk, [[VARIANT], [python, "-I", "-c", "pass"]], pace, setting))


def policy(desk: Desk, pace: Pace) -> Measured:
    """A launch under a large policy and under a small one."""
    known = installed.policy(VARIANT)
    own = {**known["hostUsers"][desk.user], "projectRoots": ["~/p"]}
    small = {**known, "hostUsers": {desk.user: own}}
    large = policy_override.crowded(small)
    wrappers = [desk.wrapper_under(name, each) for name, each in (("large", large), ("small", small))]
    desk.allow(*(wrapper.with_name("runner") for wrapper in wrappers))
    return timed(hyperfine.rounds(desk, [[str(wrapper)] for wrapper in wrappers], pace))


def memory(desk: Desk, pace: Pace) -> Measured:
    """Memory in use while a session runs: all processes of the session outside, and our first process inside."""
    systemd_run = Path(installed.policy(_PROBE)["tools"]["systemd-run"])
    desk.allow(systemd_run)
    idle = ("bash", "-c", "echo ready; cat >/dev/null")
    alone = [FACTS["sudo"], "-n", "--", str(systemd_run), "--pipe", "--wait", "--quiet", "--collect", "--", *idle]
    rounds, found = [], dict[str, int]()
    for _ in range(pace.rounds):
        before = weight.everything()
        with session(desk.user, _PROBE, *IDLE) as running:
            running.settled()
            waiting()  # a session that has just begun is still waited for by Python
            found = weight.of([*weight.outside(running.client.pid, before), running.main_pid()])
        with weight.running(desk.user, alone) as pid:
            until(lambda: len(weight.below(pid)) >= 2, "sudo has started systemd-run")
            theirs = weight.of(weight.below(pid))
        rounds.append(Round((float(sum(found.values())),), (float(sum(theirs.values())),)))
    return compared("KiB", rounds, *(_weights("ours", found)), *(_weights("reference", theirs)))


def beside_bubblewrap(desk: Desk, pace: Pace) -> Measured:
    """A launch against bubblewrap."""
    program = installed.policy(VARIANT)["program"]
    return timed(hyperfine.rounds(desk, [[VARIANT], bubblewrap(demo(desk.user), program)], pace))


def sudo_alone(desk: Desk, pace: Pace) -> Measured:
    """A launch against a mere change of user."""
    agent, program = installed.policy(VARIANT)["user"], installed.policy(VARIANT)["program"]
    desk.sudoers(f"{desk.user} ALL=({agent}) NOPASSWD: {program}")
    return timed(hyperfine.rounds(desk, [[VARIANT], [FACTS["sudo"], "-n", "-u", agent, "--", program]], pace))


def _steps(desk: Desk, pace: Pace, *, terminal: bool) -> dict[str, figures.Figure]:
    """Milliseconds of each step of a launch."""
    found: dict[str, list[float]] = {}
    words = [VARIANT, "--sandbox-timing=json"]
    for _ in range(pace.rounds * pace.runs):
        told = _told(desk, words, terminal=terminal)
        for name, seconds in launch_steps.read(told):
            found.setdefault(name, []).append(seconds * 1000)
    return {name: figures.figure(times) for name, times in found.items()}


def _told(desk: Desk, words: Sequence[str], *, terminal: bool) -> str:
    """What a command that must succeed writes on standard error, or at a terminal."""
    if terminal:
        screen = terminals.terminal(desk.user, *words)
        screen.expect_exact(b"}\r\n")
        told, status = screen.before + screen.after, terminals.ended(screen)
    else:
        done = as_user(desk.user, *words)
        told, status = done.stderr, done.status
    text = str(told, encoding="utf-8", errors="replace")
    if status != 0:
        raise CommandError(words, text)
    return text


def _at_once(command: Sequence[str]) -> list[str]:
    """The command that runs a command many times at once, and fails if one of them fails."""
    return ["sh", "-c", f'seq {_AT_ONCE} | xargs -P {_AT_ONCE} -I {_UNUSED} "$@"', "at-once", *command]


def _weights(title: str, found: Mapping[str, int]) -> Iterator[str]:
    yield f"{title}, of the last round: {', '.join(f'{name.split()[0]} {size:,}' for name, size in found.items())} KiB"
