"""From arguments to a request."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pi_agent.cli import launch_request
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, Refusal
from tests.support.launching import Launching
from tests.support.shapes import ODD


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(tmp_path, monkeypatch, extraRunArgs=["--extra", "a b"])


def test_pi_gets_the_policys_arguments_then_the_users_whatever_bytes_they_hold(here: Launching) -> None:
    request = here.request(*ODD)
    assert request.command == (here.policy.program, "--extra", "a b", *ODD)
    assert request.project is not None
    assert (request.project.root, request.project.directory) == (str(here.root), str(here.directory))
    assert (request.accounts, request.policy) == (here.accounts, here.policy)


@pytest.mark.parametrize("word", ["--sandbox-timing", "--sandbox-timing=json"])
def test_the_question_for_the_time_is_not_pis(here: Launching, word: str) -> None:
    assert here.request(word, "-p", "x").command[-3:] == ("a b", "-p", "x")
    assert here.request(word, "--version").project is None


def test_help_and_version_need_no_project_and_all_else_does(here: Launching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    for question in ("--help", "-h", "--version", "-v"):
        assert here.request(question).project is None
    with pytest.raises(Refusal) as caught:
        here.request()
    assert caught.value.status == EX_NOPERM
    with pytest.raises(Refusal) as caught:
        launch_request.for_shell(here.policy, here.caller)
    assert caught.value.status == EX_NOPERM


def test_a_command_for_the_user_takes_the_project_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Launching(tmp_path, monkeypatch)
    for words in (["list"], ["auth", "check"], ["--list-models"]):
        request = here.request(*words)
        assert request.configured and request.project is not None and request.project.root == str(here.root)
    assert not here.request("--version").configured
    monkeypatch.chdir("/")
    for words in (["list"], ["auth", "check"], ["--list-models"]):
        request = here.request(*words)
        assert request.configured and request.project is None
    with pytest.raises(Refusal) as caught:
        here.request("install", "-l", "x")
    assert caught.value.status == EX_NOPERM


def test_a_project_that_cannot_be_mounted_is_refused_also_where_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Launching(tmp_path, monkeypatch)
    odd = here.root / "it's"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert here.request("list").project is not None
    here = Launching(tmp_path / "other", monkeypatch, hostUsers={"alice": {"projectRoots": [str(odd)]}})
    monkeypatch.chdir(odd)
    with pytest.raises(Refusal) as caught:
        here.request("list")
    assert caught.value.status == EX_CONFIG


def test_a_shell_gets_nobodys_arguments(here: Launching) -> None:
    assert launch_request.for_shell(here.policy, here.caller).command == (here.policy.shell,)


def test_every_launch_is_a_session_of_its_own_and_an_example_is_none(here: Launching) -> None:
    first, second = here.request(), here.request()
    assert first.session != second.session
    assert first.session.unit.startswith("pi-agent-alice-")
    example = launch_request.as_example(here.policy, here.caller)
    assert example.session == launch_request.as_example(here.policy, here.caller).session
    assert example.session.unit == "pi-agent-alice-ID.service"
    assert example.command == (here.policy.program, "--extra", "a b")


@contextmanager
def streams(*numbers: int) -> Iterator[None]:
    """Make these standard streams a terminal. The other one of input and output is none."""
    master, slave = pty.openpty()
    null = os.open("/dev/null", os.O_RDWR)
    kept = {number: os.dup(number) for number in (0, 1)}
    try:
        for number in (0, 1):
            os.dup2(slave if number in numbers else null, number)
        yield
    finally:
        for number, old in kept.items():
            os.dup2(old, number)
        for descriptor in (master, slave, null, *kept.values()):
            os.close(descriptor)


@pytest.mark.parametrize(("numbers", "terminal"), [((0, 1), True), ((0,), False), ((1,), False), ((), False)])
def test_a_session_is_at_a_terminal_where_input_and_output_both_are(
    here: Launching, numbers: tuple[int, ...], terminal: bool
) -> None:
    with streams(*numbers):
        request = here.request()
    assert request.terminal is terminal
