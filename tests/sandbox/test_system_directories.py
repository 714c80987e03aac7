from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from pi_agent.sandbox import system_directories
from pi_agent.sandbox.system_directories import System


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Simulates another machine: the paths that exist, and where resolv.conf really is."""

    def make(*paths: str, resolver: str = "/etc/resolv.conf") -> None:
        monkeypatch.setattr(os.path, "exists", lambda path: path in (*paths, resolver))
        monkeypatch.setattr(os.path, "realpath", lambda path: resolver if path == "/etc/resolv.conf" else path)

    return make


def look(*, nix_daemon: bool = True, network: bool = True) -> System:
    return system_directories.look(nix_daemon=nix_daemon, network=network)


def test_on_this_machine_only_what_exists_is_shown_and_no_place_of_users() -> None:
    found = look().paths
    assert all(os.path.exists(path) for path in found)
    assert not {"/", "/home", "/root", "/var", "/run", "/srv", "/mnt", "/proc", "/sys", "/dev"} & set(found)


def test_the_socket_of_nixs_daemon_is_shown_only_where_the_policy_says_so(machine: Callable[..., None]) -> None:
    machine("/nix/store", "/etc", "/nix/var/nix/daemon-socket")
    assert look().paths == ("/nix/var/nix/daemon-socket",)
    assert look(nix_daemon=False).paths == ()


def test_what_resolves_names_is_shown_only_with_a_network(machine: Callable[..., None]) -> None:
    machine("/etc", "/run/nscd", "/run/systemd/resolve", resolver="/run/systemd/resolve/stub-resolv.conf")
    assert look().paths == ("/run/nscd", "/run/systemd/resolve")
    assert look(network=False).paths == ()


@pytest.mark.parametrize(
    ("resolver", "shown"),
    [
        ("/etc/resolv.conf", False),
        ("/run/resolvconf/resolv.conf", True),
        ("/run/systemd/resolve/resolv.conf", False),
        ("/etc-of-others/resolv.conf", True),
    ],
)
def test_the_resolvers_file_is_shown_where_nothing_that_is_shown_holds_it(
    machine: Callable[..., None], resolver: str, shown: bool
) -> None:
    machine("/etc", "/run/systemd/resolve", resolver=resolver)
    assert look().paths == ("/run/systemd/resolve", *([resolver] if shown else []))
    assert resolver not in look(network=False).paths


def test_the_compile_cache_is_shown_where_it_is(machine: Callable[..., None]) -> None:
    machine("/etc", "/var/cache/x/node")
    shown = [
        system_directories.look(nix_daemon=True, network=True, compile_cache=path).compile_cache
        for path in ("/var/cache/x/node", "/var/cache/y/node")
    ]
    assert shown == ["/var/cache/x/node", None]
    assert look().compile_cache is None
