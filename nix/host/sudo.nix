# Host users may run the runner as root, without a password. Nothing else is allowed here.
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;
  command = "${cfg.build.runner}/bin/${cfg.wrapper.runnerName}";
  rules = [
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
  terminalVariables = lib.concatLists (lib.attrValues (import ../shared.nix).terminalVariables);
in
{
  config.security = lib.mkIf cfg.enable {
    sudo.extraRules = rules;
    # sudo and PAM would log each prompt that is passed as an argument; the runner logs each launch itself,
    # without its arguments. sudo would also drop the variables that describe the terminal.
    sudo.extraConfig = ''
      Defaults!${command} !log_allowed, !pam_session
      Defaults!${command} env_keep += "${builtins.concatStringsSep " " terminalVariables}"
    '';
    sudo-rs.extraRules = lib.mkIf config.security.sudo-rs.enable rules;
  };
}
