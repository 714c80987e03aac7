from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_CONFIG, Refusal
from pi_agent.policy import policy_file
from tests.support import policies
from tests.support.policies import document, frozen


def parsing(**overrides: Any) -> str:
    """The error that parse raises for the policy with these overrides."""
    with pytest.raises(ValueError) as caught:
        frozen(**overrides)
    return str(caught.value)


def refusing(entry: object) -> str:
    """The error for this entry of a host user."""
    with pytest.raises(Refusal) as caught:
        frozen(hostUsers={"bob": entry}).host_users["bob"]
    assert caught.value.status == EX_CONFIG
    return caught.value.what


def test_every_key_reaches_its_field() -> None:
    parsed = frozen(
        user="u",
        group="g",
        projectGroup="dev",
        hostUsers={"bob": policies.host_user("~", "/srv/x", config_path="conf", agent_user="pi-bob")},
        syncConfigFromHost=False,
        settings={"a": {"b": [1]}},
        environment={"A": "1"},
        environmentFiles=["/run/x"],
        extraRunArgs=["--model", ""],
        extraEnvironment={"B": "2"},
        commandName="pie",
        nixPath=["nixpkgs=/x"],
    )
    assert (parsed.user, parsed.group, parsed.project_group, parsed.state_dir) == ("u", "g", "dev", "/var/lib/pi-agent")
    assert parsed.host_users["bob"] == policy_file.HostUser("pi-bob", "pi-bob", ("~", "/srv/x"), "conf")
    assert "bob" in parsed.host_users and "alice" not in parsed.host_users
    assert parsed.sync_config_from_host is False
    assert parsed.settings == {"a": {"b": [1]}}
    assert parsed.environment == {"A": "1"}
    assert parsed.environment_files == ("/run/x",)
    assert parsed.extra_run_args == ("--model", "")
    assert parsed.extra_environment == {"B": "2"}
    assert parsed.command_name == "pie"
    assert parsed.program == "/nix/store/pi/bin/pi"
    assert parsed.nix_path == ("nixpkgs=/x",)
    assert parsed.path == ("/nix/store/git/bin", "/nix/store/node/bin")
    assert (parsed.shell, parsed.launcher) == ("/nix/store/bash/bin/bash", "/nix/store/pi-agent/launch.bash")
    assert parsed.tools.systemd_run == "/nix/store/systemd/bin/systemd-run"
    assert frozen().project_group is None
    assert frozen().nix_path is None


def test_every_option_of_the_sandbox_reaches_its_field() -> None:
    assert frozen(
        sandbox={
            "protectedPaths": [".envrc", "*.x"],
            "hiddenPaths": [".ssh"],
            "readOnlyPaths": ["/srv/r"],
            "readWritePaths": ["/srv/w", "/srv/v"],
            "properties": ["TasksMax=5", "MemoryMax=1G"],
            "network": "none",
            "denyAddresses": ["any"],
            "allowAddresses": ["10.0.0.1"],
            "nixDaemon": False,
            "onSelfRunning": "disarm",
        }
    ).sandbox == policy_file.Sandbox(
        protected_paths=(".envrc", "*.x"),
        hidden_paths=(".ssh",),
        read_only_paths=("/srv/r",),
        read_write_paths=("/srv/w", "/srv/v"),
        properties=("TasksMax=5", "MemoryMax=1G"),
        network="none",
        deny_addresses=("any",),
        allow_addresses=("10.0.0.1",),
        nix_daemon=False,
        on_self_running="disarm",
    )
    assert frozen().sandbox.network == "full" and frozen().sandbox.nix_daemon is True


@pytest.mark.parametrize("key", sorted(policies.sandbox()))
def test_an_option_of_the_sandbox_that_is_missing_or_of_the_wrong_type_is_named(key: str) -> None:
    fewer = {name: value for name, value in policies.sandbox().items() if name != key}
    assert parsing(sandbox=fewer) == f"sandbox.{key} is missing"
    wrong: list[object] = [None, {}, 1, [1], ["a\0b"], "" if key == "nixDaemon" else True]
    for value in [*wrong, [] if key == "network" else "\0"]:
        assert f"sandbox.{key} is not" in parsing(sandbox=policies.sandbox(**{key: value}))


