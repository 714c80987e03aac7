"""The package and the tools."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.cli.doctor import program_checks
from pi_agent.cli.doctor.context import Context
from pi_agent.messages.finding import FAIL, OK, WARN
from tests.support import people
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
    assert grades(program_checks.tools(context)) == [FAIL] * 4, "shell, launcher, filter and what forgets the cache"
    there = installation.bin.script("there")
    files = dict.fromkeys(("launcher", "forget_compile_cache", "system_call_filter"), there)
    policy = replaced(context.policy, program=there, shell=there, **files)
    assert grades(program_checks.package(type(context)(policy, None, as_root=True))) == [OK]
    assert grades(program_checks.tools(type(context)(policy, None, as_root=True))) == [OK]


# -- the compile cache


@pytest.fixture
def cached(installation: Installation) -> Context:
    """An installation where the service has left something for the package."""
    (installation.top / "cache/package").mkdir(parents=True)
    policy = replaced(installation.context().policy, compile_cache=str(installation.top / "cache/package/node"))
    return Context(policy, people.alice(str(installation.top)), as_root=True)


def filled(context: Context, uid: int) -> Path:
    """Entries that are there under the name for this uid, and a link to them for another one."""
    cache = Path(context.policy.compile_cache)
    (cache / f"v1-x64-abc-{uid}").mkdir(parents=True)
    for name in ("0123abcd", "4567cdef"):
        (cache / f"v1-x64-abc-{uid}" / name).touch(0o644)
    (cache / "v1-x64-abc-4000000").symlink_to(f"v1-x64-abc-{uid}")
    return cache


def test_a_cache_that_the_agent_finds_is_well(cached: Context) -> None:
    filled(cached, os.geteuid())
    (found,) = program_checks.compile_cache(cached)
    assert (found.grade, found.what) == (OK, "Node's compile cache has 2 entries")


def test_without_a_user_nobody_is_missed_in_the_cache(cached: Context) -> None:
    filled(cached, os.geteuid() + 1)
    assert grades(program_checks.compile_cache(cached)) == [WARN]
    assert grades(program_checks.compile_cache(Context(cached.policy, None, as_root=True))) == [OK]


def test_a_package_that_compiles_nothing_needs_no_cache_but_the_service_must_have_run(cached: Context) -> None:
    assert grades(program_checks.compile_cache(cached)) == [OK]
    os.rmdir(os.path.dirname(cached.policy.compile_cache))
    assert grades(program_checks.compile_cache(cached)) == [WARN]


@pytest.mark.parametrize("path", [".", "v1-x64-abc-{uid}", "v1-x64-abc-{uid}/0123abcd"])
def test_a_cache_that_others_can_write_fails(cached: Context, path: str) -> None:
    cache = filled(cached, os.geteuid())
    (cache / path.format(uid=os.geteuid())).chmod(0o757)
    assert grades(program_checks.compile_cache(cached)) == [FAIL]
