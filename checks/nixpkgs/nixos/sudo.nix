# security.sudo and security.sudo-rs: their rules, the text of sudoers(5) that becomes of them, and the setuid
# programs. The two modules of NixOS differ in nothing else that matters here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) concatStringsSep mkOption types;
  cfg = config.security;

  option =
    type: default:
    mkOption {
      inherit type default;
      description = "As in NixOS.";
    };
  required =
    type:
    mkOption {
      inherit type;
      description = "As in NixOS.";
    };
  inherit (types)
    bool
    either
    enum
    int
    lines
    listOf
    package
    path
    str
    submodule
    ;

  rules = option (listOf (submodule {
    options = {
      users = option (listOf (either str int)) [ ];
      groups = option (listOf (either str int)) [ ];
      host = option str "ALL";
      runAs = option str "ALL:ALL";
      commands = required (
        listOf (
          either str (submodule {
            options = {
              command = required str;
              options = option (listOf (enum [
                "NOPASSWD"
                "PASSWD"
                "NOEXEC"
                "EXEC"
                "SETENV"
                "NOSETENV"
                "LOG_INPUT"
                "NOLOG_INPUT"
                "LOG_OUTPUT"
                "NOLOG_OUTPUT"
              ])) [ ];
            };
          })
        )
      );
    };
  })) [ ];

  optionsOf = kind: {
    enable = option bool (kind == "sudo");
    package = option package pkgs.${kind};
    configFile = required lines;
    execWheelOnly = option bool false;
    extraConfig = option lines "";
    extraRules = rules;
    wheelNeedsPassword = option bool true;
  };

  # A name or a number, as sudoers(5) has it.
  who = prefix: id: if builtins.isInt id then "${prefix}#${toString id}" else "${prefix}${id}";
  commandText =
    command:
    if builtins.isString command then
      command
    else
      lib.concatMapStringsSep "" (tag: "${tag}:") command.options + " ${command.command}";
  ruleLines =
    rule:
    map (
      name: "${name} ${rule.host}=(${rule.runAs}) ${lib.concatMapStringsSep ", " commandText rule.commands}"
    ) (map (who "") rule.users ++ map (who "%") rule.groups);

  configOf =
    kind:
    let
      sudo = cfg.${kind};
      all = tags: {
        command = "ALL";
        options = tags ++ lib.optional (kind == "sudo") "SETENV";
      };
    in
    {
      # Before and after these, an administrator can put rules with mkBefore and mkAfter.
      extraRules = lib.mkMerge [
        (lib.mkOrder 400 [
          {
            users = [ "root" ];
            commands = [ (all [ ]) ];
          }
        ])
        (lib.mkOrder 600 [
          {
            groups = [ "wheel" ];
            commands = [ (all (lib.optional (!sudo.wheelNeedsPassword) "NOPASSWD")) ];
          }
        ])
      ];
      # The rules come first, and sudo takes the last one that matches.
      configFile = concatStringsSep "\n" (lib.concatMap ruleLines sudo.extraRules) + "\n${sudo.extraConfig}";
    };
in
{
  options.security = {
    sudo = optionsOf "sudo";
    sudo-rs = optionsOf "sudo-rs";
    enableWrappers = option bool true;
    # Where the setuid sudo is.
    wrapperDir = option path "/run/wrappers/bin";
  };

  config = {
    assertions = lib.mkIf cfg.sudo-rs.enable [
      {
        assertion = !cfg.sudo.enable;
        message = "`security.sudo` and `security.sudo-rs` cannot both be enabled";
      }
    ];
    security = {
      sudo = lib.mkMerge [
        # nixos/modules/config/terminfo.nix defines this, also where there is no sudo.
        {
          extraConfig = ''

            # Keep terminfo database for root and %wheel.
            Defaults:root,%wheel env_keep+=TERMINFO_DIRS
            Defaults:root,%wheel env_keep+=TERMINFO
          '';
        }
        (lib.mkIf cfg.sudo-rs.enable { enable = lib.mkDefault false; })
        (lib.mkIf cfg.sudo.enable (configOf "sudo"))
      ];
      sudo-rs = lib.mkIf cfg.sudo-rs.enable (configOf "sudo-rs");
    };
  };
}
