"""How the built programs start."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from .expect import CheckFailedError, same
from .nix import flake_build, run

PROGRAMS: Final = (("runner", "m3ta-pi-agent-runner"), ("wrapper", "pi"))
# A caller that has nothing but a PATH.
CALLER: Final = {"PATH": "/usr/bin:/bin"}


def check_programs_start() -> None:
    """Without a caller both programs refuse, with a message and without a traceback."""
    for package, name in PROGRAMS:
        program = flake_build(package) / "bin" / name
        ran = run(str(program), "hello", environment=CALLER, directory=Path("/"))
        if not 64 <= ran.status <= 78 or not ran.errors.strip() or "Traceback" in ran.errors:
            raise CheckFailedError(f"{name} ended with {ran.status} and printed:\n{ran.errors}")


def check_programs_start_through_a_link() -> None:
    """A program does the same when it is started through a symbolic link."""
    program = flake_build("runner") / "bin" / "m3ta-pi-agent-runner"
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory, "linked")
        link.symlink_to(program)
        same(run(str(program)).errors, run(str(link)).errors)


def check_environment_does_not_choose_code() -> None:
    """No variable of the caller brings modules into the programs, or makes Python print anything."""
    with tempfile.TemporaryDirectory() as directory:
        for module in ("sitecustomize", "usercustomize", "orjson", "pi_agent"):
            Path(directory, f"{module}.py").write_text("print('code of the caller')\n")
        environment = {
            **CALLER,
            "PYTHONPATH": directory,
            "PYTHONHOME": directory,
            "PYTHONUSERBASE": directory,
            "PYTHONSTARTUP": f"{directory}/orjson.py",
            "PYTHONINSPECT": "1",
            "PYTHONVERBOSE": "1",
            "PYTHONPLATLIBDIR": directory,
        }
        for package, name in PROGRAMS:
            program = str(flake_build(package) / "bin" / name)
            clean = run(program, environment=CALLER, directory=Path(directory))
            poisoned = run(program, environment=environment, directory=Path(directory))
            same([clean.status, clean.output, clean.errors], [poisoned.status, poisoned.output, poisoned.errors])


CHECKS: Final = (
    check_programs_start,
    check_programs_start_through_a_link,
    check_environment_does_not_choose_code,
)
