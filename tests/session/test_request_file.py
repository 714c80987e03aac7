"""What launch.bash is asked to do, as it reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_agent.messages import refusals
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import launch_plan, request_file
from tests.support.launching import Launching
from tests.support.policies import replaced
from tests.support.shapes import ODD
from tests.support.trees import write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(tmp_path, monkeypatch, environment={"A": "hunter2"})


def test_the_command_has_whatever_bytes_it_was_given(here: Launching) -> None:
    asked = here.asked_by(here.plan(*ODD))
    assert asked.directory == str(here.directory)
    assert asked.command == (here.policy.program, *ODD)


@pytest.mark.parametrize("name", ["pi", "agent-%s"])
def test_it_begins_with_the_message_for_a_directory_that_cannot_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = Launching(tmp_path, monkeypatch, commandName=name)
    refusal = refusals.directory_closed_to_agent(str(here.directory))
    first, *rest = here.asked_by(here.plan()).refusal.split("\n")
    assert first == f"{name}: {refusal.what}"
    assert rest == [f"    {line}" for line in refusal.remedy.split("\n")]


def test_at_a_terminal_the_command_is_in_a_session_that_owns_it(here: Launching) -> None:
    command = here.asked_by(launch_plan.plan(replaced(here.request("-p", "x"), terminal=True))).command
    assert command[:2] == (here.policy.tools.setsid, "--ctty")
    assert command[-3:] == (here.policy.program, "-p", "x")


def test_without_a_project_the_command_starts_in_the_agents_home(here: Launching) -> None:
    asked = here.asked_by(here.plan("--help"))
    assert (asked.directory, asked.command) == (here.agent.home, (here.policy.program, "--help"))


def test_variables_are_those_of_all_layers_together(here: Launching) -> None:
    write(here.host / ".env", "HOST='a  b\nc'\nA=host\nLD_PRELOAD=/p/x.so\nEMPTY=")
    variables = here.asked_by(here.plan()).variables
    assert (variables["HOST"], variables["A"], variables["EMPTY"]) == ("a  b\nc", "hunter2", "")
    assert variables["LD_PRELOAD"] == "/p/x.so", "which acts on the command alone: launch.bash exports it last"
    assert variables["PI_CODING_AGENT_DIR"] == f"{here.agent.home}/.pi/agent"


def test_only_root_can_open_it_and_what_is_beside_it(here: Launching) -> None:
    plan = here.plan()
    here.asked_by(plan)
    session = plan.request.session
    written = {session.about, session.report, session.request}
    assert {str(path) for path in Path(session.directory).iterdir()} == written
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in written)
    assert Path(session.report).is_fifo()


def test_a_request_that_cannot_be_written_is_refused(here: Launching) -> None:
    plan = here.plan()
    Path(plan.request.session.request).mkdir(parents=True)
    with pytest.raises(Refusal) as caught:
        request_file.write(plan)
    assert caught.value.status == EX_UNAVAILABLE
