"""What NixOS does in another way than Debian: where it is not NixOS that runs these, they first make the machine so."""

from __future__ import annotations

import grp
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import FACTS, demo, home
from support.servers import connects
from support.sessions import session
from support.terminals import ended, terminal

ON_NIXOS = Path("/etc/NIXOS").exists()
NAME_SERVICE = Path("/run/nscd/socket")

# As NixOS has them: bash reads the first whenever it is interactive, a login shell the second.
BASHRC = '[ -n "$__ETC_PROFILE_DONE" ] || . /etc/profile\n'
PROFILE = """
[ -z "$__ETC_PROFILE_SOURCED" ] || return 0
__ETC_PROFILE_SOURCED=1
export __ETC_PROFILE_DONE=1
if [ -z "$__NIXOS_SET_ENVIRONMENT_DONE" ]; then
  export __NIXOS_SET_ENVIRONMENT_DONE=1
  export PATH=/run/wrappers/bin:/run/current-system/sw/bin:/usr/bin:/bin
fi
"""


@contextmanager
def moved(*files: str) -> Iterator[Path]:
    """Move files of /etc to a directory elsewhere, leave links to them, and undo both."""
    away = Path("/var/lib/checks-moved")
    away.mkdir(mode=0o755)
    try:
        for name in files:
            on_machine("cp", "-p", f"/etc/{name}", away / name).ok()
            on_machine("ln", "-sfn", away / name, f"/etc/{name}.link").ok()
            os.replace(f"/etc/{name}.link", f"/etc/{name}")
        yield away
    finally:
        for name in files:
            on_machine("mv", "-T", away / name, f"/etc/{name}").ok()
        away.rmdir()


@contextmanager
def written(name: str, text: str) -> Iterator[None]:
    """Have another text in a file of /etc."""
    file = Path("/etc", name)
    before = file.read_bytes()
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_rule_of_the_administrators_that_asks_for_a_password_keeps_nobody_from_the_agent() -> None:
    refused = as_user("alice", FACTS["sudo"], "-n", "true")
    assert refused.status != 0
    assert "password is required" in refused.complaint or "authentication is required" in refused.complaint
    assert inside("echo started").ok().text == "started"
    assert as_user("alice", "pi", "--version").ok().text


@pytest.fixture
def shells() -> Iterator[None]:
    """Shells that set PATH as those of NixOS do."""
    if ON_NIXOS:
        yield
        return
    with written("bash.bashrc", BASHRC), written("profile", PROFILE):
        yield


@pytest.mark.usefixtures("shells")
def test_every_shell_has_the_path_that_pi_has() -> None:
    path = inside('echo "$PATH"').ok().text
    assert inside("exec bash -lc 'echo \"$PATH\"'").ok().text == path
    screen = terminal("alice", "pi-probe", "--sandbox-shell", size=(24, 2000))
    screen.sendline('printf "<%s>\\n" "$PATH"; exit')
    screen.expect(r"<(/[^\r\n>]+)>")
    assert screen.match is not None and screen.match[1].decode() == path
    assert ended(screen) == 0


def test_what_angle_brackets_name_on_the_host_they_name_inside() -> None:
    assert inside("nix-instantiate --eval --expr 'import <checks>'").ok().text == '"found by its name"'


def test_accounts_have_names_also_where_their_files_are_not_in_etc() -> None:
    script = "id -un; id -gn; getent passwd alice | cut -d: -f1"
    expected = inside(script).ok().text
    assert "alice" in expected
    with moved("passwd", "group"):
        for command in ("pi-probe", "pi-offline"):
            seen = inside(f"{script}; ls -A /var/lib/checks-moved; true >>/etc/passwd", command=command)
            assert seen.text.split() == [*expected.split(), "group", "passwd"]
            assert "Read-only file system" in seen.complaint or "Permission denied" in seen.complaint


@pytest.fixture
def name_service() -> Iterator[str]:
    """The unit of the name service, which runs."""
    unit = "nscd.service"
    on_machine("systemctl", "start", unit).ok()
    yield unit
    if not ON_NIXOS:
        on_machine("systemctl", "stop", unit).ok()
        on_machine("rm", "-rf", NAME_SERVICE.parent).ok()  # which it leaves for those who look at it


def test_a_session_reaches_the_name_service_also_after_that_was_restarted(name_service: str) -> None:
    script = f"""echo ready; while read -r; do
      python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("{NAME_SERVICE}")' 2>/dev/null
      echo $?
    done"""
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as going:

        def reached() -> bool:
            going.say(b"again")
            return going.hear() == b"0"

        assert reached()
        on_machine("systemctl", "restart", name_service).ok()
        assert reached()
        # As `nixos-rebuild switch` restarts it.
        on_machine("systemctl", "stop", name_service).ok()
        assert not reached()
        on_machine("systemctl", "start", name_service).ok()
        assert reached()
    assert not connects("pi-offline", "unix", str(NAME_SERVICE))


def test_terminals_have_the_group_that_is_called_tty_here() -> None:
    look = "import os, pty; print(os.fstat(pty.openpty()[1]).st_gid)"
    entry = grp.getgrnam("tty")
    assert inside('exec python3 -c "$1"', look).ok().text == str(entry.gr_gid)
    if not ON_NIXOS:
        groups = Path("/etc/group").read_text(encoding="utf-8")
        with written("group", groups.replace(f"tty:x:{entry.gr_gid}:", "tty:x:2005:")):
            assert inside('exec python3 -c "$1"', look).ok().text == "2005"


def test_what_a_user_installed_with_nix_is_on_the_path_if_it_is_in_the_store() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "checks-profile/bin/checks-own")
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho own\n", encoding="utf-8")
        program.chmod(0o755)
        stored = on_machine("nix-store", "--add", program.parents[1]).ok().text
    state, link = home("alice") / ".local/state/nix/profiles", home("alice") / ".nix-profile"
    try:
        as_user("alice", "mkdir", "-p", state).ok()
        as_user("alice", "ln", "-s", stored, state / "profile").ok()
        as_user("alice", "ln", "-s", state / "profile", link).ok()
        seen = inside('checks-own; echo "$PATH"').ok().text.split()
        assert seen[0] == "own"
        assert f"{stored}/bin" in seen[1].split(":")
        assert inside("checks-own", user="bob").status == 127
        # A directory of the user's own is none of those that the sandbox shows.
        as_user("alice", "cp", "-rT", stored, demo("alice") / "own").ok()
        as_user("alice", "ln", "-sfn", demo("alice") / "own", link).ok()
        assert inside("checks-own").status == 127
    finally:
        on_machine("rm", "-rf", state, link, demo("alice") / "own").ok()
