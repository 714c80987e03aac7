from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.environment import dotenv_file
from pi_agent.environment.env_file_syntax import parse as parsed
from pi_agent.state import home_files
from tests.support.bench import Bench, bench
from tests.support.policies import frozen
from tests.support.trees import opened, snapshot, statuses, write

_HOST = {"A": "1"}


def brought_up(here: Bench, host: dict[str, str]) -> bool:
    """Plan the file, and write it if planned. Returns whether it was written."""
    wanted = dotenv_file.plan(here.policy, host, here.state.home)
    if wanted is not None:
        home_files.write(here.owner, here.state, wanted)
    return wanted is not None


def test_the_file_has_the_hosts_values_then_the_modules_and_no_secret() -> None:
    policy = frozen(environment={"A": "nix"}, environmentFiles=["/run/secret.env"], extraEnvironment={"X": "1"})
    text = dotenv_file.content(policy, {"A": "host", "B": "host"})
    assert parsed(text) == {"A": "nix", "B": "host"}
    assert b"/run/secret.env" in text


@given(st.dictionaries(st.sampled_from(["A", "B"]), st.text(st.characters(categories=["L", "P"]), max_size=9)))
def test_whatever_the_values_are_they_are_read_back(host: dict[str, str]) -> None:
    assert parsed(dotenv_file.content(frozen(environmentFiles=["/run/a\nEVIL=1"]), host)) == host


def test_the_file_is_written_once_and_again_when_it_says_something_else(tmp_path: Path) -> None:
    here = bench(tmp_path)
    path = here.tree / ".pi/.env"
    assert brought_up(here, _HOST)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not brought_up(here, _HOST)
    assert brought_up(here, {"A": "2"})
    path.write_text("EVIL=1")
    assert brought_up(here, _HOST)
    assert parsed(path.read_bytes()) == _HOST


def test_planning_changes_nothing(tmp_path: Path) -> None:
    here = bench(tmp_path)
    before = statuses(tmp_path)
    assert dotenv_file.plan(here.policy, _HOST, here.state.home) is not None
    assert statuses(tmp_path) == before


def test_where_there_is_no_home_yet_the_file_is_to_be_written(tmp_path: Path) -> None:
    wanted = dotenv_file.plan(frozen(), _HOST, None)
    assert wanted is not None
    assert (wanted.path, parsed(wanted.content)) == (".pi/.env", _HOST)
    with opened(tmp_path) as home:
        assert dotenv_file.plan(frozen(), _HOST, home) == wanted


@pytest.mark.parametrize("kind", ["link", "fifo", "link above", "directory"])
def test_what_is_planted_in_its_place_is_replaced_not_followed(tmp_path: Path, kind: str) -> None:
    here = bench(tmp_path)
    write(tmp_path / "outside/.env", dotenv_file.content(here.policy, _HOST))
    before = snapshot(tmp_path / "outside")
    if kind == "link above":
        (here.tree / ".pi").rename(tmp_path / "away")
        (here.tree / ".pi").symlink_to(tmp_path / "outside")
    elif kind == "fifo":
        os.mkfifo(here.tree / ".pi/.env")
    elif kind == "directory":
        (here.tree / ".pi/.env").mkdir()
    else:
        (here.tree / ".pi/.env").symlink_to(tmp_path / "outside/.env")
    assert brought_up(here, _HOST)
    assert snapshot(tmp_path / "outside") == before
    assert not (here.tree / ".pi").is_symlink() and not (here.tree / ".pi/.env").is_symlink()
    assert parsed((here.tree / ".pi/.env").read_bytes()) == _HOST


@pytest.mark.parametrize("closed", [".pi/.env", ".pi"])
def test_what_the_agent_closed_does_not_keep_it_from_being_written(ordinary: Path, closed: str) -> None:
    here = bench(ordinary)
    write(here.tree / ".pi/.env", "B=1")
    (here.tree / closed).chmod(0)
    assert brought_up(here, _HOST)
    assert parsed((here.tree / ".pi/.env").read_bytes()) == _HOST
