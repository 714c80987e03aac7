"""Parses the frozen policy, one JSON file in the store and one for each host user, into immutable values.

The NixOS module writes these files (docs/architecture.md has the schema). Nothing else configures the two programs. An
unknown version or key is refused: it belongs to a policy made for another pi-agent.
"""

from __future__ import annotations

from pi_agent.messages import installation_refusals
from pi_agent.policy.shared import NETWORKS, ON_SELF_RUNNING
from pi_agent.python import json_reader
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final, TypeVar

    _T = TypeVar("_T")

VERSION: Final = 4


@record
class HostUser:
    """What one host user may use, and the account that the user's agents run as. A leading `~` in a root stands for the
    user's home; a relative configPath starts there."""

    agent_user: str
    agent_group: str
    project_roots: tuple[str, ...]
    config_path: str


class HostUsers:
    """The host users by name. A user's file is read only when needed: a launch concerns one user of many."""

    def __init__(self, files: Mapping[str, str], read: Callable[[str], bytes]) -> None:
        self._files = files
        self._read = read
        self._known: dict[str, HostUser] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all host users."""
        return tuple(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __getitem__(self, name: str) -> HostUser:
        """The host user. Raises KeyError if name is not listed, and Refusal (78) if the user's file cannot be used."""
        if name not in self._known:
            file = self._files[name]
            self._known[name] = _understood(file, self._read, lambda content: _host_user(content, name))
        return self._known[name]


@record
class Sandbox:
    """The sandbox options. properties: systemd's, as NAME=VALUE, applied over our own in this order."""

    protected_paths: tuple[str, ...]
    hidden_paths: tuple[str, ...]
    read_only_paths: tuple[str, ...]
    read_write_paths: tuple[str, ...]
    properties: tuple[str, ...]
    network: str
    deny_addresses: tuple[str, ...]
    allow_addresses: tuple[str, ...]
    nix_daemon: bool
    on_self_running: str


@record
class Tools:
    """Absolute paths of the programs that the runner and the wrapper start."""

    bash: str
    setpriv: str
    setsid: str
    systemctl: str
    systemd_run: str
    sudo: str
    git: str


@record
class Policy:
    """The module's options, as the programs need them. docs/options.md describes each."""

    user: str
    group: str
    project_group: str | None
    state_dir: str
    host_users: HostUsers
    sync_config_from_host: bool
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    environment_files: tuple[str, ...]
    extra_run_args: tuple[str, ...]
    extra_environment: Mapping[str, str]
    command_name: str
    program: str
    path: tuple[str, ...]
    nix_path: tuple[str, ...] | None
    shell: str
    launcher: str
    compile_cache: str
    forget_compile_cache: str
    system_call_filter: str
    sandbox: Sandbox
    tools: Tools

    @property
    def sync_dir(self) -> str:
        """The directory for what sync remembers. It is root's, so it stands beside the state directory, not in it."""
        return f"{self.state_dir}-sync"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _understood(path: str, read: Callable[[str], bytes], understand: Callable[[bytes], _T]) -> _T:
    """Read and parse the file at path. Raises Refusal (78) if it cannot be read or understood."""
    try:
        content = read(path)
    except OSError as error:
        raise installation_refusals.policy_unreadable(path, error.strerror or str(error)) from error
    try:
        return understand(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise installation_refusals.policy_unreadable(path, str(error)) from error


def load(path: str) -> Policy:
    """Read and parse the policy file at path. Raises Refusal (78) if it cannot be read or understood."""
    return _understood(path, _read, parse)


def parse(content: bytes, read: Callable[[str], bytes] = _read) -> Policy:
    """Parse the policy's JSON. read: a host user's file, by path. Raises ValueError, which names the wrong place."""
    top = _Table(json_reader.loads(content), "policy")
    version = top.take("version")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"its version is {version!r}, this program reads version {VERSION}")
    policy = Policy(
        user=top.text("user"),
        group=top.text("group"),
        project_group=top.optional_text("projectGroup"),
        state_dir=top.absolute("stateDir"),
        host_users=HostUsers(top.places_by_name("hostUsers"), read),
        sync_config_from_host=top.boolean("syncConfigFromHost"),
        settings=top.table("settings"),
        environment=top.texts_by_name("environment"),
        environment_files=top.places("environmentFiles"),
        extra_run_args=top.texts("extraRunArgs"),
        extra_environment=top.texts_by_name("extraEnvironment"),
        command_name=top.text("commandName"),
        program=top.absolute("program"),
        path=top.texts("path"),
        nix_path=top.optional_texts("nixPath"),
        shell=top.absolute("shell"),
        launcher=top.absolute("launcher"),
        compile_cache=top.absolute("compileCache"),
        forget_compile_cache=top.absolute("forgetCompileCache"),
        system_call_filter=top.absolute("systemCallFilter"),
        sandbox=_sandbox(top.table("sandbox")),
        tools=_tools(top.table("tools")),
    )
    top.finish()
    return policy


