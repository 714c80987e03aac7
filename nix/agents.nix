# The accounts that agents run as: one for each host user.
{ lib }:
{
  # cfg: m3ta.pi-agent. Each has hostUser, user and group.
  of =
    cfg:
    lib.mapAttrsToList (hostUser: options: {
      inherit hostUser;
      user = options.agentUser;
      group = options.agentGroup;
    }) cfg.hostUsers;
}
