# What the types of options refuse.
{
  ask,
  case,
  configs,
  lib,
  options,
  ...
}:
let
  inherit (lib) attrByPath isAttrs;
  inherit (options.m3ta.pi-agent.sandbox) resources;

  # The paths of all values in a set.
  leaves =
    set:
    lib.concatMap (
      name:
      if isAttrs set.${name} then map (path: [ name ] ++ path) (leaves set.${name}) else [ [ name ] ]
    ) (lib.attrNames set);
  wrong = leaves (import ../configurations/wrong-types.nix);

  accepts = option: lib.filter option.type.check;
in
{
  "a value of another type is refused, whatever the option" = case [ ] (
    map (builtins.concatStringsSep ".") (
      lib.filter (
        path: ask.attempt (attrByPath path null configs.wrong-types.m3ta.pi-agent) != ask.fails
      ) wrong
    )
  );
  "host users that are not a set are refused" =
    case ask.fails configs.wrong-host-users.m3ta.pi-agent.hostUsers;
  "an option that does not exist is refused" =
    case ask.fails configs.unknown-option.m3ta.pi-agent.user;
  "two values for one string conflict" =
    case ask.fails configs.wrong-types.m3ta.pi-agent.wrapper.runnerName;
  "the programs cannot be set" =
    case ask.fails configs.wrong-types.m3ta.pi-agent.build.runner.drvPath;

  "memorySwapMax: what is not an amount is refused" = case [ ] (
    accepts resources.memorySwapMax [
      ""
      "8 G"
      "8GB"
      "-1"
      "101%"
      "%"
      "G"
      "1G\nUser=root"
    ]
  );
  "memorySwapMax: every kind of amount passes" =
    let
      amounts = [
        "0"
        "1073741824"
        "8G"
        "1.5T"
        "100%"
        "12.5%"
        "infinity"
      ];
    in
    case amounts (accepts resources.memorySwapMax amounts);
  "memoryMax: an amount above zero passes, and zero is refused" = case [ "8G" "0.5%" ] (
    accepts resources.memoryMax [
      "8G"
      "0.5%"
      "8 G"
      "0"
      "0%"
      "0.0G"
    ]
  );
  "tasksMax: passes from 16 to 4194304" = case [ 16 4194304 ] (
    accepts resources.tasksMax [
      (-1)
      15
      16
      4194304
      4194305
    ]
  );
  "cpuWeight: passes from 1 to 10000" = case [ 1 10000 ] (
    accepts resources.cpuWeight [
      0
      1
      10000
      10001
    ]
  );
}
