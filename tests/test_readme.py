"""Everything that the programs say is in README.md's tables, where it can be looked up."""

from __future__ import annotations

import ast
import fnmatch
import inspect
import re
from typing import Final

import pytest
from escapes.case import PROMISES
from escapes.table import CASES

from pi_agent.messages import catalogue, command_refusals, installation_refusals, notices, refusal, refusals, statuses
from tests.support.checkout import TOP

_README: Final = (TOP / "README.md").read_text()


def section(title: str) -> str:
    """The text below the heading, up to the next heading of its level."""
    return re.split(r"^## ", _README, flags=re.MULTILINE)[_titles().index(title) + 1]


def _titles() -> list[str]:
    return re.findall(r"^## (.*)$", _README, flags=re.MULTILINE)


def test_the_tables_of_messages_are_those_of_the_messages() -> None:
    assert catalogue.updated(_README) == _README, "run make docs"


def test_every_refusal_and_notice_is_in_a_table() -> None:
    source = inspect.getsource(catalogue)
    for module in (refusals, installation_refusals, command_refusals, notices):
        functions = inspect.getmembers(module, inspect.isfunction)
        named = {name for name, value in functions if value.__module__ == module.__name__ and name[0] != "_"}
        base = module.__name__.rpartition(".")[2]
        missing = {name for name in named if f"{base}.{name}(" not in source}
        assert missing <= {"root_ignored"}, missing


def test_every_exit_status_has_a_meaning() -> None:
    constants = {value for name, value in vars(refusal).items() if name.startswith("EX_")}
    assert set(statuses.MEANINGS) == constants == {each.status for each in catalogue.REFUSALS}


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
    """The table's rows: promise → patterns of names."""
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
