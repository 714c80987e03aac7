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
    case true
      (any (hasInfix "hostUsers.bob.projectRoots must") (ask.complaints configs.without-roots));
  "without setuid programs, and for people whom sudo does not serve, there is a complaint" =
    case
      {
        sudo = [
          "hostUsers.alice cannot run sudo: security.sudo.execWheelOnly"
          "hostUsers.carol cannot run sudo: security.sudo.execWheelOnly"
          "needs a setuid sudo"
        ];
        sudo-rs = [
          "hostUsers.alice cannot run sudo: security.sudo-rs.execWheelOnly"
          "hostUsers.carol cannot run sudo: security.sudo-rs.execWheelOnly"
        ];
        without-wrapper = [ ];
      }
      (
        let
          parts =
            lib.concatMap
              (
                name:
                map (kind: "hostUsers.${name} cannot run sudo: security.${kind}.execWheelOnly") [
                  "sudo"
                  "sudo-rs"
                ]
              )
              [
                "alice"
                "bob"
                "carol"
                "dave"
                "erin"
              ]
            ++ [ "needs a setuid sudo" ];
          said = config: filter (part: any (hasInfix part) (ask.complaints config)) parts;
        in
        {
          sudo = said configs.without-roots;
          sudo-rs = said configs.without-user;
          without-wrapper = ask.complaints configs.without-wrapper;
        }
      );
  "a name that NixOS would refuse as well is refused by us alone" =
    case
      [
        [
          "m3ta.pi-agent.user: \"pi\\nagent\" is not a valid account name"
          "m3ta.pi-agent.group: \"an-isolated-group-of-32-letters-\" is longer than 31 characters"
        ]
        [
          "m3ta.pi-agent.user: \"an-isolated-user-of-thirty-two-c\" is longer than 31 characters"
          "m3ta.pi-agent.group: \"pi-agent$\" is not a valid account name"
        ]
      ]
      (
        map (config: map (message: lib.head (lib.splitString ";" message)) (ask.refused config)) [
          configs.misnamed
          configs.long-named
        ]
      );
  "an account or a group that is not the agent's own is refused, with whose it is" =
    case
      [
        "alice.agentUser: \"pi-agent\" owns the state of every host user"
        "alice.agentGroup: \"users\" is the primary group of the host user alice; use a group of the agent's own."
        "bob.agentUser: \"one\" is the account of carol's agent too"
        "bob.agentGroup: \"one\" is the primary group of carol's agent too"
        "carol.agentUser: \"one\" is the account of bob's agent too"
        "carol.agentGroup: \"one\" is the primary group of bob's agent too"
        "dave.agentUser: \"carol\" is a host user"
        "dave.agentGroup: \"pi-agent\" is the group of the account that owns all state"
      ]
      (
        map (
          message:
          removePrefix "m3ta.pi-agent.hostUsers." (
            lib.head (builtins.match "([^:]*: \"[^\"]*\" [^,(]*[^,( ]).*" message)
          )
        ) (filter (hasInfix ".agent") (ask.complaints configs.shared-agents))
      );
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
