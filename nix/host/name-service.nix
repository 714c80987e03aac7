# A session sees the directory of the name service, /run/nscd, as it was when the session began. NixOS would remove it
# when the service stops, and a service that is restarted, as by `nixos-rebuild switch`, would be out of its reach.
# systemd-resolved keeps its directory by itself.
{ config, lib, ... }:
{
  config.systemd.services =
    lib.mkIf (config.m3ta.pi-agent.enable && config.services.nscd.enable)
      {
        nscd.serviceConfig.RuntimeDirectoryPreserve = lib.mkDefault "yes";
      };
}