def _tools(table: dict[str, Any]) -> Tools:
    entry = _Table(table, "tools")
    names: tuple[str, ...] = Tools._fields  # type: ignore[attr-defined]
    tools = Tools(*(entry.absolute(name.replace("_", "-")) for name in names))
    entry.finish()
    return tools


def _sandbox(table: dict[str, Any]) -> Sandbox:
    entry = _Table(table, "sandbox")
    sandbox = Sandbox(
        protected_paths=entry.texts("protectedPaths"),
        hidden_paths=entry.texts("hiddenPaths"),
        read_only_paths=entry.places("readOnlyPaths"),
        read_write_paths=entry.places("readWritePaths"),
        properties=entry.texts("properties"),
        network=entry.one_of("network", NETWORKS),
        deny_addresses=entry.texts("denyAddresses"),
        allow_addresses=entry.texts("allowAddresses"),
        nix_daemon=entry.boolean("nixDaemon"),
        on_self_running=entry.one_of("onSelfRunning", ON_SELF_RUNNING),
    )
    entry.finish()
    return sandbox


def _host_user(content: bytes, name: str) -> HostUser:
    entry = _Table(json_reader.loads(content), f"hostUsers.{name}")
    user = HostUser(
        agent_user=entry.text("agentUser"),
        agent_group=entry.text("agentGroup"),
        project_roots=entry.places("projectRoots", home=True),
        config_path=entry.text("configPath"),
    )
    entry.finish()
    return user


class _Table:
    """A JSON object being parsed. Each key is taken once, with its type checked, and no key may remain."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        self._left: dict[str, Any] = dict(value)
        self._where = where

    def take(self, key: str) -> Any:
        if key not in self._left:
            raise ValueError(f"{self._where}.{key} is missing")
        return self._left.pop(key)

    def finish(self) -> None:
        if self._left:
            raise ValueError(f"{self._where} has unknown keys: {', '.join(sorted(self._left))}")

    def table(self, key: str) -> dict[str, Any]:
        value = self.take(key)
        if not isinstance(value, dict):
            raise ValueError(f"{self._where}.{key} is not an object")
        return value

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError(f"{self._where}.{key} is not a non-empty string")
        return value

    def one_of(self, key: str, known: Sequence[str]) -> str:
        value = self.text(key)
        if value not in known:
            raise ValueError(f"{self._where}.{key} is {value!r}, not one of {', '.join(known)}")
        return value

    def is_null(self, key: str) -> bool:
        """Whether the key has no value; takes it then."""
        return self._left.get(key, "") is None and self.take(key) is None

    def optional_text(self, key: str) -> str | None:
        return None if self.is_null(key) else self.text(key)

    def absolute(self, key: str) -> str:
        value = self.text(key)
        if not value.startswith("/"):
            raise ValueError(f"{self._where}.{key} is not an absolute path")
        return value

    def boolean(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise ValueError(f"{self._where}.{key} is not true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise ValueError(f"{self._where}.{key} is not a list of strings")
        return tuple(value)

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        return None if self.is_null(key) else self.texts(key)

    def places(self, key: str, *, home: bool = False) -> tuple[str, ...]:
        """Absolute paths. With home, also paths that begin with the user's `~`."""
        value = self.texts(key)
        for path in value:
            if not (path.startswith("/") or (home and (path == "~" or path.startswith("~/")))):
                raise ValueError(f"{self._where}.{key} has a path that is not absolute: {path!r}")
        return value

    def texts_by_name(self, key: str) -> dict[str, str]:
        value = self.table(key)
        if not all(isinstance(item, str) and "\0" not in item for item in value.values()):
            raise ValueError(f"{self._where}.{key} does not map names to strings")
        return value

    def places_by_name(self, key: str) -> dict[str, str]:
        """Absolute paths by name."""
        value = self.texts_by_name(key)
        for name, path in value.items():
            if not path.startswith("/"):
                raise ValueError(f"{self._where}.{key}.{name} is not an absolute path: {path!r}")
        return value
