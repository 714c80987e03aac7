# The frozen policy.
{
  ask,
  case,
  configs,
  lib,
  ...
}:
let
  inherit (lib) attrNames;
  policy = ask.policy configs.base;
in
{
  "the policy is of version 4, and has no keys but those of its schema" =
    case
      {
        version = 4;
        keys = [
          "commandName"
          "compileCache"
          "environment"
          "environmentFiles"
          "extraEnvironment"
          "extraRunArgs"
          "forgetCompileCache"
          "group"
          "hostUsers"
          "launcher"
          "nixPath"
          "path"
          "program"
          "projectGroup"
          "sandbox"
          "settings"
          "shell"
          "stateDir"
          "syncConfigFromHost"
          "systemCallFilter"
          "tools"
          "user"
          "version"
        ];
        sandbox = [
          "allowAddresses"
          "denyAddresses"
          "hiddenPaths"
          "network"
          "nixDaemon"
          "onSelfRunning"
          "properties"
          "protectedPaths"
          "readOnlyPaths"
          "readWritePaths"
        ];
      }
      {
        inherit (policy) version;
        keys = attrNames policy;
        sandbox = attrNames policy.sandbox;
      };
  "the policy's sudo is the host's setuid one" =
    case "${configs.base.security.wrapperDir}/sudo" policy.tools.sudo;
  "the policy has the host's search path of Nix; null where Nix is off" =
    let
      channels = "/nix/var/nix/profiles/per-user/root/channels";
    in
    case
      [
        [
          "nixpkgs=${channels}/nixos"
          "nixos-config=/etc/nixos/configuration.nix"
          channels
        ]
        [
          "nixpkgs=flake:nixpkgs"
          "/etc/nixos"
        ]
        [ ]
        null
      ]
      (
        map (config: (ask.policy config).nixPath) [
          configs.base
          configs.unhidden
          configs.without-user
          configs.merged
        ]
      );
  "every tool is an absolute path" = case [
    "bash"
    "git"
    "setpriv"
    "setsid"
    "sudo"
    "systemctl"
    "systemd-run"
  ] (attrNames (lib.filterAttrs (_: lib.hasPrefix "/") policy.tools));
  "a configuration path of a host user starts at the home, with or without ~" =
    case
      [
        ".config/pi"
        ".pi/agent"
      ]
      [
        (ask.policy configs.everything).hostUsers.alice.configPath
        policy.hostUsers.alice.configPath
      ];
}
