"""What the options of the sandbox grant and what they deny, beyond the paths within a project."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.exposure import AT_MOST, exposure
from scenarios.guest import IDLE, Result, as_user, home, inside, on_machine, policy, probe, session, shown

SCRATCH: Final = Path("/srv/scratch")
# Another host, as far as the machine's network goes.
OTHER_HOST: Final = "192.0.2.10"


@pytest.fixture(autouse=True)
def scratch() -> Iterator[Path]:
    """The further path of pi-paths, empty, and as fixtures made it again afterwards."""

    def renew() -> None:
        on_machine("rm", "-rf", SCRATCH, *Path("/srv").glob("checks-*")).ok()
        on_machine("install", "-d", "-m", "0755", "-o", "alice", "-g", "users", SCRATCH).ok()

    renew()
    yield SCRATCH
    renew()


# -- readOnlyPaths, readWritePaths


def paths(script: str, *arguments: str, user: str = "alice") -> Result:
    """Run a script inside the variant with further paths."""
    return inside(script, *arguments, command="pi-paths", user=user)


def test_further_paths_are_there_and_nothing_beside_them(scratch: Path) -> None:
    (scratch / "file").write_text("from the host")
    assert paths("cat /srv/scratch/file").ok().text == "from the host"
    assert paths("head -n 1 /opt/pi-agent/Makefile").ok().text != ""
    assert paths("ls -A /srv /opt").ok().text.split() == ["/opt:", "pi-agent", "/srv:", "scratch"]
    # Without the option they are absent.
    assert inside("test -e /srv/scratch || test -e /opt/pi-agent").status == 1


def test_a_read_write_path_is_written_as_the_user(scratch: Path) -> None:
    paths("cd /srv/scratch; echo x >made; mkdir d; mv made d; chmod 600 d/made; ln -s d/made l; rm l").ok()
    made = (scratch / "d/made").stat()
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (home("alice").stat().st_uid, 0o600)
    as_user("alice", "rm", "-r", scratch / "d", cwd="/").ok()


def test_a_read_only_path_is_not_written() -> None:
    for attempt in ("touch /opt/pi-agent/planted", ": >>/opt/pi-agent/Makefile", "mkdir /opt/pi-agent/d"):
        assert paths(attempt).status != 0
    mounted = [line.split() for line in paths("cat /proc/self/mountinfo").ok().text.splitlines()]
    options = {fields[4]: set(fields[5].split(",")) for fields in mounted}
    assert {"ro", "nosuid", "nodev"} <= options["/opt/pi-agent"]
    assert {"rw", "nosuid", "nodev"} <= options[str(SCRATCH)]
    for place in ("/opt/pi-agent", "/srv/scratch"):
        assert (
            paths('umount "$1" || mount -o remount,bind,rw "$1" || mv "$1" "$1.old" || rmdir "$1"', place).status != 0
        )


def test_permissions_on_a_further_path_are_those_of_the_user(scratch: Path) -> None:
    on_machine("install", "-m", "0600", "-o", "bob", "/dev/null", scratch / "of-bob").ok()
    (scratch / "of-root").write_text("root's")
    (scratch / "of-root").chmod(0o600)
    on_machine("install", "-m", "0600", "-o", "alice", "/dev/null", scratch / "of-alice").ok()
    assert paths("cat /srv/scratch/of-alice").status == 0
    for name in ("of-bob", "of-root"):
        assert paths('cat "/srv/scratch/$1" || chmod 666 "/srv/scratch/$1"', name).status != 0
    # To bob's agent the same directory is one of a stranger.
    assert paths("cat /srv/scratch/of-bob", user="bob").status == 0
    assert paths("cat /srv/scratch/of-alice || touch /srv/scratch/new", user="bob").status != 0


def test_a_setuid_program_in_a_read_write_path_gives_no_rights(scratch: Path) -> None:
    program = shutil.which("id")
    assert program
    shutil.copy(program, scratch / "id")
    (scratch / "id").chmod(0o4755)
    assert paths("/srv/scratch/id -u").ok().text != "0"
    paths('cp "$(command -v id)" /srv/scratch/mine; chmod 4755 /srv/scratch/mine; chmod u+s /srv/scratch/mine')
    assert not (scratch / "mine").stat().st_mode & stat.S_ISUID


def test_a_missing_path_refuses_the_start_by_name(scratch: Path) -> None:
    scratch.rmdir()
    refused = paths("echo started")
    assert refused.status == 78
    assert refused.stdout == b""
    assert "/srv/scratch" in refused.complaint
    assert "No such file or directory" in refused.complaint
    # Another machine, or the same without the option, starts.
    assert inside("echo started").ok().text == "started"


def test_a_link_that_a_user_can_redirect_refuses_the_start(scratch: Path) -> None:
    place = Path("/srv/checks-alice")
    on_machine("install", "-d", "-o", "alice", place).ok()
    (place / "link").symlink_to("/root")
    scratch.rmdir()
    scratch.symlink_to(place / "link")
    refused = paths("ls -A /srv/scratch")
    assert refused.status == 78
    assert refused.stdout == b""
    assert "link" in refused.complaint
    # Also where the link is one of the directories on the way.
    (place / "link").unlink()
    (place / "real/scratch").mkdir(parents=True)
    (place / "link").symlink_to("real")
    scratch.unlink()
    scratch.symlink_to(place / "link/scratch")
    assert paths("true").status == 78


def test_a_link_that_only_root_can_change_is_followed(scratch: Path) -> None:
    place = Path("/srv/checks-real")
    place.mkdir()
    (place / "file").write_text("behind a link\n")
    scratch.rmdir()
    scratch.symlink_to(place)
    assert paths("cat /srv/scratch/file; ls /srv").ok().text.split() == ["behind", "a", "link", "scratch"]


def test_a_further_path_can_be_a_file_or_a_socket(scratch: Path) -> None:
    scratch.rmdir()
    scratch.write_text("a file")
    on_machine("chown", "alice", scratch).ok()
    assert paths("cat /srv/scratch; echo more >>/srv/scratch").ok().text == "a file"
    assert scratch.read_text() == "a filemore\n"
    scratch.unlink()
    with listening(socket.AF_UNIX, str(scratch)):
        on_machine("chmod", "0666", scratch).ok()
        assert connects("pi-paths", "unix", str(scratch))
        assert not connects("pi-probe", "unix", str(scratch))


def test_a_further_path_of_an_odd_kind_keeps_nobody_waiting(scratch: Path) -> None:
    scratch.rmdir()
    os.mkfifo(scratch)
    assert paths("echo started; test -p /srv/scratch").ok().text == "started"
    scratch.unlink()
    on_machine("mknod", "-m", "666", scratch, "c", "1", "3").ok()
    assert paths("echo x >/srv/scratch").status != 0


# -- network


# Says whether a connection to the address in the arguments comes about: a family, an address and perhaps a port.
CONNECT: Final = r"""
import socket, sys
family, address, *port = sys.argv[1:]
kind = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6}[family]
where = (address, int(port[0])) if port else address.replace("@", "\0", 1)
with socket.socket(kind) as client:
    client.settimeout(2)
    client.connect(where)
