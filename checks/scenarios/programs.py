"""The runner and the wrapper as they are under another policy than the one they were built with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scenarios.guest import Json

USERS: Final = 1000
ROOTS: Final = 100


def wrapped(program: str) -> Path:
    """The Python script behind a program."""
    return next(Path(program).parent.glob(".*-wrapped"))


def under(
    facts: Mapping[str, str], which: str, folder: Path, policy: Json, more: Mapping[str, str] | None = None
) -> Path:
    """Write the policy, and the program that reads it, into folder and return the program.

    facts: of a variant (guest.FACTS). which: `runner` or `wrapper`. more: further text to replace in the program.
    """
    document, program = folder / "policy.json", folder / which
    document.write_text(json.dumps(policy), encoding="utf-8")
    text = wrapped(facts[which]).read_text(encoding="utf-8")
    for old, new in {facts["policy"]: str(document), **(more or {})}.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def of_a_large_company(policy: Json, user: str, root: str) -> dict[str, Any]:
    """The policy with a thousand more users and a hundred roots for each; root is the last of everybody's."""
    roots = [*(f"/srv/none/{number}" for number in range(ROOTS - 1)), root]
    others = {f"user{number}": {"projectRoots": roots, "configPath": ".pi/agent"} for number in range(USERS)}
    known = policy["hostUsers"]
    return {**policy, "hostUsers": {**known, **others, user: {**known[user], "projectRoots": roots}}}
