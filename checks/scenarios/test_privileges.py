"""What a program in the sandbox may do: to processes, to the kernel, to become somebody else."""

from __future__ import annotations

import os
import signal

from scenarios.guest import IDLE, agent, inside, session, shown

STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status"


def test_there_are_no_capabilities_and_none_can_be_gained() -> None:
    seen = dict(line.split(":", 1) for line in inside(STATUS).ok().text.splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(seen[name], 16) == 0, name
    assert seen["NoNewPrivs"].strip() == "1"
    assert seen["Seccomp"].strip() == "2"
    user = agent("pi-probe")
    assert set(seen["Uid"].split()) == {str(user.pw_uid)}
    assert set(seen["Gid"].split()) == {str(user.pw_gid)}
    assert set(seen["Groups"].split()) <= {str(user.pw_gid)}


def test_a_process_can_signal_and_trace_its_own() -> None:
    assert inside("sleep 100 & kill -TERM $!; wait $!").status == 128 + signal.SIGTERM


def test_the_unit_is_the_agents_and_in_its_own_slice() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        assert running.unit.startswith("pi-agent-alice-")
        assert shown(running.unit, "Slice") == "pi-agent.slice"
        assert shown(running.unit, "NoNewPrivileges") == "yes"
        assert os.stat(f"/proc/{running.main_pid()}").st_uid == agent("pi-probe").pw_uid
