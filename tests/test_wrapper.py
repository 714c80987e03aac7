from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import orjson
import pytest

import wrapper
from pi_agent.cli import handover, shortcut
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, EX_USAGE
from pi_agent.policy import accounts, project_roots
from tests.support import people, policies
from tests.support.journal import Journal
from tests.support.policies import USER, host_user

_NOT_PLAIN = 3
_RUNNER = "/nix/store/runner/bin/m3ta-pi-agent-runner"


class Became(BaseException):
    """The process is another program now: nothing of ours runs any more."""


class Wrapper:
    """The `pi` command as alice would call it, up to the point where it becomes sudo."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp = tmp
        self.monkeypatch = monkeypatch
        self.home = tmp / "home"
        (self.home / "projects/demo").mkdir(parents=True)
        self.called: list[list[str]] = []
        self.sudo_fails = False
        monkeypatch.setattr(wrapper, "POLICY", str(tmp / "policy.json"))
        monkeypatch.setattr(wrapper, "RUNNER", _RUNNER)
        monkeypatch.setattr(os, "execv", self._become)
        monkeypatch.setattr(project_roots, "RESERVED", tuple(path for path in project_roots.RESERVED if path != "/tmp"))
        self.be(USER)
        self.allow(hostUsers={USER: host_user("~/projects")})
        monkeypatch.chdir(self.home / "projects/demo")

    def _become(self, path: str, argv: list[str]) -> None:
        if self.sudo_fails:
            raise FileNotFoundError(2, "No such file or directory")
        self.called.append([path, *argv])
        raise Became

    def be(self, name: str) -> None:
        """Call as a user of that name. Its uid is never 0, but for the kernel it is ours."""
        entry = pwd.struct_passwd((name, "x", 1000, 1000, "", str(self.home), "/bin/sh"))
        self.monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
        self.monkeypatch.setattr(os, "getuid", lambda: 1000)
        self.monkeypatch.setattr(accounts, "from_passwd", lambda entry: people.alice(entry.pw_dir))

    def allow(self, **overrides: object) -> None:
        policies.written(self.tmp, **overrides)

    def call(self, *arguments: str) -> int | None:
        """The exit status; None if it became sudo."""
        self.monkeypatch.setattr(sys, "argv", ["pi", *arguments])
        try:
            return wrapper.main()
        except Became:
            return None


@pytest.fixture(params=["by the shortcut", "after a closer look"])
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Wrapper:
    """Both ways lead to the same."""
    if request.param == "after a closer look":
        monkeypatch.setattr(shortcut, "take", lambda policy, runner: None)
    return Wrapper(tmp_path, monkeypatch)


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wrapper:
    """A wrapper that fails where the shortcut does not become sudo."""
    found = Wrapper(tmp_path, monkeypatch)
    monkeypatch.setattr(handover, "check_and_become", lambda policy, runner: _NOT_PLAIN)
    return found


def test_in_an_allowed_root_it_becomes_sudo_with_the_arguments_unchanged(pi: Wrapper) -> None:
    arguments = ["-p", "", "a b", "--", "$x", "\udcff", "\n", "-n", "-u", "root"]
    pi.call(*arguments)
    sudo = policies.tools()["sudo"]
    assert pi.called == [[sudo, sudo, "-n", "--", _RUNNER, *arguments]]


def test_a_refusal_is_told_to_the_journal_without_what_was_asked(
    pi: Wrapper, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi.call("-p", "hunter2")
    assert journal.entries() == [], "it was not refused"
    (pi.home / "other").mkdir()
    monkeypatch.chdir(pi.home / "other")
    pi.call("-p", "hunter2")
    [entry] = journal.entries()
    told = dict(entry)
    assert (told["PI_AGENT_EVENT"], told["PI_AGENT_OUTCOME"]) == ("refused", str(EX_NOPERM))
    assert told["PI_AGENT_POLICY"] == wrapper.POLICY
    assert f"{pi.home}/other" in told["MESSAGE"] and "hunter2" not in str(entry)
    assert "PI_AGENT_HOST_USER" not in told, "journald itself knows whose process it was"


def test_a_sudo_that_cannot_be_run_is_named(pi: Wrapper, capfd: pytest.CaptureFixture[str]) -> None:
    pi.sudo_fails = True
    assert pi.call() == EX_UNAVAILABLE
    assert f"{policies.tools()['sudo']} cannot be run: No such file or directory" in capfd.readouterr().err


def test_outside_of_the_roots_it_refuses_and_names_roots_and_nix_lines(
    pi: Wrapper, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (pi.home / "other").mkdir()
    monkeypatch.chdir(pi.home / "other")
    assert pi.call("-p", "x") == EX_NOPERM
    said = capfd.readouterr().err
    assert "Allowed for alice: ~/projects" in said
    assert f'm3ta.pi-agent.hostUsers."alice".projectRoots = [ "~/projects" "{pi.home}/other" ];' in said
    assert pi.called == []


@pytest.mark.parametrize("argument", ["--version", "--help", "-h", "-v"])
def test_help_and_version_work_anywhere(pi: Wrapper, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    monkeypatch.chdir("/")
    pi.call(argument)
    assert len(pi.called) == 1
    assert pi.call(argument, "x") == EX_NOPERM
    assert len(pi.called) == 1


def test_a_user_who_is_not_listed_is_refused_also_for_help(pi: Wrapper, capfd: pytest.CaptureFixture[str]) -> None:
    pi.be("mallory")
    assert pi.call() == EX_NOPERM
    assert pi.call("--help") == EX_NOPERM
    assert "the user «mallory» may not use pi-agent" in capfd.readouterr().err
    assert pi.called == []


def test_root_is_refused(pi: Wrapper, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    pi.allow(hostUsers={"root": host_user("~"), USER: host_user("~")})
    assert pi.call() == EX_NOPERM
    assert "refusing to run as root" in capfd.readouterr().err
    assert pi.called == []


@pytest.mark.parametrize("content", [None, b"{}", b"broken"])
def test_a_policy_that_cannot_be_used_is_refused(
    pi: Wrapper, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = pi.tmp / "policy.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert pi.call("--version") == EX_CONFIG
    said = capfd.readouterr().err
    assert str(path) in said and "Traceback" not in said
    assert pi.called == []


def test_a_removed_directory_is_refused(pi: Wrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = pi.home / "projects/gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert pi.call() == EX_NOPERM
    assert pi.called == []


# -- the shortcut


@pytest.mark.parametrize("root", ["~/projects", "~", "~/projects/demo", "{home}/projects", "{home}"])
@pytest.mark.parametrize("arguments", [(), ("-p", "x"), ("--help",), ("-p", "--sandbox-help")])
def test_in_a_root_no_closer_look_is_needed(plain: Wrapper, root: str, arguments: tuple[str, ...]) -> None:
    plain.allow(hostUsers={USER: host_user("/srv/other", root.format(home=plain.home))})
    assert plain.call(*arguments) is None
    assert [call[4:] for call in plain.called] == [[_RUNNER, *arguments]]


def test_what_needs_no_project_needs_no_closer_look(plain: Wrapper) -> None:
    plain.monkeypatch.chdir("/")
    assert plain.call("--version") is None
    assert plain.call("--version", "x") == _NOT_PLAIN
    plain.allow(hostUsers={USER: host_user("~/projects")}, extraRunArgs=["--model", "x"])
    assert plain.call("list") == _NOT_PLAIN


@pytest.mark.parametrize(
    "root",
    ["~/projects/dem", "~/proj", "~/projects/demo/deeper", "~/projects/../projects", "~/link", "/", "~/projects/"],
)
def test_what_is_not_a_root_by_name_is_looked_at_closer(plain: Wrapper, root: str) -> None:
    (plain.home / "link").symlink_to("projects")
    (plain.home / "projects/demo/deeper").mkdir()
    plain.allow(hostUsers={USER: host_user(root)})
    assert plain.call() == _NOT_PLAIN
    assert plain.called == []


@pytest.mark.parametrize("argument", ["--sandbox-help", "--sandbox-timing", "--sandbox-nothing", "--sandbox-shell"])
def test_commands_are_looked_at_closer(plain: Wrapper, argument: str) -> None:
    assert plain.call(argument) == _NOT_PLAIN
    assert plain.called == []


@pytest.mark.parametrize("who", ["root", "mallory", "nobody at all"])
def test_others_than_listed_users_are_looked_at_closer(plain: Wrapper, who: str) -> None:
    plain.allow(hostUsers={"root": host_user("~"), USER: host_user("~")})
    if who == "root":
        plain.monkeypatch.setattr(os, "getuid", lambda: 0)
    elif who == "mallory":
        plain.be("mallory")
    else:
        plain.monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert plain.call() == plain.call("--version") == _NOT_PLAIN
    assert plain.called == []


@pytest.mark.parametrize(
    "content",
    [None, b"", b"[]", b"null", b"{}", b'{"hostUsers": []}', b'{"hostUsers": {"alice": "/missing"}}', b"\xff"],
)
def test_a_policy_that_is_not_understood_is_looked_at_closer(plain: Wrapper, content: bytes | None) -> None:
    path = plain.tmp / "policy.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert plain.call() == _NOT_PLAIN
    assert plain.called == []


def test_a_directory_that_is_gone_is_looked_at_closer(plain: Wrapper) -> None:
    gone = plain.home / "projects/gone"
    gone.mkdir()
    plain.monkeypatch.chdir(gone)
    gone.rmdir()
    assert plain.call() == _NOT_PLAIN
    assert plain.called == []


def test_an_interrupt_is_no_reason_for_a_closer_look(plain: Wrapper) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    plain.monkeypatch.setattr(os, "getcwd", interrupted)
    with pytest.raises(SystemExit) as ended:
        plain.call()
    assert ended.value.code == 130


# -- the commands that Pi does not have


def test_help_is_answered_to_anybody_and_anywhere(pi: Wrapper, capfd: pytest.CaptureFixture[str]) -> None:
    pi.be("mallory")
    pi.monkeypatch.chdir("/")
    assert pi.call("--sandbox-help") == 0
    assert pi.call("--sandbox-shell", "--help") == 0
    said = capfd.readouterr()
    assert said.err == "" and "--sandbox-shell" in said.out
    assert pi.called == []


def test_a_shell_is_asked_of_the_runner_only_in_an_allowed_root(pi: Wrapper) -> None:
    pi.call("--sandbox-shell")
    assert [call[-1] for call in pi.called] == ["--sandbox-shell"]
    pi.monkeypatch.chdir("/")
    assert pi.call("--sandbox-shell") == EX_NOPERM
    assert len(pi.called) == 1


@pytest.mark.parametrize("arguments", [("--sandbox-nothing",), ("--sandbox-",), ("--sandbox-shell", "x")])
def test_what_is_no_command_is_refused_before_sudo(
    pi: Wrapper, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert pi.call(*arguments) == EX_USAGE
    assert arguments[-1] in capfd.readouterr().err
    assert pi.called == []


def test_who_asks_where_the_time_goes_is_told_by_whoever_ends_the_launch(
    pi: Wrapper, capfd: pytest.CaptureFixture[str]
) -> None:
    pi.call("--sandbox-timing=json", "-p", "x")
    assert [call[-3:] for call in pi.called] == [["--sandbox-timing=json", "-p", "x"]]
    capfd.readouterr()
    pi.monkeypatch.chdir("/")
    assert pi.call("--sandbox-timing=json", "-p", "x") == EX_NOPERM
    *refusal, line = capfd.readouterr().err.splitlines()
    assert "not inside an allowed project root" in refusal[0]
    assert [step["name"] for step in orjson.loads(line)["steps"]] == ["start", "policy", "caller", "rest"]
    pi.call("--sandbox-timing", "--version")
    assert len(pi.called) == 2


def test_only_a_first_argument_is_a_command_of_ours(pi: Wrapper) -> None:
    pi.call("-p", "--sandbox-help")
    assert [call[-2:] for call in pi.called] == [["-p", "--sandbox-help"]]
