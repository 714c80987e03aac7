"""The built policy."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from .example import built
from .expect import CheckFailedError, contains, same
from .nix import build, flake_build, run
from .programs import runner_python


def check_secrets_stay_out() -> None:
    """The content of an environment file is not in the policy, and is not read."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "secret.env")
        file.write_text("TOKEN=not-for-the-store\n")
        settings = f"{{ environmentFiles = [ {json.dumps(str(file))} ]; }}"
        policy = build(built(settings, "policy")).read_text()
        contains(policy, str(file))
        if "not-for-the-store" in policy:
            raise CheckFailedError("the policy contains a secret")
        file.unlink()
        same(policy, build(built(settings, "policy")).read_text())


def check_policy_is_understood() -> None:
    """The programs read the policy that the module writes, with no key missing and none unknown."""
    code = (
        "import sys; from pi_agent.policy import policy_file; frozen = policy_file.load(sys.argv[1]); "
        "print(frozen.program, *frozen.host_users['alice'].project_roots)"
    )
    file = flake_build("policy")
    ran = run(runner_python(), "-I", "-c", code, str(file))
    expected = [json.loads(file.read_text())["program"], "~/projects"]
    same([0, expected, ""], [ran.status, ran.output.split(), ran.errors])


CHECKS: Final = (check_secrets_stay_out, check_policy_is_understood)