@pytest.mark.parametrize("network", ["host", "Full", "none ", "no", "full,none"])
def test_a_network_that_is_neither_full_nor_none_is_refused(network: str) -> None:
    said = parsing(sandbox=policies.sandbox(network=network))
    assert said == f"sandbox.network is {network!r}, not one of full, none"
    assert "sandbox.network" in parsing(sandbox=policies.sandbox(network=""))


@pytest.mark.parametrize("key", ["readOnlyPaths", "readWritePaths"])
@pytest.mark.parametrize("path", ["", "x", "../x", "~", "~/x"])
def test_a_further_path_is_absolute(key: str, path: str) -> None:
    said = parsing(sandbox=policies.sandbox(**{key: ["/srv", path]}))
    assert said == f"sandbox.{key} has a path that is not absolute: {path!r}"


@pytest.mark.parametrize("key", sorted(document()))
def test_a_missing_key_is_named(key: str) -> None:
    incomplete = {name: value for name, value in document().items() if name != key}
    with pytest.raises(ValueError, match=rf"policy\.{key} is missing"):
        policy_file.parse(orjson.dumps(incomplete))


@pytest.mark.parametrize("key", sorted(policies.tools()))
def test_a_missing_or_relative_tool_is_named(key: str) -> None:
    fewer = {name: path for name, path in policies.tools().items() if name != key}
    assert f"tools.{key} is missing" in parsing(tools=fewer)
    assert f"tools.{key} is not an absolute path" in parsing(tools=policies.tools(**{key: "mount"}))


@pytest.mark.parametrize("version", [0, 1, 2, 3, 5, "4", None, [4], True, False, "", {}])
def test_another_version_is_refused(version: object) -> None:
    assert "version" in parsing(version=version)


def test_unknown_keys_are_refused_at_every_level() -> None:
    assert "policy has unknown keys: b, x" in parsing(x=1, b=2)
    assert "tools has unknown keys: rm" in parsing(tools=policies.tools(rm="/bin/rm"))
    assert "sandbox has unknown keys: gpu" in parsing(sandbox=policies.sandbox(gpu=True))
    assert "hostUsers.bob has unknown keys: shell" in refusing({**policies.host_user("~"), "shell": "/bin/sh"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("user", ""),
        ("user", 1),
        ("user", "a\0b"),
        ("group", None),
        ("projectGroup", ""),
        ("projectGroup", 5),
        ("stateDir", "var/lib"),
        ("program", "pi"),
        ("shell", "bash"),
        ("launcher", ""),
        ("systemCallFilter", "filter"),
        ("syncConfigFromHost", 1),
        ("settings", []),
        ("environment", {"A": 1}),
        ("environment", {"A": "a\0b"}),
        ("environmentFiles", "/x"),
        ("extraRunArgs", ["a\0b"]),
        ("extraRunArgs", [1]),
        ("extraEnvironment", ["A=1"]),
        ("path", [None]),
        ("tools", []),
        ("sandbox", []),
        ("sandbox", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: object) -> None:
    assert key in parsing(**{key: value})


@pytest.mark.parametrize("value", [[], "/x", {"bob": []}, {"bob": "x"}, {"bob": policies.host_user("~")}])
def test_a_host_user_is_a_name_and_the_absolute_path_of_a_file(value: object) -> None:
    with pytest.raises(ValueError, match=r"policy\.hostUsers"):
        policy_file.parse(orjson.dumps(document(hostUsers=value)))


_AGENT = ("agentUser", "agentGroup")


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ([], ""),
        (None, ""),
        *(
            ({name: value for name, value in policies.host_user("~").items() if name != key}, f".{key} is missing")
            for key in policies.host_user("~")
        ),
        ({}, ".agentUser is missing"),
        *(({**policies.host_user("~"), key: bad}, f".{key}") for key in _AGENT for bad in ("", "a\0b", None, 7)),
        (policies.host_user("~", config_path=""), ".configPath"),
        (policies.host_user("a\0b"), ".projectRoots"),
        ({**policies.host_user(), "projectRoots": "~"}, ".projectRoots"),
    ],
)
def test_what_is_wrong_with_a_host_user_is_named(entry: object, place: str) -> None:
    assert f"hostUsers.bob{place}" in refusing(entry)


