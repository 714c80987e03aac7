"""Files of /etc that are links out of it."""

from __future__ import annotations

import os

import pytest

from pi_agent.sandbox import system_directories


def shown(monkeypatch: pytest.MonkeyPatch, links: dict[str, str], *, network: bool) -> set[str]:
    """What is bound beside the directories, on a machine that has everything and these links."""
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/missing")
    monkeypatch.setattr(os.path, "realpath", lambda path: links.get(path, path))
    monkeypatch.setattr(os.path, "islink", lambda path: False)
    found = system_directories.look(nix_daemon=True, network=network).paths
    return set(found) & set(links.values())


@pytest.mark.parametrize("network", [True, False])
def test_accounts_that_lie_elsewhere_are_shown_there(monkeypatch: pytest.MonkeyPatch, network: bool) -> None:
    links = {"/etc/passwd": "/var/lib/nixos/passwd", "/etc/group": "/var/lib/nixos/group"}
    assert shown(monkeypatch, links, network=network) == set(links.values())


def test_a_link_within_what_is_shown_or_to_nothing_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"/etc/passwd": "/etc/static/passwd", "/etc/group": "/missing", "/etc/resolv.conf": "/nix/store/x"}
    assert shown(monkeypatch, links, network=True) == set()


def test_the_resolver_is_shown_only_with_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"/etc/resolv.conf": "/run/NetworkManager/resolv.conf"}
    assert shown(monkeypatch, links, network=True) == set(links.values())
    assert shown(monkeypatch, links, network=False) == set()


def test_one_file_by_two_names_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"/etc/passwd": "/var/lib/x", "/etc/group": "/var/lib/x"}
    monkeypatch.setattr(os.path, "realpath", lambda path: links.get(path, path))
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    assert system_directories.look(nix_daemon=True, network=True).paths.count("/var/lib/x") == 1
