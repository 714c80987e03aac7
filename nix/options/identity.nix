# Which account the agent runs as, and where its state is.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.m3ta.pi-agent = {
    user = mkOption {
      type = types.str;
      default = "pi-agent";
      description = "User that every agent runs as.";
    };

    group = mkOption {
      type = types.str;
      default = "pi-agent";
      description = "Primary group of {option}`m3ta.pi-agent.user`.";
    };

    createUser = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to create {option}`m3ta.pi-agent.user` and
        {option}`m3ta.pi-agent.group`. If `false`, both must already exist, and
        {option}`m3ta.pi-agent.stateDir` must be the user's home.
      '';
    };

    stateDir = mkOption {
      type = types.str;
      default = "/var/lib/pi-agent";
      description = ''
        Home of {option}`m3ta.pi-agent.user`, an absolute path. Each host user's
        agent has a state tree of its own below it, {file}`users/<name>`, and
        sees only that tree, at this path: the sessions, tokens and settings of
        one host user are not visible to another host user's agent.
      '';
    };

    projectGroup = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "developers";
      description = ''
        An existing group that {option}`m3ta.pi-agent.user` joins and that every
        session has as a supplementary group, for project files shared by a
        group. The host user's own files need no group: the project root is
        mounted with its owner mapped to the agent.
      '';
    };
  };
}
