"""Without a network, nothing outside is reached or resolved, but programs inside reach each other; denied addresses."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import pytest
from support.commands import inside, on_machine
from support.installed import policy
from support.servers import OTHER_HOST, SERVE_AND_ASK, connects, listening
from support.sessions import IDLE, session
from support.units import shown


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


@pytest.mark.parametrize("place", ["/run/nscd/checks", "/run/systemd/resolve/checks"])
def test_without_network_no_service_of_the_host_resolves_names_for_the_agent(place: str) -> None:
    """Where these services run, their own sockets are in the same directories."""
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
