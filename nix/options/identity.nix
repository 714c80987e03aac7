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
      description = ''
        Owner of {option}`m3ta.pi-agent.stateDir` and of all state in it. Agents
        run as accounts of their own,
        {option}`m3ta.pi-agent.hostUsers.<name>.agentUser`, so none of them can
        reach the state of another.
      '';
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
        Whether to create {option}`m3ta.pi-agent.user`,
        {option}`m3ta.pi-agent.group`, and the {option}`agentUser` and
        {option}`agentGroup` of every host user.

        If `false`, create them yourself. The owner and every agent's account
        have {option}`m3ta.pi-agent.stateDir` as their home, and only the owner
        may have `createHome`: otherwise NixOS gives the directory to an agent.
        Each {option}`agentGroup` is the primary group of its agent alone. Let
        the agents' accounts be expired
        (`users.users.<name>.expires = "2000-01-01"`), as the module does:
        sessions need no login, and without one no service manager or job of
        theirs ever runs outside a session.
      '';
    };

    stateDir = mkOption {
      type = types.str;
      default = "/var/lib/pi-agent";
      description = ''
        Home of {option}`m3ta.pi-agent.user`, an absolute path. Each host user's
        agent has a state tree of its own below it, {file}`users/<name>`, and
        sees only that tree, at this path: the sessions, tokens and settings of
        one host user are not visible to another host user's agent. The file
        system must support ID-mapped mounts: ext4 and XFS do from Linux 5.12
        on, Btrfs from 5.15, tmpfs from 6.3, and ZFS from 2.2. What sync remembers is kept beside it, in a directory of
        root's with the suffix `-sync`: back up or persist both.
      '';
    };

    projectGroup = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "developers";
      description = ''
        An existing group that every agent's account joins and that every
        session has as a supplementary group, for project files shared by a
        group. The host user's own files need no group: the project root is
        mounted with its owner mapped to the agent.
      '';
    };
  };
}
