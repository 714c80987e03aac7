# What the module's assertions refuse, and what they let pass: see the tables in ../values.
{
  ask,
  case,
  configs,
  lib,
  ...
}:
let
  inherit (lib)
    any
    filter
    hasInfix
    hasPrefix
    removePrefix
    ;
  tables = import ../values { inherit lib; };
  inherit (tables.refused) rows;

  named = prefix: lib.filterAttrs (name: _: hasPrefix prefix name) configs;
  complaints = lib.concatMap ask.complaints (lib.attrValues (named "refused"));

  says = part: start: message: hasPrefix start message && hasInfix part (removePrefix start message);
in
{
  "nothing is refused that is not in the tables" = case [ ] (
    filter (message: !any (row: any (start: says row.part start message) row.starts) rows) complaints
  );

  "without host users and without sudo there are three complaints" =
    let
      found = ask.complaints configs.nobody;
    in
    case
      {
        count = 3;
        missing = [ ];
      }
      {
        count = builtins.length found;
        missing = filter (part: !any (hasInfix part) found) [
          "at least one authorized host user"
          "hostUsers must not be empty"
          "security.sudo.enable or security.sudo-rs.enable"
        ];
      };
  "without the wrapper there is only the first of them" =
    case (lib.take 1 (ask.complaints configs.nobody))
      (ask.complaints configs.nobody-without-wrapper);
  "a host user without project roots is refused" =
    case [ true ]
      (map (hasInfix "hostUsers.bob.projectRoots") (ask.complaints configs.without-roots));
  "sudo-rs is enough for the wrapper" = case [ ] (ask.complaints configs.sudo-rs);
  "nothing is refused while the module is disabled" = case [ ] (ask.complaints configs.disabled);
  "a failed assertion stops the system" =
    case ask.fails configs.refused.system.build.toplevel.drvPath;

  "paths and host users are compared with the configured stateDir and user" =
    case
      [
        "hostUsers: \"robot\""
        "hostUsers.alice.projectRoots: \"/srv\""
        "sandbox.readOnlyPaths: \"/srv\""
      ]
      (
        map (
          message:
          removePrefix "m3ta.pi-agent." (lib.head (builtins.match "([^:]*: \"[^\"]*\").*" message))
        ) (ask.complaints configs.elsewhere)
      );
}
// lib.listToAttrs (
  map (
    { option, part, starts }:
    lib.nameValuePair "${option}: values are refused with a message on: ${part}" (
      case [ ] (filter (start: !any (says part start) complaints) starts)
    )
  ) rows
)
// lib.mapAttrs' (
  name: config:
  lib.nameValuePair "no value in the configuration ${name} is refused" (
    case [ ] (ask.complaints config)
  )
) (named "accepted")
