# The account that agents run as.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.m3ta.pi-agent;
  # NixOS refuses the others as well, in other words, and sooner: ../assertions.nix is to say what is wrong.
  isAccount = name: (import ../mistakes/names.nix).account name == null;
in
{
  config.users = lib.mkIf (cfg.enable && cfg.createUser && isAccount cfg.user && isAccount cfg.group) {
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
