"""The recipes in README.md."""

from __future__ import annotations

import re
from typing import Final

from .expect import CheckFailedError, contains
from .nix import PROJECT, build, build_failure

# A recipe as a module. Options of other modules that a recipe uses exist in name only.
RECIPE: Final = """
((import ./checks/nixpkgs {{ }}).nixos [
  ./module.nix
  ./checks/example.nix
  {{ users.users.alice.isNormalUser = true; users.users.bob.isNormalUser = true; }}
  ({{ lib, ... }}: {{
    options.age = lib.mkOption {{ type = lib.types.attrsOf lib.types.anything; }};
    options.sops = lib.mkOption {{ type = lib.types.attrsOf lib.types.anything; }};
    config.age.secrets.pi-agent.path = "/run/agenix/pi-agent";
    config.sops.secrets."pi-agent.env".path = "/run/secrets/pi-agent.env";
  }})
  ({{ config, ... }}: {{ {recipe} }})
]).config.m3ta.pi-agent.build.policy
"""
FEWEST: Final = 8


def recipes() -> list[str]:
    """The Nix code blocks in README.md's cookbook."""
    section = (PROJECT / "README.md").read_text(encoding="utf-8").partition("\n## Policy cookbook\n")[2]
    return re.findall(r"^```nix\n(.*?)^```$", section.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)


def check_cookbook() -> None:
    """Every recipe in README.md's cookbook changes the policy."""
    plain = build(RECIPE.format(recipe="")).read_text()
    found = recipes()
    if len(found) < FEWEST:
        raise CheckFailedError(f"README.md's cookbook has {len(found)} recipes")
    for recipe in found:
        if build(RECIPE.format(recipe=recipe)).read_text() == plain:
            raise CheckFailedError(f"this recipe changes nothing:\n{recipe}")
    contains(build_failure(RECIPE.format(recipe=found[0].replace("hostUsers", "hostUser"))), "hostUser")


CHECKS: Final = (check_cookbook,)
