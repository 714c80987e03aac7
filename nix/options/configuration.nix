# Pi's settings and environment.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.m3ta.pi-agent = {
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = {
        defaultProvider = "anthropic";
        compaction.enabled = true;
      };
      description = ''
        Settings for Pi's {file}`settings.json`. They override the settings
        synced from the host user and those that Pi wrote itself. Objects merge
        recursively; every other value replaces. They end up in the
        world-readable Nix store: do not put secrets here.
      '';
    };

    environment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        PI_OFFLINE = "1";
      };
      description = ''
        Environment variables for the agent, appended to {file}`.pi/.env` after
        those synced from the host user; the later one wins. Values are literal
        and fit on one line. They end up in the world-readable Nix store: put
        secrets in {option}`m3ta.pi-agent.environmentFiles`.
      '';
    };

    environmentFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/run/secrets/pi-agent.env" ];
      description = ''
        Absolute paths of files with lines of the form `NAME=value`. Root reads
        them at each start and appends them after
        {option}`m3ta.pi-agent.environment`; the later one wins. Their content
        never enters the Nix store, a command line or a unit property. The agent
        does not start if a file is missing, or if it is in a directory that
        someone other than root can change.
      '';
    };
  };
}
