# The NixOS options that the project's module sets or reads, with their types in NixOS. It works with any
# `lib`: the checks also run it with nixpkgs' own.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

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
    anything
    attrsOf
    bool
    either
    enum
    int
    lines
    listOf
    nullOr
    package
    path
    shellPackage
    str
    submodule
    ;

  sudoRules = option (listOf (submodule {
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

  failed = map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) config.assertions
  );
in
{
  options = {
    assertions = option (listOf (submodule {
      options = {
        assertion = required bool;
        message = required str;
      };
    })) [ ];
    warnings = option (listOf str) [ ];

    environment.systemPackages = option (listOf package) [ ];
    environment.pathsToLink = option (listOf str) [ ];
    documentation.man.enable = option bool true;
    documentation.doc.enable = option bool true;
    programs.bash.completion.enable = option bool true;
    programs.fish.enable = option bool false;
    programs.zsh.enable = option bool false;

    security = {
      sudo.enable = option bool true;
      sudo.extraConfig = option lines "";
      sudo.extraRules = sudoRules;
      sudo-rs.enable = option bool false;
      sudo-rs.extraRules = sudoRules;
      # Where Debian has the setuid sudo.
      wrapperDir = option path "/usr/bin";
    };

    systemd.package = option package pkgs.systemd;
    systemd.tmpfiles.rules = option (listOf str) [ ];

    system.build = option (attrsOf anything) { };

    users.users = option (attrsOf (
      submodule (
        { name, ... }:
        {
          options = {
            name = option str name;
            uid = option (nullOr int) null;
            isNormalUser = option bool false;
            isSystemUser = option bool false;
            group = option str "";
            extraGroups = option (listOf str) [ ];
            description = option str "";
            home = option path "/var/empty";
            createHome = option bool false;
            homeMode = option str "700";
            shell = option (nullOr (either shellPackage path)) null;
          };
        }
      )
    )) { };
    users.groups = option (attrsOf (
      submodule (
        { name, ... }:
        {
          options = {
            name = option str name;
            gid = option (nullOr int) null;
            members = option (listOf str) [ ];
          };
        }
      )
    )) { };
  };

  # NixOS has assertions like this one, whose message can be evaluated only if the assertion fails.
  config.assertions = [
    {
      assertion = true;
      message = throw "the message of an assertion that holds was evaluated";
    }
  ];

  # Which directories of the packages are in the system's path, as in NixOS.
  config.environment.pathsToLink = [
    "/bin"
  ]
  ++ lib.optional config.documentation.man.enable "/share/man"
  ++ lib.optional config.documentation.doc.enable "/share/doc"
  ++ lib.optional config.programs.bash.completion.enable "/share/bash-completion"
  ++ lib.optional config.programs.fish.enable "/share/fish/vendor_completions.d"
  ++ lib.optional config.programs.zsh.enable "/share/zsh";

  # As in NixOS, failed assertions stop the evaluation of the system.
  config.system.build.toplevel =
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}"
    else
      pkgs.runCommandLocal "nixos-system" { } ''
        mkdir $out
        ln -s ${
          pkgs.buildEnv {
            name = "system-path";
            paths = config.environment.systemPackages;
            inherit (config.environment) pathsToLink;
          }
        } $out/sw
      '';
}
