"""At addresses that the policy denies."""

from __future__ import annotations

from typing import Final

import pytest
from scenarios.guest import IDLE, inside, on_machine, session, shown

from escapes.case import attempt

_SEND: Final = """
import socket, sys
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect((sys.argv[1], 80))
probe.send(b"x")
print("exposed")
"""


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.0.1"])
@attempt("network", "reach a cloud's metadata service or a link-local address")
def test_denied_addresses_are_not_reached(address: str, request: pytest.FixtureRequest) -> None:
    seen = inside('python3 -c "$@"', _SEND, address)
    # systemd filters with eBPF, which not every container lets it load: then it says so itself, here as for any unit.
    denied = ("--property=IPAddressDeny=link-local", "--pipe", "--wait", "--quiet", "--collect")
    control = on_machine("systemd-run", *denied, "--", "/usr/bin/env", "python3", "-c", _SEND, address)
    filters = "exposed" not in control.text
    request.node.user_properties.append(("answer", "filtered" if filters else "this kernel has no filter"))
    assert ("exposed" in seen.text) == (not filters and "exposed" in on_machine("python3", "-c", _SEND, address).text)
    assert "exposed" in inside('python3 -c "$@"', _SEND, "192.0.2.10").text
    with session("alice", "pi-probe", *IDLE) as running:
        assert "169.254.0.0/16" in shown(running.unit, "IPAddressDeny").split()
