from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.environment import git_identity
from pi_agent.environment.git_identity import GitIdentity, parsed, rendered
from pi_agent.state import home_files
from tests.support.bench import Bench, bench
from tests.support.trees import snapshot, statuses, write

_IDENTITY = {"name": "Alice A.", "email": "alice@example.org"}
_PRINTABLE = st.text(max_size=20).filter(str.isprintable)


@given(st.fixed_dictionaries({}, optional={"name": _PRINTABLE, "email": _PRINTABLE}))
def test_what_is_rendered_is_parsed_back(identity: dict[str, str]) -> None:
    assert parsed(rendered(identity).decode()) == identity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[user]\n\tname = Alice A.\n\temail = a@b\n", {"name": "Alice A.", "email": "a@b"}),
        ('[user]\nname="Alice \\"A\\" \\\\"\n', {"name": 'Alice "A" \\'}),
        ("[USER]\nNAME = x ; comment\n# name = y\n; name = z\n", {"name": "x"}),
        ("[user]\nname = first\nname = second\n", {"name": "second"}),
        ("[ user ]\nname = x\n[core]\nname = y\n[user]\nemail = z\n", {"name": "x", "email": "z"}),
        ('[user "work"]\nname = x\n[user.work]\nname = y\n[users]\nname = z\n', {}),
        ("[user]\nsigningkey = k\nname\npassword = p\n", {}),
        ("name = x\n", {}),
        ("", {}),
        ("[user]\nname = \x1b[2J\n", {}),
        ("[user]\nname = \u202ex\n", {}),
        (f"[user]\nname = {'x' * 257}\n", {}),
        (f"[user]\nname = {'x' * 256}\n", {"name": "x" * 256}),
    ],
)
def test_parsing_by_example(text: str, expected: dict[str, str]) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[user]\nname = "open\n', {}),
        ("[user]\nname = a\\qb\n", {}),
        ('[user]\nname = "a\\nb"\n', {}),
        ("[user]\nname = Alice \\\nSmith\n", {"name": "Alice Smith"}),
        ("[user]\nname = a\x0cemail = b\n", {}),
    ],
    ids=["open quote", "no such escape", "newline", "continued line", "form feed"],
)
def test_a_value_is_what_git_makes_of_it_or_nothing(text: str, expected: dict[str, str]) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(("key", "expected"), [("name", {"name": "a email = b"}), ("signingkey", {})])
def test_a_line_that_a_value_goes_on_in_is_no_line_of_its_own(key: str, expected: dict[str, str]) -> None:
    assert parsed(f"[user]\n{key} = a \\\nemail = b\n") == expected
    assert parsed(f"[core]\n{key} = a \\\n[user]\\\nemail = b\n") == {}


@pytest.mark.parametrize(
    "text", ["[user]\n# a \\\nemail = b\n", "[user]\nname = ; a \\\nemail = b\n", '[user]\nkey = "a\\\\"\nemail = b\n']
)
def test_a_backslash_that_continues_nothing_hides_nothing(text: str) -> None:
    assert parsed(text)["email"] == "b"


@given(st.text(max_size=80) | st.text('[]user\n =nam"\\#; ', max_size=80).map("[user]\n".__add__))
def test_only_plain_values_of_the_two_keys_come_out_of_any_text(text: str) -> None:
    for key, value in parsed(text).items():
        assert key in ("name", "email")
        assert value.isprintable() and len(value) <= 256


def test_a_long_run_of_blanks_takes_no_long_time() -> None:
    began = time.process_time()
    parsed("[user]\nname =" + " " * 350 + '"x')
    assert time.process_time() - began < 0.1


