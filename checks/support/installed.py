"""What is installed on the machine under test: variants of the module, their policies, people and paths.

All knowledge of the machine comes from /etc/pi-agent-checks.json. `variants` maps the name of a command to its policy,
runner and wrapper; `model` is the address of the scripted model; `probe` is the program that most variants run instead
of Pi; `sudo` is sudo.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]
FACTS: Final[Json] = json.loads(Path("/etc/pi-agent-checks.json").read_text(encoding="utf-8"))
STAGING: Final = Path("/run/pi-agent")
SECRETS: Final = Path("/etc/pi-agent-secrets")
SHARED: Final = Path("/srv/shared")


def home(user: str) -> Path:
    """A user's home directory."""
    return Path(pwd.getpwnam(user).pw_dir)


def demo(user: str) -> Path:
    """The project of a user, made by fixtures."""
    return home(user) / "p" / "demo"


@cache
def policy(variant: str = "pi") -> Json:
    """The frozen policy of a variant, with the content of the host users' files instead of their paths."""
    value: Json = json.loads(Path(FACTS["variants"][variant]["policy"]).read_text(encoding="utf-8"))
    users = {name: json.loads(Path(file).read_text(encoding="utf-8")) for name, file in value["hostUsers"].items()}
    return {**value, "hostUsers": users}


@cache
def pi_package() -> Path:
    """A directory that contains the real Pi and all its modules: the one that its program is in or names."""
    program = Path(policy()["program"]).resolve()
    named = re.findall(rb"/nix/store/[0-9a-z]{32}-[^/\s\"']+", program.read_bytes())
    places = [program.parents[1], *(Path(os.fsdecode(path)) for path in named)]
    return next(place for place in places if any(place.glob("**/pi-coding-agent/dist/core/auth-storage.js")))


@cache
def agent(variant: str = "pi", user: str = "alice") -> pwd.struct_passwd:
    """The account that a user's agents run as."""
    return pwd.getpwnam(policy(variant)["hostUsers"][user]["agentUser"])


@cache
def agents() -> frozenset[int]:
    """The user IDs of all agents on this machine."""
    return frozenset(
        agent(variant, user).pw_uid for variant in FACTS["variants"] for user in policy(variant)["hostUsers"]
    )


@cache
def owner(variant: str = "pi") -> pwd.struct_passwd:
    """The owner of a variant's state on disk."""
    return pwd.getpwnam(policy(variant)["user"])


def memory(user: str, variant: str = "pi") -> Path:
    """sync's own directory for a user."""
    return Path(f"{policy(variant)['stateDir']}-sync") / user


def state(user: str, variant: str = "pi") -> Path:
    """The tree that the user's agent sees as its home."""
    return Path(policy(variant)["stateDir"]) / "users" / user


def isolated(user: str, name: str, variant: str = "pi") -> Path:
    """A file in Pi's directory inside."""
    return state(user, variant) / ".pi" / "agent" / name
