"""`--sandbox-doctor`: what each check makes of what it finds. On a real system: checks/scenarios/test_doctor.py."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pi_agent.cli import parsing
from pi_agent.cli.commands import doctor
from pi_agent.cli.commands.doctor import Finding, Patient
from pi_agent.linux import journald
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE
from pi_agent.policy import accounts, project_roots
from pi_agent.session import running_sessions, session_names
from tests.support import people, policies
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.fakes import Bin, Kernel
from tests.support.policies import USER, host_user, replaced


class Ward:
    """A patient on a bench, with stand-ins for the tools."""

    def __init__(self, tmp: Path, **overrides: Any) -> None:
        self.tmp = tmp
        self.bin = Bin(tmp / "bin")
        self.here: Bench = bench(tmp, **overrides)

    def patient(self, **bodies: str) -> Patient:
        policy = replaced(self.here.policy, tools=self.bin.tools(**bodies))
        return Patient(policy, self.here.caller, as_root=True)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is us, who can be a user of this machine; and pytest works below /tmp."""
    monkeypatch.setattr(accounts, "agent", lambda policy: people.agent(policy.state_dir))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.getpwuid(os.geteuid()))
    monkeypatch.setattr(project_roots, "RESERVED", ())


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def only(found: Iterable[Finding]) -> Finding:
    [finding] = found
    return finding


def test_a_finding_is_one_line_and_only_what_is_not_well_has_a_remedy() -> None:
    assert str(Finding("ok", "state", "is there", "never shown")) == "ok    state          is there"
    lines = str(Finding("FAIL", "state", "is gone", "Make it.\nOr not.")).split("\n")
    assert lines[0] == "FAIL  state          is gone"
    assert [line.strip() for line in lines[1:]] == ["Make it.", "Or not."]


