"""Policies for tests: a complete valid one, of which a test overrides only what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import orjson

from pi_agent.policy import policy_file
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import values

USER = "alice"
# Where the files of the host users would be.
FILES = "/nix/store"


def document(**overrides: Any) -> dict[str, Any]:
    """A policy as module.nix writes it, as parsed JSON, with some of its top-level keys replaced."""
    return {
        "version": 4,
        "user": "pi-agent",
        "group": "pi-agent",
        "projectGroup": None,
        "stateDir": "/var/lib/pi-agent",
        "hostUsers": {USER: f"{FILES}/{USER}"},
        "syncConfigFromHost": True,
        "settings": {},
        "environment": {},
        "environmentFiles": [],
        "extraRunArgs": [],
        "extraEnvironment": {},
        "commandName": "pi",
        "program": "/nix/store/pi/bin/pi",
        "nixPath": None,
        "path": ["/nix/store/git/bin", "/nix/store/node/bin"],
        "shell": "/nix/store/bash/bin/bash",
        "launcher": "/nix/store/pi-agent/launch.bash",
        "compileCache": "/var/cache/pi-agent-compile-cache/pi/node",
        "forgetCompileCache": "/nix/store/pi-agent/forget_compile_cache.cjs",
        "systemCallFilter": "/nix/store/pi-agent-system-call-filter",
        "sandbox": sandbox(),
        "tools": tools(),
        **overrides,
    }


def tools(**overrides: str) -> dict[str, str]:
    """The policy's table of tools. None of them exists."""
    return {
        "bash": "/nix/store/bash/bin/bash",
        "setpriv": "/nix/store/util-linux/bin/setpriv",
        "setsid": "/nix/store/util-linux/bin/setsid",
        "systemctl": "/nix/store/systemd/bin/systemctl",
        "systemd-run": "/nix/store/systemd/bin/systemd-run",
        "sudo": "/run/wrappers/bin/sudo",
        "git": "/nix/store/git/bin/git",
        **overrides,
    }


def sandbox(**overrides: Any) -> dict[str, Any]:
    """The policy's table of sandbox options, with everything off that can be."""
    return {
        "protectedPaths": [],
        "hiddenPaths": [],
        "readOnlyPaths": [],
        "readWritePaths": [],
        "properties": [],
        "network": "full",
        "denyAddresses": ["link-local"],
        "allowAddresses": [],
        "nixDaemon": True,
        "onSelfRunning": "ask",
        **overrides,
    }


def host_user(*roots: str, config_path: str = ".pi/agent", agent_user: str = f"pi-agent-{USER}") -> dict[str, Any]:
    """An entry of hostUsers."""
    return {
        "agentUser": agent_user,
        "agentGroup": agent_user,
        "projectRoots": list(roots),
        "configPath": config_path,
    }


def frozen(**overrides: Any) -> Policy:
    """The parsed policy that `document` describes. hostUsers: the entries, if others than USER's are wanted."""
    entries = overrides.get("hostUsers", {USER: host_user("~/projects")})
    files = {f"{FILES}/{name}": orjson.dumps(entry) for name, entry in entries.items()}
    listed = {name: f"{FILES}/{name}" for name in entries}
    return policy_file.parse(orjson.dumps(document(**{**overrides, "hostUsers": listed})), files.__getitem__)


def written(folder: Path, **overrides: Any) -> Path:
    """The same as files in folder. Returns the path of the policy."""
    listed = {}
    for name, entry in overrides.pop("hostUsers", {USER: host_user("~/projects")}).items():
        file = folder / f"{name}.json"
        file.write_bytes(orjson.dumps(entry))
        listed[name] = str(file)
    top = folder / "policy.json"
    top.write_bytes(orjson.dumps(document(**overrides, hostUsers=listed)))
    return top


_T = TypeVar("_T")


def replaced(value: _T, **news: object) -> _T:
    """The record with other values, as from dataclasses.replace."""
    names = type(value)._fields  # type: ignore[attr-defined]
    return type(value)(**{**dict(zip(names, values(value), strict=True)), **news})
