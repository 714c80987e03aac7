"""The state, leftovers of sessions, and the paths of the policy."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pi_agent.cli.doctor import disk_checks
from pi_agent.environment import git_identity
from pi_agent.messages import findings, installation_refusals, refusals
from pi_agent.messages.finding import FAIL, OK, WARN
from pi_agent.messages.refusal import EX_CONFIG, Refusal
from pi_agent.policy import accounts
from pi_agent.session import running_sessions, session_names
from pi_agent.state import sync_directory, user_state
from tests.support import people, policies, trust
from tests.support.fakes import Kernel
from tests.support.installations import Install, Installation, grades, only
from tests.support.limits import open_descriptors

# -- state


@pytest.fixture
def top(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of the installation, with the required mode, on a kernel that can map its owners."""
    Kernel(installation.top / "mounts.log", monkeypatch)
    top = Path(installation.here.policy.state_dir)
    top.chmod(0o750)
    user_state.release(installation.here.state)  # its launch has ended
    return top


def test_a_state_that_only_the_agent_can_reach_is_fine(installation: Installation, top: Path) -> None:
    context = installation.context()
    for user in (context.user, None):
        assert only(disk_checks.state(replace(context, user=user))) == findings.state(str(top))


@pytest.mark.parametrize(("path", "mode"), [(".", 0o777), ("users", 0o755), ("users/alice", 0o711)])
def test_a_state_that_others_can_reach_is_told(installation: Installation, top: Path, path: str, mode: int) -> None:
    (top / path).chmod(mode)
    found = only(disk_checks.state(installation.context()))
    assert found.grade == FAIL
    assert str(top / path) in found.what and f"{mode:04o}" in found.what


def test_a_state_that_does_not_exist_yet_is_fine(installation: Installation, top: Path) -> None:
    (top / "users").rename(top.parent / "users")
    (top.parent / "state-sync").rename(top.parent / "sync")
    assert grades(disk_checks.state(installation.context())) == [OK]


@pytest.mark.parametrize("path", ["users", "users/alice", "users/alice/.npm"])
def test_what_a_launch_moves_aside_is_a_warning(installation: Installation, top: Path, path: str) -> None:
    (top / path).rename(top.parent / "away")
    (top / path).symlink_to("/etc")
    found = [*disk_checks.state(installation.context())]
    assert {each.grade for each in found} == {WARN}
    assert str(top / path) in found[0].what


@people.needs_root
@pytest.mark.parametrize("path", ["users/alice", "users/alice/.npm-global"])
def test_what_the_agent_closed_to_itself_is_a_warning(installation: Installation, top: Path, path: str) -> None:
    (top / path).chmod(0)
    found = [*disk_checks.state(installation.context())]
    assert {each.grade for each in found} == {WARN} and str(top / path) in found[0].what


def test_what_a_launch_refuses_is_refused(installation: Installation, top: Path) -> None:
    context = installation.context()
    own = user_state.existing(context.policy, installation.here.owner, "alice")
    assert own is not None and sync_directory.claim(own.memory)
    with pytest.raises(Refusal) as caught:
        list(disk_checks.state(context))
    assert caught.value.what == refusals.state_being_reset().what
    user_state.release(own)
    top.rename(top.parent / "away")
    for user in (context.user, None):
        with pytest.raises(Refusal) as caught:
            list(disk_checks.state(replace(context, user=user)))
        assert caught.value.what == installation_refusals.state_missing(str(top), os.strerror(2)).what


def test_a_state_that_cannot_be_mapped_is_refused_unless_the_agent_owns_it(
    installation: Installation, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path / "kernel.log", monkeypatch)
    context = installation.context()
    assert grades(disk_checks.state(context)) == [OK]
    kernel.refuses = {"idmap"}
    assert grades(disk_checks.state(context)) == [OK]
    of_alice = installation.here.accounts
    agent = policies.replaced(of_alice.agent, uid=of_alice.owner.uid + 1)
    monkeypatch.setattr(accounts, "of", lambda policy, caller: policies.replaced(of_alice, agent=agent))
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        list(disk_checks.state(context))
    assert caught.value.status == EX_CONFIG
    assert caught.value.what == installation_refusals.state_not_mapped(str(top), "pi-agent", "pi-agent-alice").what
    assert open_descriptors() == before, "nor has a reset to wait"
    kernel.refuses = set()
    assert grades(disk_checks.state(context)) == [OK]
    assert kernel.attached() == {}


