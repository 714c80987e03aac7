"""The runner, called through sudo itself, with variables and options that would choose code, identity or messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import as_user
from support.hostile import RUNNER, SUDO, call, harmless, script
from support.installed import home, state
from support.processes import ours
from support.sessions import IDLE, session

HOSTILE = {
    "BASH_ENV": "/home/alice/evil",
    "BASH_FUNC_echo%%": "() { id; }",
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/home/alice/evil",
    "ENV": "/home/alice/evil",
    "GCONV_PATH": "/home/alice",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "IFS": "/",
    "LD_AUDIT": "/home/alice/evil.so",
    "LD_LIBRARY_PATH": "/home/alice",
    "LD_PRELOAD": "/home/alice/evil.so",
    "LOCPATH": "/home/alice",
    "NIX_PYTHONPATH": "/home/alice",
    "PATH": "/home/alice:/usr/bin",
    "PYTHONHOME": "/home/alice",
    "PYTHONINSPECT": "1",
    "PYTHONPATH": "/home/alice",
    "PYTHONPYCACHEPREFIX": "/home/alice",
    "PYTHONWARNINGS": "error",
    "SUDO_COMMAND": "evil",
    "SUDO_GID": "0",
    "SUDO_UID": "1001",
    "SUDO_USER": "bob",
    "SYSTEMD_LOG_TARGET": "console",
    "TMPDIR": "/home/alice",
}
# What sudo(8) sets itself, and what it may keep about a terminal, a language and a login.
KNOWN = {
    "COLORTERM",
    "COLORS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINGUAS",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "PATH",
}
KNOWN |= {
    "HOSTNAME",
    "KRB5CCNAME",
    "PS1",
    "PS2",
    "SHELL",
    "TERM",
    "TZ",
    "USER",
    "USERNAME",
    "XAUTHORITY",
    "XAUTHORIZATION",
}
KNOWN |= {"SUDO_COMMAND", "SUDO_GID", "SUDO_HOME", "SUDO_UID", "SUDO_USER", "TERMINFO", "TERMINFO_DIRS", "NIX_PATH"}
# What the shell in front of the interpreter adds.
KNOWN |= {"PWD", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "_"}


def variables(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").decode("utf-8", "surrogateescape")
    return dict(word.split("=", 1) for word in words.split("\0") if word)


def test_root_runs_with_no_variable_that_chooses_code_or_claims_an_identity() -> None:
    words = [f"{name}={value}" for name, value in HOSTILE.items() if name != "PATH"]
    with session("alice", "env", *words, SUDO, "-n", "--", RUNNER, *IDLE) as running:
        assert running.unit.startswith("pi-agent-alice-")
        [sudo], [runner] = ours()["sudo"], ours()["runner"]
        assert variables(sudo.pid)["PYTHONPATH"] == HOSTILE["PYTHONPATH"]  # it was there to be used
        seen = variables(runner.pid)
        assert {name for name in seen if not name.startswith("LC_")} <= KNOWN
        for name, value in seen.items():
            assert value != HOSTILE.get(name), name
        assert (seen["SUDO_UID"], seen["SUDO_USER"]) == (str(home("alice").stat().st_uid), "alice")
        [client] = ours()["systemd-run"]
        assert not {name for name in variables(client.pid) if not name.startswith("SYSTEMD_")} - {"TERM", "LC_ALL"}
    assert state("alice", "pi-probe").exists()
    assert not state("bob", "pi-probe").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_sudo_sets_no_variable_for_the_caller(name: str) -> None:
    refused = as_user("alice", SUDO, "-n", f"{name}={HOSTILE[name]}", "--", RUNNER, "x")
    assert refused.status == 1
    assert refused.stdout == b""


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LANGUAGE", "TZ", "TERM", "COLORTERM"])
@pytest.mark.parametrize("value", [b"../../etc/shadow", b":/etc/shadow", b"%h", b"a\nB=c", b"\xff", b"x" * 5000, b'"'])
def test_a_value_that_sudo_lets_through_is_passed_plain_or_not_at_all(name: str, value: bytes) -> None:
    setting = f"os.environb[{name.encode()!r}] = {value!r}"
    result = call(setting, "exec", "env", "-0")
    harmless(result)
    seen = dict(word.split(b"=", 1) for word in result.ok().stdout.rstrip(b"\0").split(b"\0"))
    given = seen.get(name.encode(), b"")
    assert b"B" not in seen
    assert len(given) <= 256 and all(0x20 <= byte < 0x7F for byte in given)


REFUSED = ["-E", "-i", "-s", "-C100", "-D/", "-R/", "-groot", "-T1", "-u#-1", "-u#4294967295", "-upi-agent", "-ubob"]


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_of_sudo_that_would_change_how_the_runner_runs_is_refused(option: str) -> None:
    refused = call("", "x", sudo=[option])
    assert refused.status == 1
    assert refused.stdout == b""


@pytest.mark.parametrize("option", ["-P", "-H", "-B", "-u#0", "-k"])
def test_an_option_of_sudo_that_changes_nothing_of_it_serves_alice_as_ever(option: str) -> None:
    assert call("", "x", sudo=[option]).ok().stdout.startswith(b'{"argv": ["x"]')
    groups = script("", "id -G").ok().text
    assert call("", "exec", "id", "-G", sudo=[option]).ok().text == groups
