# Definitions of several modules: see ../configurations/merged.nix.
{
  ask,
  case,
  configs,
  lib,
  options,
  ...
}:
let
  policy = ask.policy configs.merged;
  inherit (options.m3ta.pi-agent) sandbox;
in
{
  "definitions of several modules merge" =
    case
      {
        roots = [
          "~/p"
          "/srv/x"
        ];
        settings = {
          a = 1;
          nested = {
            b = 2;
            c = 3;
          };
        };
        args = [ "--forced" ];
        command = "agent";
      }
      {
        roots = policy.hostUsers.alice.projectRoots;
        inherit (policy) settings;
        args = policy.extraRunArgs;
        command = policy.commandName;
      };
  "properties of several modules merge, after the module's own" = case [
    "MemoryMax=75%"
    "MemorySwapMax=1G"
    "TasksMax=4096"
    "CPUWeight=100"
    "OOMPolicy=kill"
    "SystemCallFilter=@mount"
    "SystemCallFilter=pivot_root"
    "TasksMax=infinity"
  ] policy.sandbox.properties;
}
// lib.concatMapAttrs (name: option: {
  "${name}: a module can add to the default" = case (
    option.default ++ [ "more" ]
  ) policy.sandbox.${name};
}) { inherit (sandbox) protectedPaths hiddenPaths; }
