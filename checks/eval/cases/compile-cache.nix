# The service that makes Node's compile cache.
{
  ask,
  case,
  configs,
  lib,
  ...
}:
let
  name = "m3ta-pi-agent-compile-cache";
  service = config: config.systemd.services.${name};
  # The words of its command, and the name of its directory among them.
  words =
    config:
    lib.splitString " " (
      builtins.unsafeDiscardStringContext (
        builtins.replaceStrings [ "'" ] [ "" ] (service config).serviceConfig.ExecStart
      )
    );
  program = config: lib.elemAt (words config) 3;
  directory = config: lib.elemAt (words config) 4;
in
{
  "the compile cache is made once, for the program that sessions run, where they look for it" =
    case
      {
        kind = "oneshot";
        stays = true;
        at = [ "multi-user.target" ];
        program = (ask.policy configs.several).program;
        cache = (ask.policy configs.several).compileCache;
      }
      {
        kind = (service configs.several).serviceConfig.Type;
        stays = (service configs.several).serviceConfig.RemainAfterExit;
        at = (service configs.several).wantedBy;
        program = program configs.several;
        cache = "/var/cache/${(service configs.several).serviceConfig.CacheDirectory}/${directory configs.several}/node";
      };
  "it is made for every agent" = case [
    "pi-agent-alice"
    "pi-agent-bob"
  ] (lib.drop 6 (words configs.several));
  "another package has another cache, and changes the service, which then runs again" =
    case
      {
        same = true;
        command = true;
        directory = true;
      }
      {
        same = directory configs.base == directory configs.several;
        command = program configs.base != program configs.everything;
        directory = directory configs.base != directory configs.everything;
      };
  "it runs as nobody that lasts, without a network, and can write its cache alone" =
    case
      {
        DynamicUser = true;
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        PrivateNetwork = true;
        PrivateUsers = true;
        ProtectHome = "tmpfs";
        ProtectSystem = "strict";
        ReadWritePaths = null;
        BindPaths = null;
        StateDirectory = null;
      }
      (
        lib.genAttrs [
          "DynamicUser"
          "CapabilityBoundingSet"
          "NoNewPrivileges"
          "PrivateNetwork"
          "PrivateUsers"
          "ProtectHome"
          "ProtectSystem"
          "ReadWritePaths"
          "BindPaths"
          "StateDirectory"
        ] (property: (service configs.several).serviceConfig.${property} or null)
      );
  "there is none without a command that would use it, or without host users" =
    case
      [
        true
        false
        false
        false
      ]
      (
        map (config: config.systemd.services ? ${name}) [
          configs.several
          configs.disabled
          configs.without-wrapper
          configs.nobody
        ]
      );
}