def test_a_host_users_file_is_read_once_and_for_that_user_alone() -> None:
    files = {"/b": orjson.dumps(policies.host_user("/srv/b")), "/c": b"{"}
    read = []

    def reading(path: str) -> bytes:
        read.append(path)
        return files[path]

    users = policy_file.parse(orjson.dumps(document(hostUsers={"bob": "/b", "carol": "/c"})), reading).host_users
    assert "carol" in users and not read
    assert users["bob"] is users["bob"] and read == ["/b"]
    with pytest.raises(KeyError):
        users["dave"]
    with pytest.raises(Refusal) as caught:
        users["carol"]
    assert caught.value.status == EX_CONFIG and "/c" in caught.value.what


def test_a_host_users_file_that_is_missing_is_told(tmp_path: Path) -> None:
    users = policy_file.parse(orjson.dumps(document(hostUsers={"bob": str(tmp_path / "none")}))).host_users
    with pytest.raises(Refusal) as caught:
        users["bob"]
    assert caught.value.status == EX_CONFIG
    assert f"{tmp_path}/none cannot be used: No such file or directory" in caught.value.what


_RELATIVE = ["", ".", "x", "./x", "../x", "~bob", "~bob/x", "~~", " /x", "x/~", "$HOME/x"]


@pytest.mark.parametrize("path", _RELATIVE)
def test_a_root_that_is_neither_absolute_nor_below_home_is_refused_and_named(path: str) -> None:
    said = refusing(policies.host_user("~/fine", path))
    assert escaped(f"hostUsers.bob.projectRoots has a path that is not absolute: {path!r}") in said


@pytest.mark.parametrize("path", ["/", "/x", "/x/../y", "~", "~/", "~/x y"])
def test_a_root_is_absolute_or_below_home(path: str) -> None:
    assert frozen(hostUsers={"bob": policies.host_user(path)}).host_users["bob"].project_roots == (path,)


@pytest.mark.parametrize("path", [*_RELATIVE, "~", "~/x"])
def test_an_environment_file_is_read_from_an_absolute_path_alone(path: str) -> None:
    assert parsing(environmentFiles=["/run/x", path]).startswith("policy.environmentFiles has a path that is not")
    assert frozen(environmentFiles=["/run/x", f"/{path}"]).environment_files == ("/run/x", f"/{path}")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(list(document())), inner),
        max_leaves=6,
    )
)
def test_what_is_no_policy_is_refused_with_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        policy_file.parse(orjson.dumps(value))


def test_load_reads_a_policy(tmp_path: Path) -> None:
    loaded = policy_file.load(str(policies.written(tmp_path, hostUsers={"bob": policies.host_user("/srv/x")})))
    assert loaded == policies.replaced(frozen(), host_users=loaded.host_users)
    assert loaded.host_users["bob"].project_roots == ("/srv/x",)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b'{"version":3}', b"[" * 5000])
def test_load_refuses_what_is_no_policy_and_names_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    with pytest.raises(Refusal) as caught:
        policy_file.load(str(file))
    assert caught.value.status == EX_CONFIG
    assert str(file) in caught.value.what


def test_load_refuses_a_file_that_is_missing_or_a_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(Refusal) as caught:
            policy_file.load(str(path))
        assert caught.value.status == EX_CONFIG
