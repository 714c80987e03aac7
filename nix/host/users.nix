# The owner of the state, and the accounts that agents run as.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.m3ta.pi-agent;
  agents = (import ../agents.nix { inherit lib; }).of cfg;
  # NixOS refuses the others as well, in other words, and sooner: ../assertions.nix is to say what is wrong.
  isAccount = name: (import ../mistakes/names.nix).account name == null;
  areAccounts = account: isAccount account.user && isAccount account.group;

  system = account: {
    isSystemUser = true;
    inherit (account) group;
    description = "Isolated Pi agent user";
    home = cfg.stateDir;
    shell = pkgs.bashInteractive;
  };

  expired = "2000-01-01";

  # Activation makes the home of each account its own: only the owner's is made.
  owner = system cfg // {
    createHome = true;
    # The same mode as in directories.nix; otherwise the two would change it in turn.
    homeMode = "0750";
  };

  make = cfg.enable && cfg.createUser;
  made = lib.filter areAccounts agents;
in
{
  config.users = lib.mkIf make (
    lib.mkMerge (
      lib.optional (areAccounts cfg) {
        groups.${cfg.group} = { };
        users.${cfg.user} = owner;
      }
      ++ map (agent: {
        groups.${agent.group} = { };
        users.${agent.user} = lib.mkMerge [
          (lib.mkIf (agent.user != cfg.user) (system agent))
          {
            extraGroups = lib.optional (cfg.projectGroup != null) cfg.projectGroup;
            # No login, and no service manager of the agent's own on the host. systemd-logind would start one for
            # every user who asks to linger, and an agent can ask through a socket that its host user passes in.
            expires = lib.mkDefault expired;
          }
        ];
      }) made
    )
  );
}
