"""Configuration text is read as git reads it: the same settings, for any text that git accepts."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pi_agent.sandbox import git_config

# Pieces of which texts are made that git often accepts.
_PIECES = st.sampled_from(
    [
        *(b"[core]\n", b'[a "B c"]\n', b"[a.B]\n", b'[x "\\"y\\\\"]', b"[include]", b"[", b"]", b".", b'"', b"\\"),
        *(b"path", b"hooksPath", b"a-1", b"=", b" = ", b"\n", b"\r\n", b"\r", b"\t", b"  ", b"#", b";", b"x y"),
        *(b"\\n", b'\\"', b"\\\n", b"\\\r\n", b"\\q", b"\xef\xbb\xbf", b"\xff", b"\x0b", b"\xc3\xa9", b"~/x"),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=16).map(b"".join)
_GIT = shutil.which("git")


def read(content: bytes) -> list[tuple[str, str]]:
    return [(setting.key, setting.value) for setting in git_config.settings(content)]


def by_git(content: bytes) -> list[tuple[str, str]] | None:
    """The settings as git lists them; None if it refuses the text."""
    command = ["git", "-C", "/", "config", "--file", "-", "--list", "-z", "--no-includes"]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode:
        return None
    parts = [item.partition(b"\n") for item in done.stdout.split(b"\0")[:-1]]
    return [(os.fsdecode(key), os.fsdecode(value)) for key, _, value in parts]


def same_space(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Git before 2.45 makes a blank of each white space within a value."""
    return [(key, value.translate(str.maketrans("\t\r\n", "   "))) for key, value in found]


@pytest.mark.skipif(_GIT is None, reason="there is no git")
@given(st.one_of(_TEXTS, _TEXTS.map(b"[core]\n".__add__)))
@settings(max_examples=300, deadline=None)
@example(b"[a]\nb=c\\")
@example(b"[a]b=c\n[d]e\n")
@example(b'\xef\xbb\xbf[a "B"]\r\n\tc = "d e" f # g\r\n')
@example(b"[a]\nb = c ; d\\\ne = f")
@example(b"[a]\nb =\n\tc\n")
@example(b'[a "b\\\nc"]\nd=e')
def test_every_text_that_git_accepts_has_the_same_settings(content: bytes) -> None:
    expected = by_git(content)
    if expected is not None:
        assert same_space(read(content)) == same_space(expected)


def test_a_usual_file_is_read() -> None:
    content = b"""[core]
\thooksPath = "tools/my hooks" # ours
[filter "lfs"]
\tclean = git-lfs clean -- %f; true
[Alias]
\tst = !sh \\
scripts/st.sh
[remote "origin"]
\turl = ../x
\tmirror
"""
    assert read(content) == [
        ("core.hookspath", "tools/my hooks"),
        ("filter.lfs.clean", "git-lfs clean -- %f"),
        ("alias.st", "!sh scripts/st.sh"),
        ("remote.origin.url", "../x"),
        ("remote.origin.mirror", ""),
    ]


@pytest.mark.parametrize(
    "mistake", [b"nonsense !", b"[a", b'[a "b', b'[a]x="', b"[a]x=\\q", b"1=2", b"[a b]", b"[a]x y"]
)
def test_what_stands_before_a_mistake_counts(mistake: bytes) -> None:
    """Git refuses such a file, but another version of it may not."""
    assert read(b"[core]\nhooksPath = x\n" + mistake + b"\n[core]\neditor = y\n") == [("core.hookspath", "x")]


@given(st.binary(max_size=60))
def test_any_bytes_are_read(content: bytes) -> None:
    assert all("\0" not in value for _, value in read(content))
