"""What a program in the sandbox may do: to processes, to the kernel, to become somebody else."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from scenarios.guest import IDLE, agent, inside, on_machine, processes, session, shown

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


@pytest.mark.parametrize(
    "attempt",
    [
        "sudo -n true",
        "su -c true alice </dev/null",
        "su -c true </dev/null",
        "mount --bind /tmp /tmp",
        "mount -t tmpfs tmpfs /tmp",
        "umount /home",
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "python3 -c 'import os; os.chroot(\"/\")'",
        "nsenter --target 1 --mount true",
        "python3 -c 'import os; os.setuid(0)'",
        "python3 -c 'import os; os.setgroups([0])'",
        "python3 -c 'import os; os.mknod(\"/tmp/x\", 0o60600, os.makedev(8, 0))'",
        "date --set @0",
        "hostname other",
        "swapoff --all && swapon /tmp/x",
        "reboot --force --force --no-wall",
        "systemctl stop model-server",
        "systemd-run true",
        "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    ],
)
def test_an_attempt_at_more_fails(attempt: str) -> None:
    assert inside(attempt).status != 0


def test_the_same_attempts_are_not_just_missing_programs() -> None:
    for program in ("su", "mount", "unshare", "nsenter", "systemctl", "python3"):
        assert inside('type -P "$1"', program).status == 0, program


def test_processes_of_the_host_are_invisible_and_out_of_reach() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        try:
            seen = inside("cat /proc/[0-9]*/comm; cd /proc; ls -d [0-9]*").ok().text.split()
            assert "systemd" not in seen
            assert "sshd" not in seen
            assert "sleep" not in seen
            assert len([entry for entry in seen if entry.isdigit()]) < 8
            assert inside('test ! -e "/proc/$1" && kill -0 "$1"', str(sleeper.pid)).status != 0
            assert sleeper.poll() is None
        finally:
            sleeper.kill()


def test_processes_of_another_session_are_invisible_and_out_of_reach_though_they_share_the_uid() -> None:
    with session("bob", "pi-probe", *IDLE) as other:
        uid = agent("pi-probe").pw_uid
        targets = [process for process in processes() if process.uid == uid]
        assert targets
        seen = inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; kill -9 -1; true")
        assert "cat >/dev/null" not in seen.text
        for process in targets:
            assert inside('kill -9 "$1"', str(process.pid)).status != 0
            assert process.there()
        assert other.client.poll() is None
        # The same uid outside could do it: it is the sandbox that denies it.
        assert on_machine("setpriv", f"--reuid={uid}", "--clear-groups", "kill", "-0", str(targets[0].pid)).status == 0


def test_a_process_can_signal_and_trace_its_own() -> None:
    assert inside("sleep 100 & kill -TERM $!; wait $!").status == 128 + signal.SIGTERM


def test_nothing_runs_on_when_pi_has_ended() -> None:
    inside("setsid sleep 1000 </dev/null >/dev/null 2>&1 & (trap '' TERM HUP; exec -a checks-stray sleep 1000 &)").ok()
    uid = agent("pi-probe").pw_uid
    assert [process for process in processes() if process.uid == uid] == []


def test_the_unit_is_the_agents_and_in_its_own_slice() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        assert running.unit.startswith("pi-agent-alice-")
        assert shown(running.unit, "Slice") == "pi-agent.slice"
        assert shown(running.unit, "NoNewPrivileges") == "yes"
        assert os.stat(f"/proc/{running.main_pid()}").st_uid == agent("pi-probe").pw_uid


CONNECT = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 5)
print("loopback")
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect(("169.254.169.254", 80))
probe.send(b"x")
print("exposed")
"""


def test_the_metadata_service_and_the_link_are_out_of_reach_and_loopback_is_not() -> None:
    seen = inside('python3 -c "$1"', CONNECT)
    assert "loopback" in seen.text
    # systemd filters with eBPF, which not every container lets it load: then it says so itself, here as for any unit.
    denied = ("--property=IPAddressDeny=link-local", "--pipe", "--wait", "--quiet", "--collect")
    control = on_machine("systemd-run", *denied, "--", "/usr/bin/env", "python3", "-c", CONNECT)
    assert ("exposed" in seen.text) == ("exposed" in control.text)


def test_the_unit_asks_for_the_filter_of_addresses() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        assert "169.254.0.0/16" in shown(running.unit, "IPAddressDeny")
