"""`--sandbox-doctor`: which program it asks, and its exit status. On a real system: checks/scenarios/test_doctor.py."""

from __future__ import annotations

import errno
import os

import pytest

from pi_agent.cli import parsing
from pi_agent.cli.commands import doctor
from pi_agent.cli.doctor import checks
from pi_agent.messages import access_findings, finding, findings, refusals
from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE
from pi_agent.policy import accounts
from tests.support.calls import call_of
from tests.support.installations import Installation

_STARTED = str(findings.runner_started())
_NOT_ON_PATH = str(access_findings.path_finds_nothing("pi"))


@pytest.fixture(autouse=True)
def not_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's PATH may have a program of the command's name."""
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.parametrize(
    ("failures", "status"),
    [([], 0), ([69], EX_UNAVAILABLE), ([78], EX_CONFIG), ([69, 78], EX_CONFIG)],
)
def test_the_status_is_0_only_when_nothing_fails(
    failures: list[int], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    found = [Finding(OK, "a", "x"), Finding(WARN, "b", "x", "y")]
    found += [Finding(FAIL, "c", "x", "y", number) for number in failures]
    assert doctor.report(found) == status
    assert capfd.readouterr().out.count(FAIL) == len(failures)


def ask(installation: Installation, monkeypatch: pytest.MonkeyPatch, body: str) -> int:
    """Ask a runner, behind a sudo that runs body."""
    monkeypatch.setattr(accounts, "by_uid", lambda policy, uid: installation.here.caller)
    policy = installation.context().policy
    sudo = installation.bin.script("sudo", body)
    request = parsing.parse(["--sandbox-doctor"], "pi")
    return doctor.ask_runner(policy, request, [sudo, "-n", "--", "/runner", "--sandbox-doctor"])


@pytest.mark.parametrize("status", [0, 69, 78])
def test_the_runners_answer_is_passed_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    assert ask(installation, monkeypatch, f"echo '{_STARTED}'; exit {status}") == status
    assert capfd.readouterr().out == f"{_NOT_ON_PATH}\n{_STARTED}\n"
    assert installation.bin.calls("sudo") == ["sudo -n -- /runner --sandbox-doctor"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            "echo 'sudo: a password is required' >&2; exit 1",
            access_findings.rules_not_listed("/runner", *["sudo: a password is required"] * 2),
        ),
        ("exit 1", access_findings.rules_not_listed("/runner", *[findings.exit_status(1)] * 2)),
        ("printf 'sudo: \\033[2J'; exit 1", access_findings.rules_not_listed("/runner", *["sudo: \x1b[2J"] * 2)),
        ("echo 'pi: gone' >&2; exit 78", findings.runner_failed("pi: gone", EX_CONFIG)),
    ],
)
def test_where_the_runner_cannot_be_asked_the_reason_is_told_and_what_a_user_can_see(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    body: str,
    found: Finding,
) -> None:
    assert ask(installation, monkeypatch, body) in (EX_UNAVAILABLE, EX_CONFIG)
    told = capfd.readouterr().out
    assert told.startswith(f"{_NOT_ON_PATH}\n{found}\n")
    lines = told.splitlines()
    assert any(" package " in line for line in lines) and any(" caller " in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_sudo_that_is_missing_is_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accounts, "by_uid", lambda policy, uid: installation.here.caller)
    request = parsing.parse(["--sandbox-doctor"], "pi")
    doctor.ask_runner(installation.context().policy, request, ["/nonexistent/sudo", "-n", "--", "/runner"])
    first = capfd.readouterr().out.removeprefix(f"{_NOT_ON_PATH}\n").splitlines()[0]
    assert first.startswith("FAIL  sudo") and "/nonexistent/sudo" in first


@pytest.mark.parametrize("sudo", ["sudo", "/nonexistent/sudo"])
def test_root_is_told_whom_sudo_lets_start_the_runner(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sudo: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(checks, "CHECKS", ())
    policy = installation.context().policy
    if sudo == "sudo":
        sudo = installation.bin.script(sudo, "exit 1")
        found = [access_findings.user_rules_not_listed(name, "exit status 1") for name in policy.host_users.names]
    else:
        found = [finding.refused("sudo", refusals.sudo_unavailable(sudo, os.strerror(errno.ENOENT)))]
    assert found
    request = parsing.parse(["--sandbox-doctor"], "pi")
    assert doctor.ask_runner(policy, request, [sudo, "-n", "--", "/runner", "--sandbox-doctor"]) != 0
    told = capfd.readouterr().out
    assert told.startswith("\n".join([_NOT_ON_PATH, *map(str, found), "FAIL  caller"]))


def test_the_runner_begins_with_having_been_reached(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "CHECKS", ())
    assert doctor.run(call_of(installation.here, "--sandbox-doctor")) == 0
    assert capfd.readouterr().out.splitlines()[0] == _STARTED
