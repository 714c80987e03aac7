"""The systemd-run(1) command of a session."""

from __future__ import annotations

import os
import pty
import subprocess

from pi_agent.session import systemd_run
from pi_agent.session.session_names import Session
from tests.support.policies import frozen, replaced

_POLICY = frozen(launcher="/store/launch.bash", systemCallFilter="/store/filter")
_TOOLS = _POLICY.tools
_SESSION = Session("pi-agent-alice-0.service", "/run/pi-agent/pi-agent-alice-0")


def test_the_command_by_example() -> None:
    argv = systemd_run.command(_POLICY, _SESSION, ["User=996", "A=b c%h$x"], ["--landlock-x", "y"], terminal=False)
    assert argv == (
        "/nix/store/systemd/bin/systemd-run",
        "--quiet",
        "--wait",
        "--collect",
        "--no-ask-password",
        "--expand-environment=no",
        "--service-type=exec",
        "--unit=pi-agent-alice-0.service",
        "--slice=pi-agent.slice",
        "--description=Pi coding agent",
        "--pipe",
        "--property=User=996",
        "--property=A=b c%h$x",
        "--",
        "/nix/store/util-linux/bin/setpriv",
        "--no-new-privs",
        "--landlock-x",
        "y",
        "--seccomp-filter",
        "/store/filter",
        "--",
        "/nix/store/bash/bin/bash",
        "-p",
        "/store/launch.bash",
    )


def test_at_a_terminal_there_is_a_pty_without_a_tint_and_no_pipe() -> None:
    argv = systemd_run.command(_POLICY, _SESSION, [], [], terminal=True)
    assert {"--pty", "--background="} <= set(argv)
    assert "--pipe" not in argv


def test_at_a_terminal_pi_is_in_a_session_that_owns_it() -> None:
    first, *between, name, prompt = systemd_run.owning_terminal(_TOOLS, ["pi", "-p"])
    assert (first, between[0], name, prompt) == ("/nix/store/util-linux/bin/setsid", "--ctty", "pi", "-p")
    assert between[1:3] == ["/nix/store/bash/bin/bash", "-p"]


def test_who_suspends_itself_at_a_terminal_goes_on_at_once() -> None:
    # As Pi does on Ctrl-Z, in an orphaned process group as inside.
    suspends = "trap 'echo again; exit 3' CONT; while :; do kill -s TSTP 0; sleep 0.01; done"
    tools = replaced(_TOOLS, setsid="/usr/bin/setsid", bash="/bin/bash")
    master, slave = pty.openpty()
    words = systemd_run.owning_terminal(tools, ["/bin/bash", "-c", suspends])
    with subprocess.Popen(words, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        assert process.communicate(timeout=20)[0] == b"again\n"
        assert process.returncode == 3
    os.close(master)


def test_a_unit_gets_its_root_and_what_connects_it_by_its_properties() -> None:
    assert systemd_run.connected(_SESSION, "/run/pi-agent-root/system") == [
        "RootDirectory=/run/pi-agent-root/system",
        f"OpenFile={_SESSION.request}:request:read-only",
        f"OpenFile={_SESSION.report}:report:append",
        f"OpenFile={_SESSION.gate}:gate",
    ]
