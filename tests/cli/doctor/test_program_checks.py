"""The package and the tools."""

from __future__ import annotations

from pi_agent.cli.doctor import program_checks
from pi_agent.messages.finding import FAIL, OK
from tests.support.installations import Installation, grades
from tests.support.policies import replaced


def test_programs_must_exist_and_be_executable(installation: Installation) -> None:
    good = installation.bin.script("good")
    (installation.top / "bad").write_text("")
    bad = [str(installation.top / name) for name in ("bad", "none", ".")]
    assert program_checks.unusable([good, *bad]) == bad


def test_what_is_missing_is_told_one_by_one(installation: Installation) -> None:
    context = installation.context()
    assert grades(program_checks.package(context)) == [FAIL]
    assert grades(program_checks.tools(context)) == [FAIL] * 3, "shell, launcher and filter"
    there = installation.bin.script("there")
    policy = replaced(context.policy, program=there, shell=there, launcher=there, system_call_filter=there)
    assert grades(program_checks.package(type(context)(policy, None, as_root=True))) == [OK]
    assert grades(program_checks.tools(type(context)(policy, None, as_root=True))) == [OK]