@pytest.mark.parametrize(
    ("failures", "status"),
    [([], 0), ([69], EX_UNAVAILABLE), ([78], EX_CONFIG), ([69, 78], EX_CONFIG)],
)
def test_the_status_is_0_only_when_nothing_fails(
    failures: list[int], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    found = [Finding("ok", "a", "x"), Finding("warn", "b", "x", "y")]
    found += [Finding("FAIL", "c", "x", "y", number) for number in failures]
    assert doctor._told(found) == status
    assert capfd.readouterr().out.count("FAIL") == len(failures)


@pytest.mark.parametrize(
    ("said", "grade"),
    [("257.9-1~deb13u1", "ok"), ("258", "ok"), ("256.7", "FAIL"), ("", "FAIL"), ("\x1b[2J", "FAIL")],
)
def test_systemd_must_be_new_enough(ward: Ward, said: str, grade: str) -> None:
    finding = only(doctor._systemd(ward.patient(systemctl=f"printf '%s' '{said}'")))
    assert finding.grade == grade and finding.what.isprintable()
    assert only(doctor._systemd(ward.patient(systemctl=f"printf '%s' '{said}'; exit 1"))).grade == "FAIL"


@pytest.mark.parametrize(("release", "grade"), [("6.12.1", "ok"), ("5.12.0", "ok"), ("5.11.9", "FAIL"), ("x", "FAIL")])
def test_the_kernel_must_be_new_enough(ward: Ward, monkeypatch: pytest.MonkeyPatch, release: str, grade: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert only(doctor._kernel(ward.patient())).grade == grade


@pytest.mark.parametrize(
    ("body", "grade", "says"),
    [
        ("echo sent", "warn", "are not enforced"),
        ("echo 'bash: line 1: echo: write error: Operation not permitted'; exit 1", "ok", "are enforced"),
        ("echo 'Failed to connect to bus'; exit 1", "warn", "Failed to connect"),
        ("exit 3", "warn", "3"),
    ],
)
def test_whether_addresses_are_denied_is_what_a_unit_finds(ward: Ward, body: str, grade: str, says: str) -> None:
    finding = only(doctor._addresses(ward.patient(systemd_run=body)))
    assert finding.grade == grade and says in finding.what
    assert "--property=IPAddressDeny=any" in ward.bin.calls("systemd_run")[0]


def test_where_none_are_denied_no_unit_is_tried(tmp_path: Path) -> None:
    choices: list[dict[str, Any]] = [{"denyAddresses": []}, {"network": "none"}]
    for number, options in enumerate(choices):
        (tmp_path / str(number)).mkdir()
        ward = Ward(tmp_path / str(number), sandbox=policies.sandbox(**options))
        assert only(doctor._addresses(ward.patient())).grade == "ok"
        assert ward.bin.calls("systemd_run") == []


def test_programs_must_be_there_and_executable(ward: Ward) -> None:
    patient = ward.patient()
    good = ward.bin.script("good")
    (ward.tmp / "bad").write_text("")
    assert only(doctor._executable("x", [good], "do")).grade == "ok"
    for path in (str(ward.tmp / "bad"), str(ward.tmp / "none"), str(ward.tmp)):
        assert only(doctor._executable("x", [good, path], "do")).grade == "FAIL"
    assert {finding.grade for finding in doctor._package(patient)} == {"FAIL"}
    assert Counter(finding.grade for finding in doctor._tools(patient)) == {"FAIL": 3}, "shell, launcher and filter"


def test_the_state_must_be_the_agents_alone(ward: Ward) -> None:
    patient = ward.patient()
    top = Path(ward.here.policy.state_dir)
    top.chmod(0o750)
    assert only(doctor._state(replace(patient, user=None))).grade == "ok"
    for path, mode in ((top, 0o777), (top / "sync", 0o750), (top / "users/alice", 0o711)):
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        finding = only(doctor._state(patient))
        assert finding.grade == "FAIL" and f"{mode:04o}" in finding.what
        path.chmod(before)
    (top / "users").rename(top / "away")
    (top / "users").symlink_to("/etc")
    assert {finding.grade for finding in doctor._state(patient)} == {"FAIL"}


def test_an_environment_file_is_named_and_nothing_in_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.env"
    bad.write_text("hunter2\n")
    patient = Ward(tmp_path, environmentFiles=[str(bad), "/nonexistent/x.env"]).patient()
    found = list(doctor._env_files(patient))
    assert [finding.grade for finding in found] == ["FAIL", "FAIL"]
    assert str(bad) in str(found[0]) and "hunter2" not in str(found[0])


def test_roots_are_tried_without_attaching_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(tmp_path, hostUsers={USER: host_user("~/here", "~/gone")})
    (tmp_path / "home/here").mkdir()
    kernel = Kernel(tmp_path / "kernel.log", monkeypatch)
    patient = ward.patient()
    assert [finding.grade for finding in doctor._roots(patient)] == ["ok", "FAIL"]
    kernel.refuses = {"idmap"}
    assert [finding.grade for finding in doctor._roots(patient)] == ["warn", "FAIL"]
    assert kernel.attached() == {} and len(kernel.calls("idmap")) == 2
    assert [finding.grade for finding in doctor._roots(replace(patient, as_root=False))] == ["ok", "FAIL"]


@people.needs_root
def test_a_further_path_that_a_launch_would_refuse_is_a_failure(tmp_path: Path) -> None:
    """It is there; but others than root could lead root elsewhere."""
    (tmp_path / "there").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open/link").symlink_to(tmp_path / "there")
    paths = [str(tmp_path / name) for name in ("there", "open/link", "gone")]
    patient = Ward(tmp_path, sandbox=policies.sandbox(readOnlyPaths=paths)).patient()
    good, *bad = doctor._further_paths(patient)
    assert good.grade == "ok"
    assert ["open/link" in bad[0].what, "gone" in bad[1].what] == [True, True]
    assert all(each.grade == "FAIL" and "readWritePaths" in each.remedy for each in bad)


def test_leftovers_are_what_nobody_attends_to(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_names, "STAGING", str(ward.tmp / "staging"))
    monkeypatch.setattr(doctor, "_SECOND_LOOK", 0.0)
    staged = ward.tmp / "staging/1000"
    for name in ("pi-agent-alice-1", "pi-agent-alice-2"):
        (staged / name).mkdir(parents=True)
        (staged / name / "lock").touch()
    listed = "pi-agent-alice-1.service loaded active\\npi-agent-bob-3.service loaded failed\\n"
    patient = ward.patient(systemctl=f"printf '{listed}'")
    with open(staged / "pi-agent-alice-1/lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert running_sessions.attended_and_abandoned() == ({"pi-agent-alice-1.service"}, {"pi-agent-alice-2.service"})
        finding = only(doctor._leftovers(patient))
    assert finding.grade == "FAIL"
    assert finding.what.endswith("pi-agent-alice-2.service, pi-agent-bob-3.service")
    monkeypatch.setattr(session_names, "STAGING", str(ward.tmp / "none"))
    assert only(doctor._leftovers(ward.patient(systemctl=""))).grade == "ok"


def test_a_journal_that_nobody_listens_at_is_told(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journald, "SOCKET", str(ward.tmp / "none"))
    assert only(doctor._journal(ward.patient())).grade == "FAIL"


# -- asking the runner


_OURS = "echo 'ok    sudo           lets the caller start the runner'"


def ask(ward: Ward, monkeypatch: pytest.MonkeyPatch, body: str) -> int:
    """Ask a runner behind a sudo that does body."""
    monkeypatch.setattr(accounts, "by_uid", lambda policy, uid: ward.here.caller)
    policy = ward.patient().policy
    sudo = ward.bin.script("sudo", body)
    request = parsing.parse(["--sandbox-doctor"], "pi")
    return doctor.asking(policy, request, [sudo, "-n", "--", "/runner", "--sandbox-doctor"])


@pytest.mark.parametrize("status", [0, 69, 78])
def test_the_runners_answer_is_passed_on(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    assert ask(ward, monkeypatch, f"{_OURS}; exit {status}") == status
    assert capfd.readouterr().out == "ok    sudo           lets the caller start the runner\n"
    assert ward.bin.calls("sudo") == ["sudo -n -- /runner --sandbox-doctor"]


@pytest.mark.parametrize(
    ("body", "name", "says"),
    [
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo", "a password is required"),
        ("exit 1", "sudo", "exit status 1"),
        ("printf 'sudo: \\033[2J'; exit 1", "sudo", "\\x1b[2J"),
        ("echo 'pi: the isolated user is gone' >&2; exit 78", "runner", "the isolated user is gone"),
    ],
)
def test_where_the_runner_cannot_be_asked_the_reason_is_told_and_what_a_user_can_see(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], body: str, name: str, says: str
) -> None:
    assert ask(ward, monkeypatch, body) in (EX_UNAVAILABLE, EX_CONFIG)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f"FAIL  {name} ") and says in lines[0]
    assert any(" package " in line for line in lines) and any(" caller " in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_check_that_fails_in_an_unforeseen_way_is_a_finding_too(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(patient: Patient) -> Iterable[Finding]:
        raise OSError(5, "Input/output error")

    checks: tuple[tuple[str, Callable[[Patient], Iterable[Finding]], bool], ...] = (("x", failing, False),)
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    finding = only(doctor.examined(ward.patient()))
    assert (finding.grade, finding.name) == ("FAIL", "x") and "Input/output error" in finding.what


def test_the_runner_begins_with_having_been_reached(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_CHECKS", ())
    assert doctor.run(call_of(ward.here, "--sandbox-doctor")) == 0
    assert capfd.readouterr().out.splitlines()[0] == "ok    sudo           lets the caller start the runner"
