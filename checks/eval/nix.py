"""Nix, and other programs, as the checks run them."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .expect import CheckFailedError

PROJECT: Final = Path(__file__).resolve().parents[2]
SYSTEM: Final = f"{platform.machine()}-linux"
# The `pkgs` of the stand-in, as a Nix expression.
STAND_IN: Final = "import ./checks/nixpkgs { }"

NIX: Final = (
    "nix",
    "--extra-experimental-features",
    "nix-command flakes",
    # Building during evaluation is slow, and impossible where evaluation runs on another machine.
    "--option",
    "allow-import-from-derivation",
    "false",
    # Everything is built here, from the programs of this machine.
    "--option",
    "substituters",
    "",
    "--option",
    "sandbox",
    "false",
)
FLAKE: Final = f"path:{PROJECT}"
FLAKE_OPTIONS: Final = (
    "--override-input",
    "nixpkgs",
    f"path:{PROJECT / 'checks' / 'nixpkgs'}",
    "--no-write-lock-file",
)


@dataclass(frozen=True)
class Ran:
    """A finished process: its exit status and what it printed."""

    status: int
    output: str
    errors: str


def run(*argv: str, environment: Mapping[str, str] | None = None, directory: Path = PROJECT) -> Ran:
    """Run a program to its end, with an empty standard input. environment: None passes ours on."""
    done = subprocess.run(
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def nix(*arguments: str) -> str:
    """The output of a nix command. Raises CheckFailedError with what it printed on errors."""
    ran = run(*NIX, *arguments)
    if ran.status != 0:
        _, _, error = ran.errors.rpartition("\nerror:")
        raise CheckFailedError(f"nix {' '.join(arguments)}\n{(error or ran.errors).strip()}")
    return ran.output


def evaluate(expression: str) -> Any:
    """The value of a Nix expression. Relative paths start at the project. Raises CheckFailedError."""
    return json.loads(nix("eval", "--json", "--impure", "--expr", expression))


def build(expression: str) -> Path:
    """Build a derivation and return its path. Raises CheckFailedError."""
    return Path(nix("build", "--impure", "--no-link", "--print-out-paths", "--expr", expression).strip())


def build_failure(expression: str) -> str:
    """What a build that must fail prints on errors. Raises CheckFailedError if it succeeds."""
    ran = run(*NIX, "build", "--impure", "--no-link", "--print-build-logs", "--expr", expression)
    if ran.status == 0:
        raise CheckFailedError("the build should have failed, but succeeded")
    return ran.errors


def flake_value(output: str, function: str) -> Any:
    """The value of a Nix function of one of the flake's outputs. Raises CheckFailedError."""
    return json.loads(nix("eval", "--json", f"{FLAKE}#{output}", "--apply", function, *FLAKE_OPTIONS))


def flake_build(package: str) -> Path:
    """Build one of the flake's packages and return its path. Raises CheckFailedError."""
    return Path(nix("build", "--no-link", "--print-out-paths", f"{FLAKE}#{package}", *FLAKE_OPTIONS).strip())


def path_expression(path: str | Path) -> str:
    """A Nix expression for a path, whatever characters it has."""
    return "(/. + " + json.dumps(str(Path(path).resolve())) + ")"
