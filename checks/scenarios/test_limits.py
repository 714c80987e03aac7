"""What the kernel enforces on a session: memory, tasks, processors, addresses. Requires a kernel that enforces it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from support.commands import inside, on_machine
from support.servers import OTHER_HOST, listening
from support.sessions import session
from support.units import shown
from support.waiting import until

pytestmark = pytest.mark.needs_limits

CGROUPS: Final = Path("/sys/fs/cgroup")
MEBIBYTE: Final = 2**20
KILLED: Final = 128 + 9
# The session's own exit status, different from every other one.
OWN: Final = 3
# Memory is slow on an emulated machine.
LONG: Final = 90.0
# What else the machine runs, and must keep running.
BYSTANDER: Final = "model-server.service"
INTERFACE: Final = "testnet"


@pytest.fixture(autouse=True)
def bystander() -> Iterator[None]:
    """Check afterwards that the machine has lost nothing of its own."""
    before = shown(BYSTANDER, "MainPID")
    assert before != "0"
    yield
    assert shown(BYSTANDER, "MainPID") == before


def counter(unit: str, file: str, name: str = "") -> int:
    """A number from the cgroup of a session: the file's own, or the one with that name in it. See cgroups(7)."""
    text = (CGROUPS / shown(unit, "ControlGroup").lstrip("/") / file).read_text(encoding="utf-8")
    return int(dict(line.split() for line in text.splitlines())[name] if name else text)


def machine_memory() -> int:
    """The machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# -- memory

# Allocates that many mebibytes in a process of its own, and reports success.
HOG: Final = "python3 -c \"import sys; x = bytearray($1 * 2**20); print('taken')\"; echo afterwards; exit 3"


def test_a_session_that_needs_more_memory_than_it_may_is_ended_as_a_whole() -> None:
    hog = inside(HOG, "300", command="pi-limits", timeout=LONG)
    assert (hog.status, hog.text) == (KILLED, "")
    within = inside(HOG, "30", command="pi-limits")
    assert (within.status, within.text.split()) == (OWN, ["taken", "afterwards"])
    # The limit made the difference.
    without = inside(HOG, "300", timeout=LONG)
    assert (without.status, without.text.split()) == (OWN, ["taken", "afterwards"])


def test_by_default_a_session_is_ended_before_the_machine_is_out_of_memory() -> None:
    hog = inside(HOG, str(machine_memory() // MEBIBYTE), timeout=LONG)
    assert (hog.status, hog.text) == (KILLED, "")


FILL: Final = 'dd if=/dev/zero of="$1/f" bs=1M count="$2" status=none; echo "$?"; stat --format=%s "$1/f"; exit 3'


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_what_is_in_memory_is_full_before_the_machine_is(place: str) -> None:
    filled = inside(FILL, place, str(machine_memory() // MEBIBYTE), timeout=LONG)
    status, size = map(int, filled.text.split())
    assert (filled.status, status) == (OWN, 1)
    assert "No space left on device" in filled.complaint
    assert machine_memory() // 20 < size < machine_memory() // 2


def test_files_in_memory_count_as_memory_of_the_session() -> None:
    filled = inside(FILL, "/tmp", "150", command="pi-limits", timeout=LONG)
    assert (filled.status, filled.text) == (KILLED, "")
    within = inside(FILL, "/tmp", "30", command="pi-limits")
    assert (within.status, within.text.split()) == (OWN, ["0", str(30 * MEBIBYTE)])


# -- tasks

# Forks without end in the background, until the input ends. The session still has a status.
BOMB: Final = "bomb() { bomb | bomb & }; echo ready; read -r; bomb 2>/dev/null; cat >/dev/null; exit 3"


def test_a_fork_bomb_stays_within_its_session() -> None:
    with session("alice", "pi-limits", "exec", "bash", "-c", BOMB) as going:
        going.say(b"now")
        until(lambda: counter(going.unit, "pids.events", "max") > 0, "the session is out of tasks")
        assert counter(going.unit, "pids.current") <= 64
        # The machine can fork, and so can another session.
        on_machine("sh", "-c", "for i in $(seq 100); do true & done; wait").ok()
        other = inside("for i in $(seq 100); do true & done; wait; exit 3", user="bob")
        assert (other.status, other.complaint) == (OWN, "")
        assert going.wait().status == OWN


# -- processors

# The share of a processor that this program got while it wanted all of it.
SHARE: Final = """
import time
began, used = time.monotonic(), time.process_time()
while time.monotonic() - began < 3:
    pass
