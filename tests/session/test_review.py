"""What is said, asked and done about what a session has left, before `pi` returns."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pi_agent.messages import self_running_texts as texts
from pi_agent.sandbox.self_running import disarming
from pi_agent.session import audit, patience, provenance, review
from pi_agent.session.audit import Known
from pi_agent.session.unfinished import Unfinished
from tests.support.journal import Journal
from tests.support.left_behind import Left, git
from tests.support.trees import put


class Desk:
    """A project, a terminal to answer at, and what is remembered."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch, mode: str = "ask") -> None:
        for name in ("root", "memory"):
            (top / name).mkdir(exist_ok=True)
        self.left = Left(top / "root", onSelfRunning=mode)
        self.root = self.left.root
        self.memory = os.open(top / "memory", os.O_RDONLY)
        self.entries: list[dict[str, str]] = []
        self.is_terminal = True
        self.is_gone = False
        monkeypatch.setattr("pi_agent.linux.journald.send", lambda entry: self.entries.append(dict(entry)))
        monkeypatch.setattr("os.isatty", lambda _: self.is_terminal and not self.is_gone)

    def session(self, act: Callable[[], object], answer: bytes | None = b"") -> None:
        """A session that runs act, and the answer typed afterwards; None if nobody answers."""
        before = self.left.before()
        act()
        listen, tell = os.pipe()
        os.write(tell, answer or b"")
        if answer is not None:
            os.close(tell)
        kept = os.dup(0)
        os.dup2(listen, 0)
        try:
            found = self.left.after(before)
            if found is None:
                return
            session = review.Reviewed(
                self.left.policy, self.left.caller, self.left.project, before, self.memory, self.is_terminal, Known("p")
            )
            with patience.Signals() as signals:
                review.settle(session, found, signals)
        finally:
            os.dup2(kept, 0)
            for descriptor in (kept, listen, *([tell] if answer is None else [])):
                os.close(descriptor)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield Desk(tmp_path, monkeypatch)


