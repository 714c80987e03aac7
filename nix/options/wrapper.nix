# The command that host users type, and what it passes on.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.m3ta.pi-agent.wrapper = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to install the command that starts the isolated agent, and the
        sudo rule that it needs. If `false`, nobody can start the isolated
        agent, and {option}`m3ta.pi-agent.package` itself is installed instead.
      '';
    };

    commandName = mkOption {
      type = types.str;
      default = "pi";
      description = "Name of the command that host users type.";
    };

    runnerName = mkOption {
      type = types.str;
      default = "m3ta-pi-agent-runner";
      description = "Name of the program that sudo runs as root. It is not on the host's `PATH`.";
    };

    hideDirectBinary = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to keep {option}`m3ta.pi-agent.package` off the host's `PATH`,
        so that nobody starts Pi outside the sandbox by accident. If `false`,
        the package is installed beside the wrapper.
      '';
    };

    syncConfigFromHost = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to sync the host user's Pi configuration, and the skills in
        `~/.agents`, into the isolated state at each start. If `false`, the
        agent has only {option}`m3ta.pi-agent.settings` and what Pi wrote itself.
      '';
    };

    hostConfigPath = mkOption {
      type = types.str;
      default = ".pi/agent";
      description = ''
        Directory with a host user's Pi configuration, where
        {option}`m3ta.pi-agent.hostUsers.<name>.configPath` is `null`. A
        relative path starts at the user's home.
      '';
    };

    extraRunArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "--model"
        "sonnet"
      ];
      description = "Arguments for Pi that come before those the user types.";
    };

    extraEnvironment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        PI_SKIP_VERSION_CHECK = "1";
      };
      description = ''
        Environment variables for the agent that override everything in
        {file}`.pi/.env`. Values are literal and fit on one line. They end up in
        the world-readable Nix store: do not put secrets here.
      '';
    };
  };
}
