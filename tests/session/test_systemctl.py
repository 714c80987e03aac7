"""Ending a unit from outside, with a stand-in for systemctl."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import systemctl
from tests.support.fakes import Bin
from tests.support.policies import frozen

_ASKED = "systemctl kill --kill-whom=main --signal=TERM u.service"
_KILLED = "systemctl kill --signal=KILL u.service"
_LOOKED = "systemctl is-active --quiet u.service"
_STOPPED = "systemctl stop u.service"


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "_POLL", 0.001)


def answering(bin_: Bin, *, looks: int) -> str:
    """A systemctl script for a unit that `is-active` reports as active that many times."""
    return f'[ "$1" != is-active ] || [ "$(grep -c is-active "{bin_.log}")" -le {looks} ] || exit 3'


def took(began: float) -> float:
    return time.monotonic() - began


@pytest.mark.parametrize("looks", [0, 1, 5])
def test_pi_is_asked_first_and_has_until_it_ends_before_the_rest_is_stopped(
    bin_: Bin, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    monkeypatch.setattr(systemctl, "GRACE", 30)
    systemctl.stop(bin_.tools(systemctl=answering(bin_, looks=looks)), "u.service")
    assert bin_.calls() == [_ASKED, *[_LOOKED] * (looks + 1), _STOPPED]


def test_who_does_not_end_is_killed_after_the_grace_and_not_before(bin_: Bin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "GRACE", 0.2)
    began = time.monotonic()
    systemctl.stop(bin_.tools(systemctl=answering(bin_, looks=1_000_000)), "u.service")
    assert took(began) >= 0.2
    asked, *looked, killed, stopped = bin_.calls()
    assert (asked, killed, stopped) == (_ASKED, _KILLED, _STOPPED)
    assert set(looked) == {_LOOKED}


@pytest.mark.parametrize("status", [1, 4, 5, 255])
def test_a_unit_that_there_is_not_is_not_waited_for_and_no_error(bin_: Bin, status: int) -> None:
    """It is stopped anyway: systemd may be about to start it."""
    systemctl.stop(bin_.tools(systemctl=f"exit {status}"), "u.service")
    assert bin_.calls() == [_ASKED, _STOPPED]


def test_stopping_that_fails_is_no_error(bin_: Bin) -> None:
    systemctl.stop(bin_.tools(systemctl='[ "$1" = kill ] || exit 1'), "u.service")
    assert bin_.calls() == [_ASKED, _LOOKED, _STOPPED]


@pytest.mark.parametrize(("status", "signalled"), [(0, True), (1, False), (5, False), (255, False)])
def test_killing_says_whether_there_was_something_to_signal(bin_: Bin, status: int, signalled: bool) -> None:
    tools = bin_.tools(systemctl=f"exit {status}")
    assert systemctl.kill(tools, "u.service", "--kill-whom=main", "--signal=INT") is signalled
    assert systemctl.kill(tools, "u.service") is signalled
    assert bin_.calls() == ["systemctl kill --kill-whom=main --signal=INT u.service", "systemctl kill u.service"]


@pytest.mark.parametrize("status", [0, 1, 5])
def test_forgetting_what_systemd_does_not_remember_is_fine(bin_: Bin, status: int) -> None:
    systemctl.reset_failed(bin_.tools(systemctl=f"exit {status}"), "u.service")
    assert bin_.calls() == ["systemctl reset-failed u.service"]


def test_a_systemctl_that_cannot_be_run_is_refused_and_not_taken_for_no_unit() -> None:
    tools = frozen().tools  # in a store that does not exist here
    for refused in (systemctl.stop, systemctl.kill, systemctl.reset_failed):
        with pytest.raises(Refusal) as caught:
            refused(tools, "u.service")
        assert caught.value.status == EX_UNAVAILABLE


def test_the_grace_is_one_that_an_alarm_can_count() -> None:
    """signal.alarm(3p) takes whole seconds, and 0 would mean no alarm at all."""
    assert isinstance(systemctl.GRACE, int) and systemctl.GRACE > 0