@pytest.mark.parametrize("answer", [b"", b"\n", b"d\n", b"disarm\n", b"no\n", b"yes\n", b"y\n", b"kee", b"\xff\n"])
def test_every_answer_but_a_clear_one_disarms(desk: Desk, answer: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    desk.session(lambda: put(desk.root / ".envrc", "evil"), answer)
    [kept] = desk.root.iterdir()
    assert kept.name.startswith(".envrc.disarmed-") and kept.read_text() == "evil"
    said = capfd.readouterr().err
    assert said.index(texts.CHANGED) < said.index(texts.QUESTION) < said.index(texts.DISARMED)
    assert kept.name in said
    assert [entry["PI_AGENT_EVENT"] for entry in desk.entries] == ["self-running", "disarmed"]
    assert "evil" not in str(desk.entries)


@pytest.mark.parametrize("answer", [b"k\n", b"keep\n", b" KEEP \n"])
def test_what_is_kept_stays_and_is_not_asked_about_again(
    desk: Desk, answer: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.session(lambda: put(desk.root / ".envrc", "mine"), answer)
    assert (desk.root / ".envrc").read_text() == "mine"
    assert texts.KEPT in capfd.readouterr().err
    (desk.root / ".envrc").unlink()
    desk.session(lambda: put(desk.root / ".envrc", "mine"))
    assert capfd.readouterr().err == "" and (desk.root / ".envrc").exists()
    desk.session(lambda: put(desk.root / ".envrc", "other"))
    assert texts.QUESTION in capfd.readouterr().err and not (desk.root / ".envrc").exists()


def test_what_was_disarmed_is_disarmed_again_without_a_question(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.session(lambda: put(desk.root / ".envrc", "evil"))
    capfd.readouterr()
    desk.session(lambda: put(desk.root / ".envrc", "evil"), None)
    said = capfd.readouterr().err
    assert texts.QUESTION not in said and ".envrc.disarmed-" in said
    assert not (desk.root / ".envrc").exists()


def test_without_a_terminal_it_is_told_and_nothing_changes(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.is_terminal = False
    desk.session(lambda: put(desk.root / ".envrc", "evil"), None)
    said = capfd.readouterr().err
    assert ".envrc" in said and texts.QUESTION not in said and texts.OTHERS_AT_WORK in said
    assert [path.name for path in desk.root.iterdir()] == [".envrc"]


def test_a_terminal_that_is_gone_means_to_disarm(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.is_gone = True
    desk.session(lambda: put(desk.root / ".envrc"), None)
    assert not (desk.root / ".envrc").exists()
    assert texts.QUESTION not in capfd.readouterr().err
    assert [entry["PI_AGENT_EVENT"] for entry in desk.entries] == ["self-running", "disarmed"]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("mode", ["tell", "disarm"])
def test_the_other_settings_ask_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], mode: str, terminal: bool
) -> None:
    desk = Desk(tmp_path, monkeypatch, mode)
    desk.is_terminal = terminal
    desk.session(lambda: put(desk.root / ".envrc"), None)
    said = capfd.readouterr().err
    assert texts.QUESTION not in said and "      .envrc\n" in said
    assert (desk.root / ".envrc").exists() == (mode == "tell")


def test_what_a_package_manager_fills_is_told_and_only_git_asked_about(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.session(lambda: put(desk.root / "node_modules/a/.vscode/tasks.json"), None)
    said = capfd.readouterr().err
    assert "node_modules/a/.vscode/tasks.json" in said and texts.QUESTION not in said
    desk.session(lambda: put(desk.root / "node_modules/a/.git", "gitdir: /elsewhere"))
    assert texts.QUESTION in capfd.readouterr().err and not (desk.root / "node_modules/a/.git").exists()


def test_what_every_project_edits_is_told_and_neither_asked_about_nor_disarmed(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.session(lambda: put(desk.root / "package.json", '{"scripts": {"postinstall": "x"}}'), None)
    said = capfd.readouterr().err
    assert "package.json" in said and texts.QUESTION not in said

    def both() -> None:
        put(desk.root / "package.json", '{"scripts": {"postinstall": "y"}}')
        put(desk.root / ".envrc")

    desk.session(both)
    assert (desk.root / "package.json").exists() and not (desk.root / ".envrc").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_at_the_question_disarms(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    asked = patience.Signals.interrupting

    def interrupting(signals: patience.Signals) -> object:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return asked(signals)

    monkeypatch.setattr(patience.Signals, "interrupting", interrupting)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
    desk.session(lambda: put(desk.root / ".envrc"), None)
    assert not (desk.root / ".envrc").exists()
    assert texts.DISARMED in capfd.readouterr().err


def test_signals_before_the_question_end_nothing(desk: Desk) -> None:
    before = signal.getsignal(signal.SIGINT)
    with patience.Signals():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
            os.kill(os.getpid(), number)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_could_not_be_seen_is_said_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pi_agent.sandbox.self_running.look._COMPARING", 0.0)

    def session() -> None:
        put(desk.root / ".envrc")
        put(desk.root / "a\u202e/x")

    desk.session(session, b"k\n")
    said = capfd.readouterr().err
    assert said.startswith("pi: not all of ") and "a\\u202e" in said and "\u202e" not in said
    assert said.index("not all of") < said.index(texts.CHANGED)
    assert desk.entries[0]["PI_AGENT_UNSEEN"] == "a\\u202e"


def test_what_cannot_be_disarmed_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def session() -> None:
        put(desk.root / ".envrc")
        put(desk.root / ".mise/tasks/build")

    desk.session(session)
    said = capfd.readouterr().err
    assert not (desk.root / ".envrc").exists() and (desk.root / ".mise/tasks/build").exists()
    assert said.index(texts.DISARMED) < said.index(texts.NOT_DISARMED) < said.rindex(".mise/tasks/build")


def test_what_comes_back_after_it_was_disarmed_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = disarming.disarm

    def disarm(*given: object) -> disarming.Outcome:
        outcome = real(*given)  # type: ignore[arg-type]
        put(desk.root / ".envrc", "again")
        return outcome

    monkeypatch.setattr(disarming, "disarm", disarm)
    desk.session(lambda: put(desk.root / ".envrc"))
    assert texts.KEEPS_CHANGING in capfd.readouterr().err


def test_the_keys_of_a_configuration_are_named_and_removed(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    def session() -> None:
        git(desk.root / "vendor/dep", "init", "-q")
        git(desk.root / "vendor/dep", "config", "core.fsmonitor", "./evil")

    desk.session(session)
    said = capfd.readouterr().err
    assert said.count("vendor/dep/.git/config: core.fsmonitor") == 2 and "removed; the file as it was is" in said
    assert "fsmonitor" not in (desk.root / "vendor/dep/.git/config").read_text()


def test_a_failure_of_the_machine_is_said_and_changes_no_status(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pi_agent.sandbox.self_running.look.after", fails)
    monkeypatch.setattr(provenance, "_recorded", lambda session: b"")
    monkeypatch.setattr("pi_agent.policy.policy_file.load", lambda path: desk.left.policy)
    monkeypatch.setattr("pi_agent.policy.accounts.through_sudo", lambda policy, environ: desk.left.caller)
    running = SimpleNamespace(command="pi", project=desk.left.project, session=None, known=Known("p"))
    provenance.review(cast(Unfinished, running))
    assert "Input/output error" in capfd.readouterr().err


def test_an_entry_in_the_journal_is_one_line_a_path(journal: Journal) -> None:
    audit.self_running(Known("p"), ["a\nb", "c"], [])
    assert audit._listed([str(number) for number in range(1000)]).count("\n") == 199
    assert [entry["PI_AGENT_PATHS"] for entry in map(dict, journal.entries())] == ["a\\nb\nc"]


def test_every_group_of_the_table_has_a_heading() -> None:
    from pi_agent.sandbox import self_running_table
    from pi_agent.sandbox.self_running import rules

    assert {*self_running_table.load().groups, rules.OTHER} <= texts.RUN_BY.keys()