print((time.process_time() - used) / (time.monotonic() - began))
"""


def test_a_quota_of_processor_time_holds() -> None:
    slow = inside('python3 -c "$1"; exit 3', SHARE, command="pi-slow")
    assert slow.status == OWN
    assert float(slow.text) < 0.35
    free = inside('python3 -c "$1"; exit 3', SHARE)
    assert free.status == OWN
    assert float(free.text) > 0.5


# -- addresses

METADATA: Final = "169.254.169.254"
LINK_LOCAL: Final = "169.254.7.7"
# Prints a list of the addresses in the arguments that it can connect to: each as JSON, address and port.
CONNECT: Final = """
import json, socket, sys
reached = []
for address, port in map(json.loads, sys.argv[1:]):
    try:
        socket.create_connection((address, port), timeout=2).close()
        reached.append(address)
    except OSError:
        pass
print(json.dumps(reached))
"""


@pytest.fixture
def addresses() -> Iterator[dict[str, int]]:
    """Addresses on which the machine answers → the port of a server there."""
    on_machine("ip", "address", "replace", f"{LINK_LOCAL}/32", "dev", INTERFACE).ok()
    listed = on_machine("ip", "-json", "-6", "address", "show", "dev", INTERFACE, "scope", "link").ok()
    link_local6 = f"{json.loads(listed.stdout)[0]['addr_info'][0]['local']}%{INTERFACE}"
    places = [METADATA, LINK_LOCAL, OTHER_HOST, "127.0.0.1", "::1", link_local6]
    with ExitStack() as servers:
        found = {}
        for place in places:
            # bind() does not take the interface of a link-local address as part of its text.
            [(family, _, _, _, address)] = socket.getaddrinfo(place, 0, type=socket.SOCK_STREAM)
            found[place] = int(servers.enter_context(listening(family, address)))
        # All answer clients that may reach them.
        asked = on_machine("python3", "-c", CONNECT, *asking(found, found)).ok()
        assert json.loads(asked.stdout) == places
        yield found
    on_machine("ip", "address", "del", f"{LINK_LOCAL}/32", "dev", INTERFACE)


def asking(addresses: dict[str, int], which: Sequence[str] | dict[str, int]) -> list[str]:
    """The arguments of CONNECT."""
    return [json.dumps([place, addresses[place]]) for place in which]


def reached(command: str, addresses: dict[str, int]) -> set[str]:
    """The addresses that a session of a variant reaches, without interfaces."""
    asked = inside('python3 -c "$@"; exit 3', CONNECT, *asking(addresses, addresses), command=command, timeout=LONG)
    assert asked.status == OWN, asked.complaint
    return {place.partition("%")[0] for place in json.loads(asked.stdout)}


def test_by_default_link_local_addresses_are_out_of_reach_and_all_others_are_not(addresses: dict[str, int]) -> None:
    assert reached("pi-probe", addresses) == {OTHER_HOST, "127.0.0.1", "::1"}


def test_addresses_are_denied_as_configured_but_for_the_exceptions(addresses: dict[str, int]) -> None:
    assert reached("pi-addresses", addresses) == {METADATA, "127.0.0.1", "::1"}


def test_where_any_address_is_denied_the_exceptions_are_all_there_is(addresses: dict[str, int]) -> None:
    assert reached("pi-loopback", addresses) == {"127.0.0.1"}


SEND: Final = """
import socket, sys
for place in sys.argv[1:]:
    address, _, port = place.rpartition(" ")
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(address.encode(), (address, int(port)))
    except OSError:
        pass
"""


def test_no_datagram_arrives_at_a_denied_address_however_it_is_written() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 0))
        server.settimeout(5)
        port = server.getsockname()[1]
        denied = [f"{METADATA} {port}", f"::ffff:{METADATA} {port}"]
        places = [*denied, f"{OTHER_HOST} {port}", f"::ffff:{OTHER_HOST} {port}"]
        inside('python3 -c "$@"', SEND, *places).ok()
        # They arrive in the order in which they were sent.
        assert [server.recv(64).decode() for _ in range(2)] == [OTHER_HOST, f"::ffff:{OTHER_HOST}"]
        on_machine("python3", "-c", SEND, *denied).ok()
        assert [server.recv(64).decode() for _ in range(2)] == [METADATA, f"::ffff:{METADATA}"]
