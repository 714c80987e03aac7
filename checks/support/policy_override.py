"""The runner and the wrapper under another policy than the one they were built with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final

from support.commands import Word
from support.installed import Json

# Roots that hold nobody: a hundred, together with ~/p.
ELSEWHERE: Final = tuple(f"/srv/none/{number}" for number in range(99))


def wrapped(program: Word) -> Path:
    """The Python script behind a program."""
    return next(Path(os.fsdecode(program)).resolve().parent.glob(".*-wrapped"))


def under(
    facts: Mapping[str, str], which: str, folder: Path, policy: Json, more: Mapping[str, str] | None = None
) -> Path:
    """Write the policy, and the program that reads it, to folder. Returns the program.

    facts: of a variant (installed.FACTS). which: `runner` or `wrapper`. policy: in the form of installed.policy, with
    the content of the host users' files instead of their paths. more: further text to replace in the program.
    """
    document, users, program = folder / "policy.json", folder / "users", folder / which
    users.mkdir(exist_ok=True)
    files = {name: users / name for name in policy["hostUsers"]}
    for name, file in files.items():
        file.write_text(json.dumps(policy["hostUsers"][name]), encoding="utf-8")
    listed = {name: str(file) for name, file in files.items()}
    document.write_text(json.dumps({**policy, "hostUsers": listed}), encoding="utf-8")
    text = wrapped(facts[which]).read_text(encoding="utf-8")
    for old, new in {facts["policy"]: str(document), **(more or {})}.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def crowded(policy: Json, users: int = 1000, roots: Sequence[str] = ELSEWHERE) -> Json:
    """The policy with this number of further host users. Each of them, and alice, has these roots, and then ~/p."""
    large = deepcopy(policy)
    for name in ("alice", *(f"user{number}" for number in range(users))):
        own = large["hostUsers"].get(name) or {"agentUser": f"pi-agent-{name}", "agentGroup": f"pi-agent-{name}"}
        large["hostUsers"][name] = {**own, "projectRoots": [*roots, "~/p"], "configPath": ".pi/agent"}
    return large
