"""What the programs say is in README.md's tables, so that it can be looked up."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from escapes.case import PROMISES
from escapes.table import CASES

from pi_agent.messages import refusal, refusals
from tests.support.checkout import TOP

_README: Final = (TOP / "README.md").read_text()
_SHORTEST: Final = 12  # of a fragment that is worth looking for


def section(title: str) -> str:
    """The text below the heading, up to the next of its level."""
    return re.split(r"^## ", _README, flags=re.MULTILINE)[_titles().index(title) + 1]


def _titles() -> list[str]:
    return re.findall(r"^## (.*)$", _README, flags=re.MULTILINE)


def fragments(sentence: ast.expr) -> Iterator[str]:
    """What stands fixed in a string or between the braces of an f-string, without the punctuation at its ends."""
    parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            text = part.value.strip(" :;.,()«»/")
            if len(text) >= _SHORTEST:
                yield text


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    """The calls of the function of this name in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


_MESSAGES: Final = sorted((TOP / "pi_agent/messages").glob("*refusals.py"))
_REFUSALS: Final = [call for path in _MESSAGES for call in calls(path, "Refusal")]
_WHAT: Final = sorted({text for call in _REFUSALS for text in fragments(call.args[1])})


def test_every_refusals_sentence_was_found() -> None:
    assert len(_REFUSALS) >= 20
    assert all(list(fragments(call.args[1])) or "failed" in ast.unparse(call.args[1]) for call in _REFUSALS)


@pytest.mark.parametrize("text", _WHAT)
def test_what_a_refusal_says_is_in_the_table(text: str) -> None:
    assert text in section("When something is refused")


def test_why_a_root_was_not_considered_is_in_the_table() -> None:
    because = refusals.root_ignored("…", "…").partition(". ")[0]
    assert because in section("When something is refused")


def test_what_the_launcher_says_is_in_the_table() -> None:
    said = re.findall(r"printf '%s: (.*?)\\n'", (TOP / "pi_agent/session/launch.bash").read_text())
    assert said
    for sentence in said:
        assert f"`{sentence}`" in section("When something is refused")


def _notices() -> Iterator[str]:
    for path in sorted((TOP / "pi_agent").rglob("*.py")):
        for call in calls(path, "notice"):
            sentence = call.args[0]
            parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
            said = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            # What follows a semicolon explains.
            for text in said.partition(";")[0].split("…"):
                yield from fragments(ast.Constant(text))


@pytest.mark.parametrize("text", sorted(set(_notices())))
def test_what_a_notice_says_is_in_the_table(text: str) -> None:
    assert text in section("When something is refused")


def test_every_status_is_in_the_table_and_no_other() -> None:
    used = {getattr(refusal, ast.unparse(call.args[0]).rpartition(".")[2]) for call in _REFUSALS}
    constants = {value for name, value in vars(refusal).items() if name.startswith("EX_")}
    table = {int(number) for number in re.findall(r"^\| (\d+) \|", section("Exit statuses"), flags=re.MULTILINE)}
    assert used == constants == table


# -- the security table


def _attempts() -> dict[str, list[str]]:
    """Promise → the names of all attempts at it: records, and tests marked with `@attempt`."""
    found: dict[str, list[str]] = {promise: [] for promise in PROMISES}
    for case in CASES:
        found[case.promise].append(case.id)
    for path in sorted((TOP / "checks/escapes").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "attempt":
                    assert isinstance(node, ast.FunctionDef)
                    name = f"{path.stem.removeprefix('test_')}::{node.name.removeprefix('test_')}"
                    found[ast.literal_eval(mark.args[0])].append(name)
    return found


def _promised() -> dict[str, list[str]]:
    """What the table's rows say: promise → patterns of names."""
    rows = re.findall(r"^\| (.+?) \| (`.*`) \|$", section("Security"), flags=re.MULTILINE)
    keys = {sentence: key for key, sentence in PROMISES.items()}
    return {keys[sentence]: re.findall("`(.+?)`", patterns) for sentence, patterns in rows}


def test_every_promise_is_in_the_security_table() -> None:
    assert list(_promised()) == list(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_every_name_in_the_security_table_is_an_attempt_at_its_promise_and_every_attempt_is_named(promise: str) -> None:
    names, patterns = _attempts()[promise], _promised()[promise]
    assert names
    for pattern in patterns:
        assert fnmatch.filter(names, pattern), pattern
    assert [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)] == []


def test_every_attempt_says_which_answers_are_a_denial_and_has_a_control() -> None:
    for case in CASES:
        assert case.denied and "works" not in case.denied, case.id
        assert case.control.gives, case.id
