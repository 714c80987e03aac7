"""The flake, and the same without flakes."""

from __future__ import annotations

import json
from typing import Final

from .expect import contains, same
from .nix import PROJECT, STAND_IN, SYSTEM, build, flake_build, flake_value


def check_flake_outputs() -> None:
    """Every output of the flake can be evaluated for this system."""
    wanted = {
        "packages": ["default", "policy", "runner", "wrapper"],
        "checks": ["eval", "runner", "wrapper"],
        "devShells": ["default"],
    }
    names_if_evaluated = "value: map (name: builtins.seq value.${name}.drvPath name) (builtins.attrNames value)"
    for output, names in wanted.items():
        same(names, flake_value(f"{output}.{SYSTEM}", names_if_evaluated))
    contains(flake_value(f"formatter.{SYSTEM}", "value: value.drvPath"), "nixfmt")
    same("path", flake_value("nixosModules.default", "builtins.typeOf"))


def check_lock() -> None:
    """flake.lock pins the input that flake.nix names."""
    lock = json.loads((PROJECT / "flake.lock").read_text())
    original = lock["nodes"]["nixpkgs"]["original"]
    contains((PROJECT / "flake.nix").read_text(), f'"github:{original["owner"]}/{original["repo"]}/{original["ref"]}"')


def check_with_and_without_flakes() -> None:
    """default.nix builds the same programs as the flake."""
    for output in ("policy", "runner", "wrapper"):
        same(str(flake_build(output)), str(build(f"(import ./default.nix {{ pkgs = {STAND_IN}; }}).{output}")))


CHECKS: Final = (check_flake_outputs, check_lock, check_with_and_without_flakes)
