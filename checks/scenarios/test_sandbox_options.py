"""Properties, resources and the Nix daemon: what these sandbox options grant and deny."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.commands import as_user, inside, probe
from support.exposure import AT_MOST, exposure
from support.installed import home
from support.sessions import IDLE, session
from support.units import shown


def test_the_administrators_properties_are_on_the_unit_and_work() -> None:
    with session("alice", "pi-open", *IDLE) as going:
        assert shown(going.unit, "RestrictNamespaces") == "no"
        assert shown(going.unit, "LimitNOFILE") == "4096"
        assert shown(going.unit, "LimitSIGPENDING") == "77"
        assert {"mount", "pivot_root"} <= set(shown(going.unit, "SystemCallFilter").split())
        # The others have their usual values.
        assert shown(going.unit, "NoNewPrivileges") == "yes"
        assert shown(going.unit, "PrivatePIDs") == "yes"
    assert inside("ulimit -n; ulimit -i", command="pi-open").ok().text.split() == ["4096", "77"]
    assert inside("unshare --user --map-root-user id -u", command="pi-open").ok().text == "0"
    assert inside("unshare --user --map-root-user id -u").status != 0
    mount = "unshare --user --map-root-user --mount mount -t tmpfs none /tmp"
    assert inside(mount, command="pi-open").status == 0
    assert inside(mount).status != 0


def test_even_with_namespaces_of_its_own_the_agent_cannot_lift_a_cover() -> None:
    """Mounts from a more privileged namespace are locked together (mount_namespaces(7))."""
    as_user("alice", "sh", "-c", "echo secret >.envrc", timeout=20).ok()
    script = (
        'in_own() { unshare --user --map-root-user --mount bash -c "$1" 2>/dev/null; };'
        "in_own 'umount .envrc && echo planted >>.envrc';"
        "in_own 'mount -o remount,bind,rw .envrc; echo planted >>.envrc';"
        "in_own 'mkdir /tmp/m; mount --bind . /tmp/m && echo planted >>/tmp/m/.envrc';"
        "in_own 'mkdir /tmp/n; mount --rbind . /tmp/n && umount /tmp/n/.envrc && echo planted >>/tmp/n/.envrc'; true"
    )
    inside(script, command="pi-open").ok()
    assert (home("alice") / "p/demo/.envrc").read_text() == "secret\n"


def test_limits_are_on_the_unit() -> None:
    with session("alice", "pi-limits", *IDLE) as going:
        assert shown(going.unit, "MemoryMax") == str(100 * 2**20)
        assert shown(going.unit, "TasksMax") == "64"
    with session("alice", "pi-probe", *IDLE) as going:
        assert shown(going.unit, "TasksMax") == "4096"
        assert shown(going.unit, "MemorySwapMax") == str(2**30)
        assert shown(going.unit, "CPUWeight") == "100"
        assert shown(going.unit, "OOMPolicy") == "kill"
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert 0.5 * total < int(shown(going.unit, "MemoryMax")) < 0.8 * total


def test_a_session_within_its_limits_works() -> None:
    script = (
        "for i in $(seq 20); do sleep 0.3 & done; wait; dd if=/dev/zero of=/tmp/f bs=1M count=8 status=none; echo ok"
    )
    assert inside(script, command="pi-limits").ok().text == "ok"


def test_without_the_daemon_there_is_no_socket_of_it() -> None:
    assert Path("/nix/var/nix/daemon-socket/socket").exists()
    # The directory, in which other sessions have it, may be there: nothing is in it.
    seen = "ls -A /nix/var/nix/daemon-socket; test -e /nix/var/nix/daemon-socket/socket"
    without = inside(seen, command="pi-nodaemon")
    assert (without.status, without.text) == (1, "")
    inside("test -S /nix/var/nix/daemon-socket/socket").ok()
    assert "NIX_REMOTE" not in probe(command="pi-nodaemon")["env"]
    assert probe()["env"]["NIX_REMOTE"] == "daemon"
    assert inside("nix store ping --store daemon || nix-store --add /etc/hostname", command="pi-nodaemon").status != 0


def test_without_the_daemon_the_store_is_still_read() -> None:
    inside(
        'test -n "$(ls /nix/store | head -n 1)" && command -v checks-extra && checks-extra', command="pi-nodaemon"
    ).ok()


@pytest.mark.parametrize("command", ["pi-probe", "pi-home", "pi-offline", "pi-paths", "pi-limits", "pi-nodaemon"])
def test_no_option_but_properties_loosens_the_sandbox(command: str) -> None:
    cwd = home("alice") if command == "pi-home" else None
    with session("alice", command, *IDLE, cwd=cwd) as going:
        assert exposure(going.unit) <= AT_MOST
