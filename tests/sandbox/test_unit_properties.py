from __future__ import annotations

import shlex
from typing import Any

from pi_agent.linux.identities import Identity
from pi_agent.sandbox import unit_properties
from pi_agent.sandbox.system_directories import System
from tests.support import policies
from tests.support.policies import frozen, replaced

_AGENT = Identity("pi-agent", 996, 995, (995,), "/var/lib/pi-agent")
_SYSTEM = System(("/nix/var/nix/daemon-socket", "/run/nscd"))


def properties(project_group: str | None = None, system: System = _SYSTEM, **options: Any) -> list[str]:
    policy = frozen(
        projectGroup=project_group, settings={"secret": "hunter2"}, environment={"A": "hunter2"},
        extraEnvironment={"B": "hunter2"}, extraRunArgs=["hunter2"], sandbox=policies.sandbox(**options),
    )  # fmt: skip
    return unit_properties.properties(policy, _AGENT, system)


def values(name: str, found: list[str] | None = None) -> list[str]:
    return [each.partition("=")[2] for each in found or properties() if each.partition("=")[0] == name]


def test_the_unit_runs_as_the_agent() -> None:
    assert values("User") == ["996"]
    assert values("Group") == ["995"]
    assert values("WorkingDirectory") == ["/"]


def test_of_the_host_only_the_systems_own_paths_are_bound_and_they_are_read_only() -> None:
    assert [shlex.split(each) for each in values("BindReadOnlyPaths")] == [list(_SYSTEM.paths)]
    assert values("BindPaths") == values("ReadWritePaths") == []
    assert values("BindReadOnlyPaths", properties(system=System(()))) == []


def test_the_compile_cache_is_read_only_and_may_go_away_while_the_unit_starts() -> None:
    system = replaced(_SYSTEM, compile_cache="/var/cache/x/node")
    found = values("BindReadOnlyPaths", unit_properties.properties(frozen(), _AGENT, system))
    assert [shlex.split(each) for each in found[1:]] == [["-/var/cache/x/node:/run/pi-agent-compile-cache"]]


def test_without_a_network_there_is_none() -> None:
    assert values("PrivateNetwork") == []
    assert values("PrivateNetwork", properties(network="none")) == ["yes"]


def test_addresses_are_denied_and_allowed_as_the_policy_says() -> None:
    found = properties(denyAddresses=["any", "10.0.0.0/8"], allowAddresses=["10.0.0.1", "::1"])
    assert values("IPAddressDeny", found) == ["any", "10.0.0.0/8"]
    assert values("IPAddressAllow", found) == ["10.0.0.1", "::1"]
    assert not any(each.startswith("IPAddress") for each in properties(denyAddresses=[]))


def test_the_administrators_properties_are_the_last_word_in_their_order() -> None:
    assert properties(properties=["TasksMax=5", "UMask=0077", "TasksMax=6"])[-3:] == [
        "TasksMax=5", "UMask=0077", "TasksMax=6",
    ]  # fmt: skip


def test_no_value_of_the_policys_environment_or_settings_reaches_a_property() -> None:
    assert not any("hunter2" in each for each in properties())
    assert values("Environment") == []


def test_the_project_group_is_joined_only_where_there_is_one() -> None:
    assert values("SupplementaryGroups") == []
    assert values("SupplementaryGroups", properties("dev")) == ["dev"]


def test_what_no_filter_of_system_calls_would_see_is_refused() -> None:
    allowed, *denied, again, landlock = values("SystemCallFilter")
    assert allowed == "@system-service"
    assert again == "capset", "which setpriv(1) calls to give up what it has"
    assert all(word.startswith("landlock_") for word in landlock.split()), "which can only take rights away"
    words = {word for each in denied for word in each.removeprefix("~").split()}
    assert all(each.startswith("~") for each in denied)
    assert {
        "@privileged",
        "@resources",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "io_setup",
        "@keyring",
    } <= words


def test_every_property_is_one_line() -> None:
    for each in properties():
        assert each.isprintable() and "=" in each
