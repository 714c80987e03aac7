# The system directories that every session sees are mounted once for each system: at boot, and when
# `nixos-rebuild switch` changes /run/current-system. A launch that finds none starts the service itself.
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;
  # Not pi-agent-…: that is how sessions are named.
  name = "m3ta-pi-agent-root";
in
{
  config.systemd = lib.mkIf cfg.enable {
    services.${name} = {
      description = "System directories for sessions of the Pi coding agent";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = lib.getExe cfg.build.prepareRoot;
      };
    };
    paths.${name} = {
      description = "Another system, for sessions of the Pi coding agent";
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = "/run/current-system";
    };
  };
}