"""


@contextmanager
def listening(family: int, address: str | tuple[Any, ...]) -> Iterator[str | int]:
    """A server of the host's that takes connections; gives its port."""
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        name = server.getsockname()

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield name[1] if isinstance(name, tuple) else 0
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def connects(command: str, *where: str) -> bool:
    """Whether a program in the sandbox of a variant can connect there; see CONNECT."""
    return inside('python3 -c "$@"', CONNECT, *where, command=command).status == 0


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, "inet", "127.0.0.1"),
        (socket.AF_INET, "inet", OTHER_HOST),
        (socket.AF_INET6, "inet6", "::1"),
    ],
)
def test_without_network_no_server_outside_is_reached(family: int, kind: str, address: str) -> None:
    with listening(family, (address, 0)) as port:
        assert not connects("pi-offline", kind, address, str(port))
        assert connects("pi-probe", kind, address, str(port))


def test_without_network_there_is_a_loopback_and_no_other_interface() -> None:
    script = "sed 's/:.*//;s/ //g' /proc/net/dev | tail -n +3"
    assert inside(script, command="pi-offline").ok().text == "lo"
    assert "testnet" in inside(script).ok().text.split()
    made = "ip link add checks type dummy || ip address add 192.0.2.99/32 dev lo || ip link set lo down"
    assert inside(made, command="pi-offline").status != 0
    assert inside("tail -n +2 /proc/net/route", command="pi-offline").ok().text == ""


SERVE_AND_ASK: Final = r"""
import socket, sys, threading
family, address = {"inet": (socket.AF_INET, "127.0.0.1"), "inet6": (socket.AF_INET6, "::1"),
                   "unix": (socket.AF_UNIX, "\0mine")}[sys.argv[1]]
with socket.socket(family) as server:
    server.bind(address if family == socket.AF_UNIX else (address, 0))
    server.listen()
    threading.Thread(target=lambda: server.accept()[0].sendall(b"answer"), daemon=True).start()
    with socket.socket(family) as client:
        client.connect(server.getsockname())
        print(client.recv(10).decode())
"""


