"""What each row runs, for ours and for the reference, and how the value results from it."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from support import installed, policy_override
from support.commands import as_user
from support.installed import FACTS, home
from support.sessions import IDLE, session
from support.waiting import until

from benchmark import figures, hyperfine, streams, weight
from benchmark.figures import Round
from benchmark.held import held
from benchmark.hyperfine import CommandError, Pace, Setting, Times, python_of
from benchmark.prepared import SYNCED, VARIANT, Desk, synced_state
from benchmark.results import Measured, compared

Measure = Callable[[Desk, Pace], Measured]

FILES: Final = 10_000
_SIZES: Final = (100, 1_000, 10_000, 100_000)
_AT_ONCE: Final = 20
_PIPED: Final = 1_000_000_000  # bytes
_SHOWN: Final = 100_000_000  # bytes
_NOT_PERMITTED: Final = 77
# Stops xargs from changing the words of a command: no command contains this.
_UNUSED: Final = "{number-of-the-launch}"
_PROBE: Final = "pi-probe"
_LINE: Final = "a line of text as long as the lines of a terminal are, which is eighty letters"
# The first word of the steps that belong to systemd and the program. All other steps are ours.
_SESSION: Final = "session"


def launch(terminal: bool) -> Measure:
    """A launch of a program that does nothing, through pipes or at a terminal."""

    def measure(desk: Desk, pace: Pace) -> Measured:
        with held(desk) as reference:
            desk.allow(reference.systemd_run)
            commands = [[VARIANT], reference.launch(terminal=terminal)]
            return _timed(hyperfine.rounds(desk, commands, pace, Setting(terminal=terminal)))

    return measure


def steps(desk: Desk, pace: Pace) -> Measured:
    """The steps of a launch, as it reports them."""
    found: dict[str, list[float]] = {}
    words = [VARIANT, "--sandbox-timing=json"]
    for _ in range(pace.rounds * pace.runs):
        done = as_user(desk.user, *words)
        if done.status != 0:
            raise CommandError(words, done.complaint)
        for step in json.loads(done.stderr.splitlines()[-1])["steps"]:
            found.setdefault(step["name"], []).append(step["seconds"] * 1000)
    typical = {name: figures.figure(times) for name, times in found.items()}
    slowest = max((name for name in typical if name.split()[0] != _SESSION), key=lambda name: typical[name].median)
    details = [f"{name}: {each.median:.1f} ms ({each.low:.1f}–{each.high:.1f})" for name, each in typical.items()]
    return Measured("s", (), typical[slowest], (f"slowest: {slowest}", *details))


def refusal(desk: Desk, pace: Pace) -> Measured:
    """The wrapper where it refuses to start, against its interpreter doing nothing."""
    python = python_of(policy_override.wrapped(FACTS["variants"][VARIANT]["wrapper"]))
    if (done := as_user(desk.user, VARIANT, cwd="/")).status != _NOT_PERMITTED:
        raise CommandError([VARIANT], done.complaint)
    setting = Setting(cwd="/", statuses=(0, _NOT_PERMITTED))
    return _timed(hyperfine.rounds(desk, [[VARIANT], [python, "-I", "-c", "pass"]], pace, setting))


def sync_nothing(desk: Desk, pace: Pace) -> Measured:
    """Sync with nothing to do."""
    desk.tree(FILES)
    return _synced(hyperfine.rounds(desk, _beside(_rsync(desk)), pace))


def sync_some(desk: Desk, pace: Pace) -> Measured:
    """Sync with one file in a hundred changed."""
    desk.tree(FILES)
    return _synced(hyperfine.rounds(desk, _beside(_rsync(desk)), pace, Setting(prepare=desk.changing(FILES // 100))))


def sync_first(desk: Desk, pace: Pace) -> Measured:
    """Sync with everything to do."""
    desk.tree(FILES)
    copy = desk.private / "copy"
    forget = desk.program("forget", f"#!/bin/sh\nexec rm -rf {' '.join(map(str, [*synced_state(desk.user), copy]))}\n")
    desk.allow(forget)
    commands = _beside(["cp", "-a", str(desk.configuration), str(copy)])
    setting = Setting(prepare=(FACTS["sudo"], "-n", "--", str(forget)))
    return _synced(hyperfine.rounds(desk, commands, pace.slower(), setting))


def sync_growth(desk: Desk, pace: Pace) -> Measured:
    """Sync with nothing to do, for trees of all sizes."""
    ours, theirs, details = [], [], []
    for size in _SIZES:
        for path in synced_state(desk.user):
            shutil.rmtree(path, ignore_errors=True)
        desk.tree(size)
        commands = _beside(_rsync(desk))
        for command in commands:
            desk.in_project(*command)
        found = _synced(hyperfine.rounds(desk, commands, pace.slower() if size > FILES else pace))
        ours.append((size, figures.ours(found.rounds)))
        theirs.append((size, figures.theirs(found.rounds)))
        details.append(
            f"{size:,} files: {ours[-1][1].median * 1000:.1f} ms ({ours[-1][1].low * 1000:.1f}–"
            f"{ours[-1][1].high * 1000:.1f}), rsync {theirs[-1][1].median * 1000:.1f} ms"
        )
    points = [(float(size), each.median) for size, each in ours if each.median > 0]
    # Over the whole range, the exponent is too low if the start costs more than few files. The last step hides nothing.
    whole, last = figures.exponent(points), figures.exponent(points[-2:])
    rsync = figures.exponent([(float(size), each.median) for size, each in theirs])
    details.append(f"exponent: {whole:.2f} over all, {last:.2f} for the last step; rsync {rsync:.2f} over all")
    return Measured("s", (), figures.figure([max(whole, last)]), tuple(details))


def policy(desk: Desk, pace: Pace) -> Measured:
    """A launch under a large policy and under a small one."""
    known = installed.policy(VARIANT)
    own = {**known["hostUsers"][desk.user], "projectRoots": ["~/p"]}
    small = {**known, "hostUsers": {desk.user: own}}
    large = policy_override.crowded(small)
    wrappers = [desk.wrapper_under(name, each) for name, each in (("large", large), ("small", small))]
    desk.allow(*(wrapper.with_name("runner") for wrapper in wrappers))
    return _timed(hyperfine.rounds(desk, [[str(wrapper)] for wrapper in wrappers], pace))


def memory(desk: Desk, pace: Pace) -> Measured:
    """Memory in use while a session runs: everything below the login, and our first process inside."""
    systemd_run = Path(installed.policy(_PROBE)["tools"]["systemd-run"])
    desk.allow(systemd_run)
    idle = ("bash", "-c", "echo ready; cat >/dev/null")
    alone = [FACTS["sudo"], "-n", "--", str(systemd_run), "--pipe", "--wait", "--quiet", "--collect", "--", *idle]
    rounds, found = [], dict[str, int]()
    for _ in range(pace.rounds):
        with session(desk.user, _PROBE, *IDLE) as running:
            running.settled()
            found = weight.of([*weight.below(running.client.pid), running.main_pid()])
        with weight.running(desk.user, alone) as pid:
            until(lambda: len(weight.below(pid)) >= 2, "sudo has started systemd-run")
            theirs = weight.of(weight.below(pid))
        rounds.append(Round((float(sum(found.values())),), (float(sum(theirs.values())),)))
    return compared("KiB", rounds, *(_weights("ours", found)), *(_weights("reference", theirs)))


def throughput_pipe(desk: Desk, pace: Pace) -> Measured:
    """Bytes per second through a pipe."""
    return _throughput(desk, pace, _PIPED, terminal=False)


def throughput_terminal(desk: Desk, pace: Pace) -> Measured:
    """Bytes per second through a terminal."""
    return _throughput(desk, pace.slower(), _SHOWN, terminal=True)


def parallel(desk: Desk, pace: Pace) -> Measured:
    """Many launches at once, until the last one ends."""
    with held(desk) as reference:
        desk.allow(reference.systemd_run)
        commands = [_at_once(command) for command in ([VARIANT], reference.launch())]
        return _timed(hyperfine.rounds(desk, commands, pace.slower()))


def bubblewrap(desk: Desk, pace: Pace) -> Measured:
    """A launch against bubblewrap."""
    with held(desk) as reference:
        return _timed(hyperfine.rounds(desk, [[VARIANT], reference.bubblewrap(home(desk.user) / "p")], pace))


def sudo_alone(desk: Desk, pace: Pace) -> Measured:
    """A launch against a mere change of user."""
    agent, program = installed.policy(VARIANT)["user"], installed.policy(VARIANT)["program"]
    desk.sudoers(f"{desk.user} ALL=({agent}) NOPASSWD: {program}")
    return _timed(hyperfine.rounds(desk, [[VARIANT], [FACTS["sudo"], "-n", "-u", agent, "--", program]], pace))


MEASURES: Final[Mapping[str, Measure]] = {
    "launch-pipe": launch(terminal=False),
    "launch-terminal": launch(terminal=True),
    "steps": steps,
    "refusal": refusal,
    "sync-nothing": sync_nothing,
    "sync-some": sync_some,
    "sync-first": sync_first,
    "sync-growth": sync_growth,
    "policy": policy,
    "memory": memory,
    "throughput-pipe": throughput_pipe,
    "throughput-terminal": throughput_terminal,
    "parallel": parallel,
    "context-bubblewrap": bubblewrap,
    "context-sudo": sudo_alone,
}


def _timed(rounds: Sequence[Times]) -> Measured:
    """The result of rounds of ours and the reference."""
    return compared("s", [Round(tuple(ours), tuple(theirs)) for ours, theirs in rounds])


def _rsync(desk: Desk) -> list[str]:
    return ["rsync", "-a", "--delete", f"{desk.configuration}/", f"{desk.private}/rsync/"]


def _beside(reference: list[str]) -> list[list[str]]:
    """The commands to compare: a launch with the tree, a launch without it, and the reference for the difference."""
    return [[SYNCED], [VARIANT], reference]


def _synced(rounds: Sequence[Times]) -> Measured:
    """The result of rounds of `_beside`: sync is the difference between the launches with and without the tree."""
    found = []
    for whole, without, theirs in rounds:
        launching = statistics.median(without)
        found.append(Round(tuple(each - launching for each in whole), tuple(theirs)))
    return compared("s", found)


def _throughput(desk: Desk, pace: Pace, size: int, *, terminal: bool) -> Measured:
    """The speed at which a program's output arrives, in a session and in the reference."""
    words = ["sh", "-c", f"yes '{_LINE}' | head -c {size}"]
    rounds = []
    with held(desk) as reference:
        desk.allow(reference.systemd_run)
        commands = [[_PROBE, "exec", *words], reference.launch(terminal=terminal, program=words)]
        # Alternating run by run: the copying speed of a processor changes by half from minute to minute.
        for number in range(pace.rounds * pace.runs):
            forth = 1 if number % 2 == 0 else -1
            rates = [
                streams.rate(desk, command, _LINE.encode(), size, terminal=terminal) for command in commands[::forth]
            ]
            rounds.append(Round(*((rate,) for rate in rates[::forth])))
    return compared("B/s", rounds)


def _at_once(command: Sequence[str]) -> list[str]:
    """The command that runs a command many times at once, and fails if one of them fails."""
    return ["sh", "-c", f'seq {_AT_ONCE} | xargs -P {_AT_ONCE} -I {_UNUSED} "$@"', "at-once", *command]


def _weights(title: str, found: Mapping[str, int]) -> Iterator[str]:
    yield f"{title}, of the last round: {', '.join(f'{name.split()[0]} {size:,}' for name, size in found.items())} KiB"
