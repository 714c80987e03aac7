# What cases ask of a configuration. In NixOS, other modules define the same options; the answers have only
# what comes from this module.
{ lib }:
let
  inherit (builtins) fromJSON unsafeDiscardStringContext;
  inherit (lib)
    attrNames
    elem
    filter
    filterAttrs
    hasInfix
    hasPrefix
    head
    ;
in
rec {
  # The value of what cannot be evaluated.
  fails = "evaluation fails";
  attempt =
    value:
    let
      tried = builtins.tryEval (builtins.deepSeq value value);
    in
    if tried.success then tried.value else fails;
  case = want: got: {
    inherit want;
    got = attempt got;
  };

  # The policy, with the content of the host users' files in the place of their paths.
  policy =
    config:
    let
      built = config.m3ta.pi-agent.build.policy;
      read = file: fromJSON (unsafeDiscardStringContext file.text);
    in
    read built // { hostUsers = lib.mapAttrs (_: read) built.hostUsers; };

  tmpfiles =
    config:
    let
      inherit (config.m3ta.pi-agent) user group;
    in
    filter (
      rule: hasInfix "/run/pi-agent " rule || hasInfix "-sync 0700 " rule || hasInfix " ${user} ${group} " rule
    ) config.systemd.tmpfiles.rules;

  # kind: "sudo" or "sudo-rs".
  sudo =
    kind: config:
    filter (
      rule: lib.any (entry: (entry.command or entry) == command config) rule.commands
    ) config.security.${kind}.extraRules;
  # The lines of sudoers(5) that concern the runner.
  sudoLines =
    kind: config: map (lib.replaceStrings [ (command config) ] [ "RUNNER" ]) (
      filter (hasInfix (command config)) (sudoers kind config)
    );
  # The text of sudoers(5), as lines.
  sudoers = kind: config: lib.splitString "\n" config.security.${kind}.configFile;
  command =
    config:
    unsafeDiscardStringContext "${config.m3ta.pi-agent.build.runner}/bin/${config.m3ta.pi-agent.wrapper.runnerName}";

  # NixOS has assertions whose messages can be evaluated only if they fail.
  # What a configuration is refused for. NixOS has its own complaints about one without disks.
  failed =
    config:
    map (assertion: assertion.message) (filter (assertion: !assertion.assertion) config.assertions);
  refused =
    config: filter (message: hasPrefix "m3ta.pi-agent" message || hasInfix "name" message) (failed config);
  complaints = config: filter (hasPrefix "m3ta.pi-agent") (failed config);

  warnings = config: filter (hasPrefix "m3ta.pi-agent") config.warnings;

  # Which of the three packages that a configuration can install are installed.
  packages =
    config:
    let
      known = {
        wrapper = config.m3ta.pi-agent.build.wrapper;
        raw = config.m3ta.pi-agent.package;
        runner = config.m3ta.pi-agent.build.runner;
      };
      installed = map toString config.environment.systemPackages;
    in
    attrNames (filterAttrs (_: package: elem (toString package) installed) known);

  user =
    name: config:
    let
      account = config.users.users.${name};
    in
    {
      inherit (account)
        isSystemUser
        isNormalUser
        group
        extraGroups
        description
        home
        createHome
        homeMode
        expires
        ;
      shell = unsafeDiscardStringContext (toString account.shell);
    };
}
