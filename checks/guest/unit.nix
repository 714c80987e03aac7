# The text of a service's unit, as NixOS writes it: one line for each value of a list.
{ lib }:
service:
let
  text =
    value:
    if builtins.isBool value then
      (if value then "true" else "false")
    else
      toString value;
  lines =
    settings:
    lib.concatMap (name: map (value: "${name}=${text value}") (lib.toList settings.${name})) (
      builtins.attrNames settings
    );
  environment = {
    PATH = "${lib.makeBinPath service.path}:/usr/bin:/bin";
  }
  // service.environment;
in
{
  inherit (service) wantedBy;
  # Without one, it adds to a service that is there.
  complete = service.serviceConfig ? ExecStart;
  text = lib.concatLines (
    lib.optionals (service.serviceConfig ? ExecStart) (
      [
        "[Unit]"
        "Description=${service.description}"
      ]
      ++ map (name: "After=${name}") service.after
      ++ [ "[Install]" ]
      ++ map (name: "WantedBy=${name}") service.wantedBy
      ++ [ "[Service]" ]
      ++ lib.mapAttrsToList (name: value: "Environment=\"${name}=${value}\"") environment
    )
    ++ lib.optional (!service.serviceConfig ? ExecStart) "[Service]"
    ++ lines service.serviceConfig
  );
}
