# Installs the base configuration and all variants together, as one NixOS module. Everything that a variant
# adds to an empty system (packages, sudo rules, tmpfiles rules, its own user) is added to this system.
# `evaluate` is a special argument: a function from a list of modules to the configuration of another system.
{
  config,
  evaluate,
  lib,
  pkgs,
  ...
}:
let
  base = import ./base.nix { inherit pkgs; };
  probe = pkgs.writers.writePython3Bin "pi" { flakeIgnore = [ "E501" ]; } (
    builtins.readFile ./probe.py
  );

  evaluateWith =
    settings:
    evaluate [
      ../../module.nix
      {
        m3ta.pi-agent = settings;
        nix.nixPath = config.nix.nixPath;
        security.sudo.enable = config.security.sudo.enable;
        security.sudo-rs.enable = config.security.sudo-rs.enable;
      }
    ];
  empty = evaluateWith { enable = false; };

  complete =
    name: changes:
    lib.recursiveUpdate base (
      {
        package = probe;
        createUser = false;
        stateDir = "/var/lib/${name}";
      }
      // changes
      // {
        wrapper = {
          commandName = name;
          runnerName = "${name}-runner";
        }
        // changes.wrapper or { };
      }
    );
  withoutNull =
    settings:
    settings // { hostUsers = lib.filterAttrs (_: user: user != null) settings.hostUsers; };
  variants = lib.mapAttrs (name: changes: evaluateWith (withoutNull (complete name changes))) (
    import ./variants.nix { inherit pkgs probe; }
  );

  # What `get` finds in the variants but not in the empty system.
  added =
    get:
    lib.unique (
      lib.concatMap (variant: lib.filter (entry: !lib.elem entry (get empty)) (get variant)) (
        lib.attrValues variants
      )
    );
  # NixOS has assertions whose messages can be evaluated only if they fail.
  failed =
    system:
    map (entry: entry.message) (lib.filter (entry: !entry.assertion) system.assertions);
  # The identities of the variants that have their own. Only the attributes that the module sets: some of the
  # others cannot be set again.
  own = lib.filter (variant: variant.m3ta.pi-agent.createUser) (lib.attrValues variants);
  identities =
    variant:
    let
      settings = variant.m3ta.pi-agent;
      agents = lib.attrValues settings.hostUsers;
    in
    {
      groups = lib.genAttrs ([ settings.group ] ++ map (agent: agent.agentGroup) agents) (_: { });
      users = lib.genAttrs ([ settings.user ] ++ map (agent: agent.agentUser) agents) (name: {
        inherit (variant.users.users.${name})
          createHome
          description
          expires
          extraGroups
          group
          home
          homeMode
          isSystemUser
          shell
          ;
      });
    };

  facts = system: {
    policy = "${system.m3ta.pi-agent.build.policy}";
    runner = "${system.m3ta.pi-agent.build.runner}/bin/${system.m3ta.pi-agent.wrapper.runnerName}";
    wrapper = "${system.m3ta.pi-agent.build.wrapper}/bin/${system.m3ta.pi-agent.wrapper.commandName}";
  };
in
{
  imports = [ ../../module.nix ];

  options.checks.facts = lib.mkOption {
    type = lib.types.attrsOf lib.types.anything;
    description = "What scenarios are told about this machine, in /etc/pi-agent-checks.json.";
  };

  config = {
    m3ta.pi-agent = base;
    assertions = map (message: {
      assertion = false;
      inherit message;
    }) (added failed);
    environment.systemPackages = added (system: system.environment.systemPackages);
    security = lib.genAttrs [ "sudo" "sudo-rs" ] (kind: {
      # In each system of its own, a rule of the module's comes last.
      extraRules = lib.mkOrder 2000 (added (system: system.security.${kind}.extraRules));
      extraConfig = lib.concatLines (
        added (system: lib.splitString "\n" system.security.${kind}.extraConfig)
      );
    });
    systemd.tmpfiles.rules = added (system: system.systemd.tmpfiles.rules);
    # Variants may have accounts in common.
    users = lib.foldl' (found: variant: {
      groups = found.groups // (identities variant).groups;
      users = found.users // (identities variant).users;
    }) { groups = { }; users = { }; } own;

    checks.facts = {
      model = "http://127.0.0.1:8317/v1";
      probe = "${probe}/bin/pi";
      sudo = "${config.security.wrapperDir}/sudo";
      variants = {
        pi = facts config;
      }
      // lib.mapAttrs (_: facts) variants;
    };
  };
}
