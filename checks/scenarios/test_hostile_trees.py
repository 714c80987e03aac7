"""Projects made to keep the search for repositories busy: a launch neither waits for them nor is silent about them."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from support.commands import Result, inside
from support.installed import demo
from support.repositories import on_host

# Processor time of a launch and its session, in seconds: independent of other load.
_LAUNCH_AT_MOST: Final = 3.0
_JUDGING: Final = 10.0  # seconds


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    """Remove quickly what a scenario made."""
    yield
    on_host("rm -rf d noise many x y")


def taken(launch: Callable[[], Result]) -> tuple[Result, float]:
    """What became of a launch, and its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = launch()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_ten_thousand_directories_are_searched() -> None:
    on_host("mkdir -p d/{1..100}/{1..100}; git init -q d/50/50/deep/x")
    result, seconds = taken(lambda: inside("git -C d/50/50/deep/x config a.b c || echo denied"))
    assert result.ok().text == "denied"
    assert "not searched" not in result.complaint
    print(f"a launch with 10,000 directories took {seconds:.1f} seconds of the processor")
    assert seconds < _LAUNCH_AT_MOST


def test_what_too_many_directories_keep_from_being_searched_is_told() -> None:
    on_host("mkdir -p noise/{1..150}/{1..150}; git init -q near; git init -q noise/1/1/deep/x")
    script = "for git in near .; do git -C $git config a.b c || echo denied; done"
    result, seconds = taken(lambda: inside(script))
    # What is higher up is protected all the same.
    assert result.ok().text == "denied\ndenied"
    assert "was not searched completely" in result.complaint
    assert "noise" in result.complaint
    assert seconds < _LAUNCH_AT_MOST
    # In it, a session knows its way.
    assert "denied" in inside("git config a.b c || echo denied", cwd=demo("alice") / "noise/1/1/deep/x").text


def test_thousands_of_repositories_are_refused_with_the_directory_they_lie_in() -> None:
    on_host("mkdir -p many/{1..50}/{1..50}/.git/hooks")
    result, seconds = taken(lambda: inside("echo started"))
    assert result.status == 69
    assert "too many paths to protect or hide; they lie in many, .git" in result.complaint
    assert seconds < _LAUNCH_AT_MOST


@pytest.mark.parametrize(
    ("first", "each"),
    [
        # Pointers in chains and loops, of long paths, and through links to links.
        ("true", 'mkdir $n; echo "gitdir: ../$((n % 300 + 1))" >$n/.git; echo ../1 >$n/commondir; echo >$n/HEAD'),
        ("mkdir x; up=$(printf 'x/../%.0s' {1..800})", 'mkdir -p x/$n/x; echo "gitdir: $up" >x/$n/.git'),
        ("ln -s b/b/b/b/b/b a; ln -s c/c/c/c/c/c b; ln -s . c", "mkdir -p x/$n; ln -s ../../a/a/a/a/a/a x/$n/.git"),
        ("true", "mkdir -p x/$n y/$n/.git; mkfifo x/$n/.git; mkfifo y/$n/.git/{config,commondir,hooks}"),
        # Settings that include one another, and name many files.
        (
            "all=$(printf 'path=../../%s/.git/config\n' {1..300})",
            'mkdir -p $n/.git; echo "[include] $all" >$n/.git/config',
        ),
        ("words=$(printf ' a/b/../c%s' {1..60})", 'mkdir -p $n/.git; echo "[alias] a = $words" >$n/.git/config'),
    ],
    ids=["loops", "long paths", "links", "pipes", "includes", "words"],
)
def test_nothing_that_leads_in_circles_keeps_a_session_from_starting(first: str, each: str) -> None:
    on_host(f"{first}; for n in {{1..300}}; do {each}; done")
    result, seconds = taken(lambda: inside("echo started"))
    assert result.ok().text == "started"
    # The look afterwards has git read what was made just before, as long as it may.
    assert seconds < _LAUNCH_AT_MOST + _JUDGING


def test_a_configuration_that_is_too_large_to_read_is_told_and_protected() -> None:
    on_host("git init -q x; git init -q y; yes $'[alias]\\n\\ta = b' | head -c 300000 >>x/.git/config")
    result, seconds = taken(lambda: inside("for git in x y; do echo >>$git/.git/config || echo denied; done"))
    assert result.ok().text == "denied\ndenied"
    (told,) = (line for line in result.stderr.decode().splitlines() if "too large to look for the files" in line)
    assert told.endswith("unprotected: x/.git/config")
    assert seconds < _LAUNCH_AT_MOST


def test_a_setting_that_names_the_whole_project_is_told() -> None:
    on_host("git config core.hooksPath .")
    result = inside("touch mine && echo works").ok()
    assert result.text == "works"
    assert "the git setting core.hookspath names directories" in result.complaint
    assert "cannot be protected: ." in result.complaint
