# The default lists.
{
  ask,
  case,
  configs,
  lib,
  options,
  ...
}:
let
  inherit (options.m3ta.pi-agent) sandbox;
in
{
  "protectedPaths: the default leaves out what any build edits" = case [ ] (
    lib.filter (path: lib.elem path sandbox.protectedPaths.default) [
      ".env"
      ".git"
      ".gitignore"
      "Makefile"
      "flake.nix"
      "package.json"
    ]
  );
  "the defaults pass their own checks" = case [ ] (ask.complaints configs.base);
}
// lib.concatMapAttrs (name: option: {
  "${name}: the default has no duplicates" = case (lib.unique option.default) option.default;
}) { inherit (sandbox) protectedPaths hiddenPaths denyAddresses; }
