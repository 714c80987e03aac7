# What is wrong with an environment variable: each function returns the end of a sentence, or null.
{ lib }:
let
  inherit (import ./predicates.nix { inherit lib; }) hasControlCharacter;
in
{
  name =
    name:
    if builtins.match "[A-Za-z_][A-Za-z0-9_]*" name == null then
      "is not a valid variable name; use letters, digits and `_`, and do not start with a digit."
    else
      null;

  value =
    value:
    if hasControlCharacter (builtins.replaceStrings [ "\t" ] [ " " ] value) then
      "contains a newline or another control character, which an environment file cannot hold; put multi-line values in a file and set the variable to its path."
    else
      null;
}