@pytest.mark.parametrize("command", ["pi-offline", "pi-probe"])
@pytest.mark.parametrize("family", ["inet", "inet6", "unix"])
def test_a_server_and_its_client_inside_work(command: str, family: str) -> None:
    assert inside('python3 -c "$@"', SERVE_AND_ASK, family, command=command).ok().text == "answer"


ASK_DNS: Final = r"""
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.connect((sys.argv[1], 53))
    client.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\7checks\0\0\1\0\1")
    client.recv(512)
"""


def test_without_network_no_name_is_resolved_and_no_packet_leaves() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind((OTHER_HOST, 53))
        resolver.settimeout(0.5)
        assert inside('python3 -c "$@"', ASK_DNS, OTHER_HOST, command="pi-offline").status != 0
        with pytest.raises(TimeoutError):
            resolver.recv(512)
        inside('python3 -c "$@"', ASK_DNS, OTHER_HOST)
        assert b"checks" in resolver.recv(512)
    assert inside("getent hosts checks.example", command="pi-offline").status != 0
    assert inside("getent hosts localhost", command="pi-offline").status == 0


@pytest.mark.parametrize("place", ["/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"])
def test_without_network_no_service_of_the_host_resolves_names_for_the_agent(place: str) -> None:
    directory = Path(place).parent
    there = directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with listening(socket.AF_UNIX, place):
            on_machine("chmod", "0666", place).ok()
            assert connects("pi-probe", "unix", place)
            assert not connects("pi-offline", "unix", place)
    finally:
        Path(place).unlink()
        if not there:
            directory.rmdir()


def test_denied_addresses_are_on_the_unit() -> None:
    with session("alice", "pi-probe", *IDLE) as going:
        denied = shown(going.unit, "IPAddressDeny").split()
        assert {"169.254.0.0/16", "fe80::/10"} <= set(denied)
        assert len(denied) == len(policy("pi-probe")["sandbox"]["denyAddresses"])
        assert shown(going.unit, "IPAddressAllow") == ""
        assert shown(going.unit, "PrivateNetwork") == "no"
    with session("alice", "pi-offline", *IDLE) as going:
        assert shown(going.unit, "PrivateNetwork") == "yes"


# -- properties and resources


def test_the_administrators_properties_are_on_the_unit_and_work() -> None:
    with session("alice", "pi-open", *IDLE) as going:
        assert shown(going.unit, "RestrictNamespaces") == "no"
        assert shown(going.unit, "LimitNOFILE") == "4096"
        assert shown(going.unit, "LimitCORE") == "0"
        assert {"mount", "pivot_root"} <= set(shown(going.unit, "SystemCallFilter").split())
        # The others are what they are everywhere.
        assert shown(going.unit, "NoNewPrivileges") == "yes"
        assert shown(going.unit, "PrivatePIDs") == "yes"
    assert inside("ulimit -n; ulimit -c", command="pi-open").ok().text.split() == ["4096", "0"]
    assert inside("unshare --user --map-root-user id -u", command="pi-open").ok().text == "0"
    assert inside("unshare --user --map-root-user id -u").status != 0
    mount = "unshare --user --map-root-user --mount mount -t tmpfs none /tmp"
    assert inside(mount, command="pi-open").status == 0
    assert inside(mount).status != 0


def test_even_with_namespaces_of_its_own_the_agent_cannot_lift_a_cover() -> None:
    """Mounts that came from a more privileged namespace are locked together (mount_namespaces(7))."""
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


# -- nixDaemon


def test_without_the_daemon_there_is_no_socket_of_it() -> None:
    assert Path("/nix/var/nix/daemon-socket/socket").exists()
    seen = "ls -A /nix/var/nix; test -e /nix/var/nix/daemon-socket"
    without = inside(seen, command="pi-nodaemon")
    assert without.status == 1
    assert "daemon-socket" not in without.text
    inside("test -S /nix/var/nix/daemon-socket/socket").ok()
    assert "NIX_REMOTE" not in probe(command="pi-nodaemon")["env"]
    assert probe()["env"]["NIX_REMOTE"] == "daemon"
    assert inside("nix store ping --store daemon || nix-store --add /etc/hostname", command="pi-nodaemon").status != 0


def test_without_the_daemon_the_store_is_still_read() -> None:
    inside(
        'test -n "$(ls /nix/store | head -n 1)" && command -v checks-extra && checks-extra', command="pi-nodaemon"
    ).ok()


# -- exposure


@pytest.mark.parametrize("command", ["pi-probe", "pi-home", "pi-offline", "pi-paths", "pi-limits", "pi-nodaemon"])
def test_no_option_but_properties_loosens_the_sandbox(command: str) -> None:
    cwd = home("alice") if command == "pi-home" else None
    with session("alice", command, *IDLE, cwd=cwd) as going:
        assert exposure(going.unit) <= AT_MOST
