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
    listOf
    package
    str
    submodule
    ;

  failed = map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) config.assertions
  );
in
{
  imports = [
    ./nixos/nix.nix
    ./nixos/sudo.nix
    ./nixos/users.nix
  ];

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

    services.nscd.enable = option bool true;

    systemd.package = option package pkgs.systemd;
    systemd.services = option (attrsOf (submodule {
      options = {
        after = option (listOf str) [ ];
        description = option str "";
        environment = option (attrsOf str) { };
        path = option (listOf package) [ ];
        serviceConfig = option (attrsOf anything) { };
        wantedBy = option (listOf str) [ ];
      };
    })) { };
    systemd.paths = option (attrsOf (submodule {
      options = {
        description = option str "";
        wantedBy = option (listOf str) [ ];
        pathConfig = option (attrsOf anything) { };
      };
    })) { };
    systemd.tmpfiles.rules = option (listOf str) [ ];

    system.build = option (attrsOf anything) { };
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
