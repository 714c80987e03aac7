# Who may run the agent, and in which projects.
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;
  inherit (lib) literalExpression mkOption types;

  hostUser =
    { name, config, ... }:
    {
      options = {
        agentUser = mkOption {
          type = types.str;
          default = "${cfg.user}-${name}";
          defaultText = literalExpression ''"''${config.m3ta.pi-agent.user}-<name>"'';
          description = ''
            Account that this user's agents run as, and nobody else's. It owns
            nothing on disk: project files belong to the host user, and the
            agent's state to {option}`m3ta.pi-agent.user`. Each session sees both
            with their owners mapped.

            Where this is the only host user, it may be
            {option}`m3ta.pi-agent.user` itself. The agent then owns its state on
            disk and the directories above it.
          '';
        };

        agentGroup = mkOption {
          type = types.str;
          default = if config.agentUser == cfg.user then cfg.group else "${cfg.user}-${name}";
          defaultText = literalExpression ''"''${config.m3ta.pi-agent.user}-<name>"'';
          description = ''
            Primary group of {option}`agentUser`, and of no other account.
          '';
        };

        projectRoots = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [
            "~/projects"
            "/srv/shared"
          ];
          description = ''
            Directories in or below which this user may start the agent. The
            innermost one that contains the working directory is mounted whole, at
            its own path; nothing beside it is. `~` and `~/x` are relative to the
            user's home. At least one directory is required.
          '';
        };

        configPath = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = ".config/pi";
          description = ''
            Directory with this user's own Pi configuration, copied into the
            isolated state at each start. A relative path starts at the user's home.
            `null` means {option}`m3ta.pi-agent.wrapper.hostConfigPath`.
          '';
        };
      };
    };
in
{
  options.m3ta.pi-agent.hostUsers = mkOption {
    type = types.attrsOf (types.submodule hostUser);
    default = { };
    example = literalExpression ''
      {
        alice.projectRoots = [ "~/projects" "/srv/shared" ];
        bob = {
          projectRoots = [ "~/work" ];
          configPath = ".config/pi";
        };
      }
    '';
    description = ''
      Users of this host who may run the agent, by name. Each may call the
      runner as root through sudo without a password, and nothing else. The
      runner decides from this configuration alone what the agent may see. The
      sudo rule comes after those of `security.sudo.extraRules`, because sudo
      takes the last one that matches; a rule in `security.sudo.extraConfig`
      comes later still.
    '';
  };
}
