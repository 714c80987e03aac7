"""The example configuration with some settings, as a Nix expression."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """
let
  pkgs = import ./checks/nixpkgs {{ }};
  packageWith = names: pkgs.runCommandLocal "some-package" {{ }} ''
    mkdir -p $out/bin
    for name in ${{toString names}}; do printf '#!/bin/sh\\necho "$0"\\n' >$out/bin/$name; chmod +x $out/bin/$name; done
    echo not executable >$out/bin/readme
  '';
in
(pkgs.nixos [
  ./module.nix
  ./checks/example.nix
  {{ m3ta.pi-agent = {settings}; }}
]).config.{value}
"""


def config(settings: str, value: str) -> str:
    """An expression for a value of the example's configuration.

    settings: a Nix expression for m3ta.pi-agent; in it, `packageWith [ "a" ]` is a package with a program `a`.
    """
    return EXAMPLE.format(settings=settings, value=value)


def built(settings: str, output: str) -> str:
    """An expression for one of the packages that the module builds: policy, runner or wrapper."""
    return config(settings, f"m3ta.pi-agent.build.{output}")