@people.needs_root
def test_a_sync_directory_that_others_could_change_is_refused(
    installation: Installation, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust.judge_directories(monkeypatch)
    (top.parent / "state-sync").chmod(0o777)
    with pytest.raises(Refusal) as caught:
        list(disk_checks.state(installation.context()))
    assert caught.value.status == EX_CONFIG and "sync directory" in caught.value.what


def test_a_reset_has_not_to_wait_for_a_check(installation: Installation, top: Path) -> None:
    list(disk_checks.state(installation.context()))
    own = user_state.existing(installation.here.policy, installation.here.owner, "alice")
    assert own is not None and sync_directory.claim(own.memory)
    user_state.release(own)


# -- code that is kept


def test_code_that_sessions_left_is_named_and_empty_directories_are_not(installation: Installation, top: Path) -> None:
    context, tree = installation.context(), top / "users/alice"
    (tree / ".pi/agent/bin").mkdir(parents=True, exist_ok=True)
    assert [*disk_checks.kept_code(context)] == []
    (tree / ".pi/agent/bin/fd").touch()
    (tree / ".pi/agent/git").mkdir()
    (tree / ".npm-global/lib/node_modules").mkdir()
    (top / "users/bob/.pi/agent/npm/x").mkdir(parents=True)
    found = only(disk_checks.kept_code(context))
    assert found.grade == WARN and "pi --sandbox-reset" in found.remedy
    assert found.what.endswith(": .pi/agent/bin, .npm-global/lib")
    assert [*disk_checks.kept_code(replace(context, user=None))] == []


def test_files_that_programs_read_are_named(installation: Installation, top: Path) -> None:
    context, tree = installation.context(), top / "users/alice"
    (tree / ".ssh").mkdir()
    assert [*disk_checks.kept_code(context)] == []
    (tree / ".ssh/config").touch()
    (tree / ".gitconfig").touch()
    (tree / ".bashrc").symlink_to("/absent")
    (tree / ".config").write_text("no directory")
    found = only(disk_checks.kept_code(context))
    assert found.grade == WARN and "pi --sandbox-reset --all" in found.remedy
    assert found.what.endswith(": .bashrc, .gitconfig, .ssh")


def test_git_settings_are_named_if_they_are_more_than_an_identity(installation: Installation, top: Path) -> None:
    file = top / "users/alice/.config/git/config"
    file.parent.mkdir(parents=True)
    file.write_bytes(git_identity.rendered({"name": 'A \\ "B"', "email": "a@b"}))
    assert [*disk_checks.kept_code(installation.context())] == []
    for content in (file.read_text() + "[core]\n\tfsmonitor = evil\n", "", "[user]\n\tname = A\n"):
        file.write_text(content)
        assert only(disk_checks.kept_code(installation.context())).what.endswith(": .config/git/config")
    file.unlink()
    file.symlink_to("/absent")
    assert only(disk_checks.kept_code(installation.context())).what.endswith(": .config/git/config")


def test_a_place_of_code_that_is_a_link_is_named_and_so_is_what_is_behind_one(
    installation: Installation, top: Path
) -> None:
    (top / "users/alice/.pi/agent/npm").symlink_to("/absent")
    assert only(disk_checks.kept_code(installation.context())).what.endswith(": .pi/agent/npm")
    (top / "users/alice/.pi/agent/npm").unlink()
    (top / "users/alice/.config").symlink_to("/absent")
    assert ".config/git/hooks" in only(disk_checks.kept_code(installation.context())).what


@people.needs_root
def test_a_place_of_code_that_is_closed_is_named(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = Installation(ordinary)
    monkeypatch.setattr(accounts, "owner", lambda _policy: installation.here.owner)
    top = Path(installation.here.policy.state_dir)
    closed = top / "users/alice/.pi/agent/npm"
    closed.mkdir(mode=0)
    closed.chmod(0)
    assert ".pi/agent/npm" in only(disk_checks.kept_code(installation.context())).what


# -- sessions


def test_leftovers_are_what_nobody_takes_care_of(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_names, "STAGING", str(installation.top / "staging"))
    monkeypatch.setattr(disk_checks, "_SECOND_LOOK", 0.0)
    staged = installation.top / "staging/1000"
    for name in ("pi-agent-alice-1", "pi-agent-alice-2"):
        (staged / name).mkdir(parents=True)
        (staged / name / "lock").touch()
    listed = "pi-agent-alice-1.service loaded active\\npi-agent-bob-3.service loaded failed\\n"
    context = installation.context(systemctl=f"printf '{listed}'")
    with open(staged / "pi-agent-alice-1/lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert running_sessions.attended_and_abandoned() == ({"pi-agent-alice-1.service"}, {"pi-agent-alice-2.service"})
        left = only(disk_checks.leftovers(context))
    assert left == findings.leftovers(["pi-agent-alice-2.service", "pi-agent-bob-3.service"])
    monkeypatch.setattr(session_names, "STAGING", str(installation.top / "none"))
    assert only(disk_checks.leftovers(installation.context(systemctl=""))) == findings.no_leftovers()


# -- paths of the policy


def test_an_environment_file_is_named_and_nothing_in_it(install: Install, tmp_path: Path) -> None:
    bad = tmp_path / "bad.env"
    bad.write_text("hunter2\n")
    found = list(disk_checks.environment_files(install(environmentFiles=[str(bad), "/nonexistent/x.env"]).context()))
    assert grades(found) == [FAIL, FAIL]
    assert str(bad) in str(found[0]) and "hunter2" not in str(found[0])


@people.needs_root
def test_a_further_path_that_a_launch_would_refuse_is_a_failure(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exists, but others than root could redirect root."""
    kernel = Kernel(tmp_path / "kernel.log", monkeypatch)
    (tmp_path / "there").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open/link").symlink_to(tmp_path / "there")
    paths = [str(tmp_path / name) for name in ("there", "open/link", "gone")]
    context = install(sandbox=policies.sandbox(readOnlyPaths=paths)).context()
    good, *bad = disk_checks.shown_paths(context)
    assert good == findings.shown_path(paths[0])
    assert ["open/link" in bad[0].what, "gone" in bad[1].what] == [True, True]
    assert all(each.grade == FAIL and "readWritePaths" in each.remedy for each in bad)
    kernel.refuses = {"idmap"}
    assert next(iter(disk_checks.shown_paths(context))) == findings.shown_path_not_mapped(paths[0])
    kernel.refuses = {"clone"}
    assert grades(disk_checks.shown_paths(context)) == [FAIL] * 3
    assert kernel.attached() == {}
