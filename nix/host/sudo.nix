# Host users may run the runner as root, without a password. Nothing else is allowed here, and nothing at all
# where there is no command that would call the runner.
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;
  inherit (config.security) sudo-rs;

  command = "${cfg.build.runner}/bin/${cfg.wrapper.runnerName}";
  # sudo takes the last rule that matches: after an administrator's own, also those with mkAfter (1500).
  rules = lib.mkOrder 2000 [
    {
      users = lib.attrNames cfg.hostUsers;
      runAs = "root";
      commands = [
        {
          inherit command;
          options = [ "NOPASSWD" ];
        }
      ];
    }
  ];

  defaults = settings: "Defaults!${command} ${settings}\n";
  # sudo would drop the variables that describe the terminal.
  keepTerminal = defaults ''env_keep += "${builtins.concatStringsSep " " terminalVariables}"'';
  terminalVariables = lib.concatLists (lib.attrValues (import ../shared.nix).terminalVariables);
  # sudo and PAM would log each prompt that is passed as an argument; the runner logs each launch itself,
  # without its arguments. sudo-rs cannot do without PAM's messages: see ../warnings.nix.
  logNothing = "!log_allowed";
  sudoRsHas = lib.versionAtLeast (lib.getVersion sudo-rs.package);
in
{
  config.security = lib.mkIf (cfg.enable && cfg.wrapper.enable && cfg.hostUsers != { }) {
    sudo.extraRules = rules;
    sudo.extraConfig = defaults "${logNothing}, !pam_session" + keepTerminal;

    # sudo-rs takes a setting that it does not know for a syntax error.
    sudo-rs = lib.mkIf sudo-rs.enable {
      extraRules = rules;
      extraConfig =
        lib.optionalString (sudoRsHas "0.2.4") keepTerminal
        + lib.optionalString (sudoRsHas "0.2.15") (defaults logNothing);
    };
  };
}
