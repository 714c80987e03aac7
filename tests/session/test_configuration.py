from __future__ import annotations

from pathlib import Path

import pytest

from pi_agent.environment import git_identity
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, Refusal
from tests.support.bench import bench
from tests.support.configuring import bring_up
from tests.support.trees import read, snapshot, write


def test_bringing_up_reads_the_environment_and_synchronises(tmp_path: Path) -> None:
    here = bench(tmp_path, environment={"A": "nix"})
    write(here.host / ".env", "IN=1")
    write(here.host.parent / ".env", "BESIDE=1\nIN=0")
    write(here.host / "settings.json", {"a": 1})
    configured = bring_up(here)
    assert configured.host_env == {"BESIDE": "1", "IN": "1"}
    assert configured.secrets == {}
    assert read(here.isolated / "settings.json") == {"a": 1}
    assert 'A="nix"' in (here.tree / ".pi/.env").read_text()


def test_for_help_and_version_nothing_of_the_host_is_read_and_nothing_isolated_changes(tmp_path: Path) -> None:
    here = bench(tmp_path, settings={"theme": "nix"}, environment={"A": "1"})
    write(here.host / "settings.json", "broken")
    write(here.host / ".env", b"\xff")
    before = snapshot(tmp_path / "state")
    assert bring_up(here, from_host=False).host_env == {}
    assert snapshot(tmp_path / "state") == before


def test_a_bad_env_file_of_the_host_is_refused_before_anything_changes(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"a": 1})
    write(here.host / ".env", b"A=\xff")
    before = snapshot(tmp_path / "state")
    with pytest.raises(Refusal) as caught:
        bring_up(here)
    assert caught.value.status == EX_DATAERR
    assert snapshot(tmp_path / "state") == before


def test_a_missing_environment_file_is_refused_also_for_help(tmp_path: Path) -> None:
    here = bench(tmp_path, environmentFiles=["/nonexistent/secrets.env"])
    for from_host in (True, False):
        with pytest.raises(Refusal) as caught:
            bring_up(here, from_host=from_host)
        assert caught.value.status == EX_CONFIG
        assert "/nonexistent/secrets.env" in caught.value.what


def test_without_sync_the_hosts_env_is_not_read(tmp_path: Path) -> None:
    here = bench(tmp_path, syncConfigFromHost=False)
    write(here.host / ".env", "IN=1")
    assert bring_up(here).host_env == {}
    assert "IN" not in (here.tree / ".pi/.env").read_text()


def test_the_git_identity_is_written_only_where_the_host_is_synced(tmp_path: Path) -> None:
    write(tmp_path / "home/.gitconfig", "[user]\nname = Alice\n[credential]\nhelper = store\n")
    here = bench(tmp_path, syncConfigFromHost=False)
    bring_up(here)
    assert not (here.tree / ".config/git/config").exists()
    here = bench(tmp_path)
    bring_up(here)
    text = (here.tree / ".config/git/config").read_text()
    assert git_identity.parsed(text) == {"name": "Alice"}
    assert "credential" not in text
