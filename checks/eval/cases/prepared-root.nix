# The service that mounts the system directories that every session sees.
{
  case,
  configs,
  lib,
  ...
}:
let
  name = "m3ta-pi-agent-root";
  service = config: config.systemd.services.${name};
in
{
  "the system directories of sessions are mounted at boot, once, and by root" =
    case
      {
        kind = "oneshot";
        at = [ "multi-user.target" ];
        program = lib.getExe configs.several.m3ta.pi-agent.build.prepareRoot;
        # A launch that finds them unmounted starts it again.
        stays = false;
        user = null;
      }
      {
        kind = (service configs.several).serviceConfig.Type;
        at = (service configs.several).wantedBy;
        program = (service configs.several).serviceConfig.ExecStart;
        stays = (service configs.several).serviceConfig.RemainAfterExit or false;
        user = (service configs.several).serviceConfig.User or null;
      };
  "another system has them mounted anew" = case {
    changed = "/run/current-system";
    at = [ "multi-user.target" ];
  } {
    changed = configs.several.systemd.paths.${name}.pathConfig.PathChanged;
    at = configs.several.systemd.paths.${name}.wantedBy;
  };
  "without the module there is neither" = case [ false false ] [
    (configs.disabled.systemd.services ? ${name})
    (configs.disabled.systemd.paths ? ${name})
  ];
}
