# The tables of refused and accepted values as settings of the module.
#
# A table maps an option to values. How they are set depends on the group: a value of `single` is set on its
# own, `text` is one, `list` has elements, `key` has attribute names, and `value` has attributes. Refused values are also
# grouped by a part of the message that refuses them.
{ lib }:
let
  inherit (lib)
    concatMap
    elemAt
    genAttrs
    mapAttrsToList
    recursiveUpdate
    setAttrByPath
    splitString
    ;

  refused = builtins.foldl' recursiveUpdate { } [
    (import ./refused/names.nix)
    (import ./refused/paths.nix)
    (import ./refused/sandbox-paths.nix)
    (import ./refused/addresses.nix)
    (import ./refused/variables.nix)
    (import ./refused/properties.nix { inherit lib; })
  ];
  accepted = import ./accepted.nix;

  # An option's name can contain a user name, which can contain dots.
  pathOf =
    option:
    let
      parts = builtins.match "hostUsers[.](.+)[.]([a-zA-Z]+)" option;
    in
    if parts == null then splitString "." option else [ "hostUsers" ] ++ parts;
  settingAt = option: value: { m3ta.pi-agent = setAttrByPath (pathOf option) value; };

  # A valid value for an attribute of this option.
  plainValue =
    option:
    {
      hostUsers.projectRoots = [ "~/p" ];
      "sandbox.properties" = 1;
    }
    .${option} or "";

  # Modules that set all values of a table, except the single ones.
  allOf =
    table:
    mapAttrsToList settingAt (table.list or { })
    ++ mapAttrsToList settingAt (table.text or { })
    ++ mapAttrsToList settingAt (table.value or { })
    ++ mapAttrsToList (
      option: names: settingAt option (genAttrs names (_: plainValue option))
    ) (table.key or { });

  # For n = 0, 1, …: modules that set the nth value of each option with single values.
  eachOf =
    single:
    let
      count = builtins.foldl' lib.max 0 (map builtins.length (builtins.attrValues single));
      nth =
        n:
        concatMap (
          option:
          let
            values = single.${option};
          in
          if n < builtins.length values then [ (settingAt option (elemAt values n)) ] else [ ]
        ) (builtins.attrNames single);
    in
    builtins.genList nth count;

  # Tables of refused values without their parts of messages.
  ungrouped = merge: builtins.mapAttrs (_: groups: merge (builtins.attrValues groups));
  inherit (refused)
    single
    list
    key
    value
    ;

  # How the message on a value begins.
  start = option: value: "m3ta.pi-agent.${option}: ${builtins.toJSON value} ";

  # One row for each option and each part of a message: how the messages on its values begin.
  rowsOf =
    startsOf: table:
    concatMap (
      option:
      mapAttrsToList (part: values: {
        inherit option part;
        starts = startsOf option values;
      }) table.${option}
    ) (builtins.attrNames table);
in
{
  accepted = {
    all = allOf accepted;
    each = eachOf accepted.single;
  };

  refused = {
    all = allOf {
      list = ungrouped builtins.concatLists list;
      key = ungrouped builtins.concatLists key;
      value = ungrouped (builtins.foldl' recursiveUpdate { }) value;
    };
    each = eachOf (ungrouped builtins.concatLists single);
    rows =
      concatMap (rowsOf (option: map (start option))) [
        single
        list
        key
      ]
      ++ rowsOf (option: mapAttrsToList (name: start "${option}.${name}")) value;
  };
}
