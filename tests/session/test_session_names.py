from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.session import session_names
from pi_agent.session.session_names import Session

# Characters that systemd accepts in a unit name (systemd.unit(5)), without the colon and the backslash.
_UNIT = re.compile(r"pi-agent-[A-Za-z0-9_.-]*-0\.service")


def test_everything_of_a_session_is_in_its_directory() -> None:
    own = Session("x.service", "/run/pi-agent/x")
    places = [own.request, own.about, own.report, own.gate, own.lock]
    assert len(set(places)) == len(places)
    assert all(os.path.dirname(place) == "/run/pi-agent/x" for place in places)


def test_a_session_is_named_by_its_user_and_lies_with_those_of_the_same_uid() -> None:
    own = session_names.named("alice", 1000, "0123456789abcdef")
    name = "pi-agent-alice-0123456789abcdef"
    assert own == Session(f"{name}.service", f"/run/pi-agent/1000/{name}")
    assert session_names.called("/run/pi-agent/1000", name) == own


@pytest.mark.parametrize(
    ("user", "unit"),
    [
        ("ev il/../%h\n", "pi-agent-ev_il_..__h_-0.service"),
        ("bob.smith_x-y", "pi-agent-bob.smith_x-y-0.service"),
        ("jürgen", "pi-agent-j_rgen-0.service"),
        ("a$b", "pi-agent-a_b-0.service"),
    ],
)
def test_no_users_name_brings_a_character_into_a_units_name_that_means_something(user: str, unit: str) -> None:
    assert session_names.named(user, 1000, "0").unit == unit


@given(st.text(max_size=20))
def test_whatever_the_user_is_called_the_unit_has_a_name_and_the_directory_lies_with_the_uid(user: str) -> None:
    own = session_names.named(user, 1000, "0")
    assert _UNIT.fullmatch(own.unit)
    assert os.path.dirname(own.directory) == os.path.normpath(os.path.dirname(own.directory)) == "/run/pi-agent/1000"
    assert own.directory == f"/run/pi-agent/1000/{own.unit.removesuffix('.service')}"
    assert own.unit.startswith(session_names.UNITS.partition("*")[0])
