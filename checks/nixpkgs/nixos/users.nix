# users.users and users.groups, with what NixOS asks of their names.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.users;

  option =
    type: default:
    mkOption {
      inherit type default;
      description = "As in NixOS.";
    };
  inherit (types)
    attrsOf
    bool
    either
    int
    listOf
    nullOr
    package
    passwdEntry
    path
    shellPackage
    str
    submodule
    ;

  # Not an assertion: the evaluation ends here, with whatever else is wrong unsaid.
  short =
    what: name:
    if builtins.stringLength name < 32 then
      name
    else
      abort "${what} '${name}' is longer than 31 characters which is not allowed!";
  valid = "[a-zA-Z0-9_.][a-zA-Z0-9_.-]*";

  user =
    { name, ... }:
    {
      options = {
        enable = option bool true;
        name = option (passwdEntry str) name // {
          apply = short "Username";
        };
        uid = option (nullOr int) null;
        isNormalUser = option bool false;
        isSystemUser = option bool false;
        group = option str "" // {
          apply = short "Group name";
        };
        extraGroups = option (listOf str) [ ];
        description = option (passwdEntry str) "";
        home = option (passwdEntry path) "/var/empty";
        createHome = option bool false;
        homeMode = option str "700";
        expires = option (nullOr str) null;
        packages = option (listOf package) [ ];
        shell = option (nullOr (either shellPackage (passwdEntry path))) null;
      };
    };
  group =
    { name, ... }:
    {
      options = {
        name = option (passwdEntry str) name;
        gid = option (nullOr int) null;
        members = option (listOf (passwdEntry str)) [ ];
      };
    };

  users = lib.attrValues cfg.users;
  groupNames = map (entry: entry.name) (lib.attrValues cfg.groups);
in
{
  options.users = {
    users = option (attrsOf (submodule user)) { };
    groups = option (attrsOf (submodule group)) { };
  };

  config.users.groups = {
    users = { };
    wheel = { };
  };

  config.assertions =
    map (entry: {
      assertion = builtins.match valid entry.name != null;
      message = "The username \"${entry.name}\" is not valid, it does not match the regex \"${valid}\".";
    }) users
    ++ map (entry: {
      assertion = entry.isSystemUser != entry.isNormalUser;
      message = "Exactly one of users.users.${entry.name}.isSystemUser and users.users.${entry.name}.isNormalUser must be set.";
    }) users
    ++ map (entry: {
      assertion = entry.group != "" && lib.elem entry.group groupNames;
      message = "The following users have a primary group that is undefined: ${entry.name}";
    }) users;
}
