# The frozen policy, and the programs that read it: all that they will ever know of this configuration.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.m3ta.pi-agent;
  inherit (cfg) sandbox;
  inherit (sandbox) resources;

  hostUser = user: {
    inherit (user) agentUser agentGroup projectRoots;
    # A relative path already starts at the home.
    configPath = lib.removePrefix "~/" (
      if user.configPath == null then cfg.wrapper.hostConfigPath else user.configPath
    );
  };

  # What <name> means in a Nix expression: on NixOS, login shells alone get it. Where it is empty, NixOS says so,
  # or Nix would have a default of its own.
  nixPath = if config.nix.enable then config.nix.nixPath else null;

  # In the order in which they are set: if a property has two values, the later one wins.
  properties = [
    "MemoryMax=${resources.memoryMax}"
    "MemorySwapMax=${resources.memorySwapMax}"
    "TasksMax=${toString resources.tasksMax}"
    "CPUWeight=${toString resources.cpuWeight}"
    # When a session runs out of memory, all of it ends.
    "OOMPolicy=kill"
  ]
  ++ (import ./unit-properties.nix { inherit lib; }).lines sandbox.properties;
in
{
  config.m3ta.pi-agent.build = import ../default.nix {
    inherit pkgs;
    frozen = {
      inherit (cfg) package binaryName extraPackages;
      inherit (cfg.wrapper) runnerName;
      systemd = config.systemd.package;
      sudo = "${config.security.wrapperDir}/sudo";
      policy = {
        inherit nixPath;
        inherit (cfg)
          user
          group
          projectGroup
          stateDir
          settings
          environment
          environmentFiles
          ;
        inherit (cfg.wrapper)
          commandName
          syncConfigFromHost
          extraRunArgs
          extraEnvironment
          ;
        hostUsers = lib.mapAttrs (_: hostUser) cfg.hostUsers;
        sandbox = {
          inherit (sandbox)
            protectedPaths
            hiddenPaths
            readOnlyPaths
            readWritePaths
            network
            denyAddresses
            allowAddresses
            nixDaemon
            onSelfRunning
            ;
          inherit properties;
        };
      };
    };
  };
}
