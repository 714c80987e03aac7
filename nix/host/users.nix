# The account that agents run as.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.m3ta.pi-agent;
in
{
  config.users = lib.mkIf (cfg.enable && cfg.createUser) {
    groups.${cfg.group} = { };
    users.${cfg.user} = {
      isSystemUser = true;
      inherit (cfg) group;
      extraGroups = lib.optional (cfg.projectGroup != null) cfg.projectGroup;
      description = "Isolated Pi agent user";
      home = cfg.stateDir;
      createHome = true;
      # The same mode as in directories.nix; otherwise the two would change it in turn.
      homeMode = "0750";
      shell = pkgs.bashInteractive;
    };
  };
}