def test_the_later_file_wins_key_by_key(tmp_path: Path) -> None:
    assert git_identity.of_host_user(str(tmp_path)) == {}
    write(tmp_path / ".config/git/config", "[user]\nname = Old\nemail = old@x\n")
    assert git_identity.of_host_user(str(tmp_path)) == {"name": "Old", "email": "old@x"}
    write(tmp_path / ".gitconfig", "[user]\nname = New\n")
    assert git_identity.of_host_user(str(tmp_path)) == {"name": "New", "email": "old@x"}


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "loop", "dangling", "binary", "kernel"])
def test_a_file_that_is_odd_says_nothing_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".gitconfig"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "binary":
        path.write_bytes(b"\xff\0[user]\n")
    else:
        targets = {"device": "/dev/zero", "loop": ".gitconfig", "dangling": "none", "kernel": "/proc/self/environ"}
        path.symlink_to(targets[kind])
    assert git_identity.of_host_user(str(tmp_path)) == {}


def brought_up(here: Bench, identity: GitIdentity) -> bool:
    """Plan the file, and write it if planned. Returns whether it was written."""
    wanted = git_identity.plan(identity, here.state.home)
    if wanted is not None:
        home_files.write(here.owner, here.state, wanted)
    return wanted is not None


def test_the_identity_is_written_and_follows_the_hosts(tmp_path: Path) -> None:
    here = bench(tmp_path)
    path = here.tree / ".config/git/config"
    for identity in (_IDENTITY, {"name": "Other"}):
        assert brought_up(here, identity)
        assert parsed(path.read_text()) == identity
        assert not brought_up(here, identity)


def test_without_an_identity_nothing_is_written_and_what_was_written_stays(tmp_path: Path) -> None:
    here = bench(tmp_path)
    assert not brought_up(here, {})
    assert git_identity.plan({}, None) is None
    brought_up(here, _IDENTITY)
    assert not brought_up(here, {})


def test_planning_changes_nothing(tmp_path: Path) -> None:
    here = bench(tmp_path)
    before = statuses(tmp_path)
    assert git_identity.plan(_IDENTITY, here.state.home) is not None
    assert statuses(tmp_path) == before


def test_where_there_is_no_home_yet_the_file_is_to_be_written() -> None:
    wanted = git_identity.plan(_IDENTITY, None)
    assert wanted is not None
    assert (wanted.path, parsed(wanted.content.decode())) == (".config/git/config", _IDENTITY)


def test_a_configuration_of_the_agents_own_is_left_alone(tmp_path: Path) -> None:
    here = bench(tmp_path)
    for own in ("[user]\nname = Own\n", ""):
        write(here.tree / ".config/git/config", own)
        assert not brought_up(here, _IDENTITY)


@pytest.mark.parametrize("closed", [".config", ".config/git"])
def test_a_configuration_of_the_agents_own_in_a_closed_directory_is_left_alone(ordinary: Path, closed: str) -> None:
    here = bench(ordinary)
    write(here.tree / ".config/git/config", "[user]\nname = Own\n")
    (here.tree / closed).chmod(0)
    brought_up(here, _IDENTITY)
    (here.tree / closed).chmod(0o700)
    assert parsed((here.tree / ".config/git/config").read_text()) == {"name": "Own"}


@pytest.mark.parametrize("kind", ["link", "link above", "directory", "fifo", "closed"])
def test_what_stands_in_its_place_is_not_followed_and_not_replaced(ordinary: Path, kind: str) -> None:
    here = bench(ordinary)
    outside = ordinary / "outside"
    write(outside / "git/config", "precious")
    place = here.tree / ".config/git/config"
    place.parent.mkdir(parents=True)
    if kind == "link above":
        (here.tree / ".config").rename(here.tree / "away")
        (here.tree / ".config").symlink_to(outside)
    elif kind == "link":
        place.symlink_to(outside / "git/config")
    elif kind == "directory":
        place.mkdir()
    elif kind == "closed":
        write(place, "[user]")
        place.chmod(0)
    else:
        os.mkfifo(place)
    assert brought_up(here, _IDENTITY) is (kind == "link above"), "a link is moved aside where a directory must be"
    assert snapshot(outside) == {"git": None, "git/config": b"precious"}
