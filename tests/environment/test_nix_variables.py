"""What of Nix and NixOS a session has: the search path, the caller's own profiles, no second PATH."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pi_agent.environment import variable_layers
from pi_agent.environment.variable_layers import Sources, Surroundings
from tests.support import people
from tests.support.policies import frozen

_AROUND = Surroundings(path=(), nix_daemon=False, certificates=None, locales=None, time_zones=None)


def variables(**overrides: object) -> Mapping[str, str]:
    """A session's variables under a policy with these keys, on a machine that has nothing."""
    policy, agent = frozen(**overrides), people.agent("/var/lib/pi-agent")
    return variable_layers.merged(variable_layers.layers(policy, agent, _AROUND, Sources({}, {}, {}), None))


@pytest.mark.parametrize(
    ("entries", "value"), [(["nixpkgs=flake:nixpkgs", "/etc/nixos"], "nixpkgs=flake:nixpkgs:/etc/nixos"), ([], "")]
)
def test_the_search_path_is_the_hosts_also_where_that_is_empty(entries: list[str], value: str) -> None:
    assert variables(nixPath=entries)["NIX_PATH"] == value
    assert variables(nixPath=entries, environment={"NIX_PATH": "x"})["NIX_PATH"] == "x"


def test_where_nix_is_off_there_is_no_search_path() -> None:
    assert "NIX_PATH" not in variables(nixPath=None)


def test_a_shell_of_nixos_keeps_the_path_that_it_has() -> None:
    found = variables()
    assert found["__ETC_PROFILE_DONE"] == found["__NIXOS_SET_ENVIRONMENT_DONE"] == "1"


def profiles(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of the caller's is on the PATH, where home has what the store is."""
    monkeypatch.setattr(variable_layers, "_STORE", str(home / "store"))
    around = variable_layers.surroundings(people.alice(home), people.agent("/"), nix_daemon=False)
    return [path.removeprefix(f"{home}/") for path in around.path if path.startswith(f"{home}/")]


def test_the_callers_own_profiles_are_on_the_path_as_they_are_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-env", "b-env"):
        (tmp_path / "store" / name / "bin").mkdir(parents=True)
    (tmp_path / "state").symlink_to("store/a-env")
    (tmp_path / ".nix-profile").symlink_to("state")
    (tmp_path / ".local/state/nix").mkdir(parents=True)
    (tmp_path / ".local/state/nix/profile").symlink_to(tmp_path / "store/b-env")
    assert profiles(tmp_path, monkeypatch) == ["store/a-env/bin", "store/b-env/bin"]


@pytest.mark.parametrize(
    "target", ["own", "store", "store/none", "store/a-env/bin", "store/no-programs", ".nix-profile"]
)
def test_another_profile_is_not_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    for directory in ("own/bin", "store/bin", "store/a-env/bin/bin", "store/no-programs"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / ".nix-profile").symlink_to(target)
    assert profiles(tmp_path, monkeypatch) == []


def test_one_profile_by_two_names_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store/a-env/bin").mkdir(parents=True)
    (tmp_path / ".local/state/nix").mkdir(parents=True)
    (tmp_path / ".local/state/nix/profile").symlink_to(tmp_path / "store/a-env")
    (tmp_path / ".nix-profile").symlink_to(".local/state/nix/profile")
    assert profiles(tmp_path, monkeypatch) == ["store/a-env/bin"]
