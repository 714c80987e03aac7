# The evaluation checks as one derivation, for `nix flake check`. Its evaluation fails if a case fails, and
# lists the failed cases.
{ pkgs }:
let
  inherit (pkgs) lib;
  inherit (import ./cases.nix { inherit pkgs; }) cases;
  failed = lib.filterAttrs (_: case: case.want != case.got) cases;
in
if failed == { } then
  pkgs.runCommandLocal "pi-agent-eval" { } "touch $out"
else
  throw "These evaluation checks failed:\n${
    lib.concatLines (
      lib.mapAttrsToList (
        name: case: "- ${name}\n  wanted ${builtins.toJSON case.want}\n  got    ${builtins.toJSON case.got}"
      ) failed
    )
  }"
