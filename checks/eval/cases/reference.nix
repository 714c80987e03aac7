# docs/options.md. Its text also holds every option's type, default and description.
{
  case,
  lib,
  options,
  ...
}:
{
  "docs/options.md is what the module says (else: make docs)" = case true (
    builtins.readFile ../../../docs/options.md
    == import ../reference.nix {
      inherit lib;
      options = options.m3ta.pi-agent;
    }
  );
}
