# Every option has its effect, and the effect is not there without it.
{
  ask,
  case,
  configs,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) elem hasInfix head;

  # In `configuration`, `read` gives `want`; in the base configuration it gives something else.
  effectIn =
    configuration: read: want:
    case
      {
        set = want;
        differs = true;
      }
      {
        set = read configs.${configuration};
        differs = ask.attempt (read configs.base) != want;
      };
  effect = effectIn "everything";
  inPolicy = read: effect (config: read (ask.policy config));
  property = n: inPolicy (policy: lib.elemAt policy.sandbox.properties n);

  documented = map ({ path, ... }: builtins.concatStringsSep "." path) (
    import ../documented.nix { inherit lib; } options.m3ta.pi-agent
  );

  effects = {
    enable =
      effectIn "disabled"
        (config: [
          (ask.tmpfiles config)
          (ask.packages config)
          (ask.sudo "sudo" config)
          (config.users.users ? pi-agent)
        ])
        [
          [ ]
          [ ]
          [ ]
          false
        ];
    package = effect (config: elem pkgs.coreutils config.environment.systemPackages) true;
    user =
      effect
        (config: [
          (ask.policy config).user
          (config.users.users.robot.isSystemUser or false)
          (hasInfix " robot " (head (ask.tmpfiles config)))
        ])
        [
          "robot"
          true
          true
        ];
    group =
      effect
        (config: [
          (ask.policy config).group
          (config.users.groups ? robots)
          (config.users.users.robot.group or null)
          (hasInfix " robots " (head (ask.tmpfiles config)))
        ])
        [
          "robots"
          true
          "robots"
          true
        ];
    stateDir =
      effect
        (config: [
          (ask.policy config).stateDir
          (config.users.users.robot.home or null)
          (lib.filter (rule: !lib.hasPrefix "d /srv/pi" rule) (ask.tmpfiles config))
        ])
        [
          "/srv/pi"
          "/srv/pi"
          [ "d /run/pi-agent 0700 root root - -" ]
        ];
    createUser =
      effectIn "without-user"
        (config: [
          (config.users.users ? pi-agent)
          (config.users.groups ? pi-agent)
          (config.users.users ? pi-agent-alice)
          (config.users.groups ? pi-agent-alice)
        ])
        [
          false
          false
          false
          false
        ];
    hostUsers = inPolicy (policy: lib.attrNames policy.hostUsers) [
      "alice"
      "bob"
    ];
    "hostUsers.<name>.agentUser" =
      effect
        (config: [
          (ask.policy config).hostUsers.alice.agentUser
          (config.users.users.robot-1.home or null)
          ((ask.policy config).hostUsers.bob.agentUser or null)
        ])
        [
          "robot-1"
          "/srv/pi"
          "robot-bob"
        ];
    "hostUsers.<name>.agentGroup" =
      effect
        (config: [
          (ask.policy config).hostUsers.alice.agentGroup
          (config.users.users.robot-1.group or null)
          (config.users.groups ? robots-1)
          ((ask.policy config).hostUsers.bob.agentGroup or null)
        ])
        [
          "robots-1"
          "robots-1"
          true
          "robot-bob"
        ];
    "hostUsers.<name>.projectRoots" = inPolicy (policy: policy.hostUsers.alice.projectRoots) [
      "~/p"
      "/srv/x"
    ];
    "hostUsers.<name>.configPath" = inPolicy (policy: policy.hostUsers.alice.configPath) ".config/pi";
    settings = inPolicy (policy: policy.settings) {
      a.b = [
        1
        { c = null; }
      ];
      theme = "dark";
    };
    environment = inPolicy (policy: policy.environment) { A = "b c\td"; };
    environmentFiles = inPolicy (policy: policy.environmentFiles) [
      "/run/secrets/a"
      "/run/secrets/a"
    ];
    extraPackages = inPolicy (policy: policy.path) (
      map (package: builtins.unsafeDiscardStringContext "${lib.getBin package}/bin") [
        pkgs.git
        pkgs.coreutils
      ]
    );
    projectGroup =
      effect
        (config: [
          (ask.policy config).projectGroup
          (config.users.users.robot-1.extraGroups or [ ])
          (config.users.users.robot.extraGroups or null)
        ])
        [
          "team"
          [ "team" ]
          [ ]
        ];
    "sandbox.protectedPaths" = inPolicy (policy: policy.sandbox.protectedPaths) [ "a" ];
    "sandbox.hiddenPaths" = inPolicy (policy: policy.sandbox.hiddenPaths) [ "*/b" ];
    "sandbox.readOnlyPaths" = inPolicy (policy: policy.sandbox.readOnlyPaths) [ "/srv/data" ];
    "sandbox.readWritePaths" = inPolicy (policy: policy.sandbox.readWritePaths) [ "/srv/scratch" ];
    "sandbox.network" = inPolicy (policy: policy.sandbox.network) "none";
    "sandbox.denyAddresses" = inPolicy (policy: policy.sandbox.denyAddresses) [ "any" ];
    "sandbox.allowAddresses" = inPolicy (policy: policy.sandbox.allowAddresses) [ "::1" ];
    "sandbox.onSelfRunning" = inPolicy (policy: policy.sandbox.onSelfRunning) "disarm";
    "sandbox.nixDaemon" = inPolicy (policy: policy.sandbox.nixDaemon) false;
    "sandbox.resources.memoryMax" = property 0 "MemoryMax=50%";
    "sandbox.resources.memorySwapMax" = property 1 "MemorySwapMax=0";
    "sandbox.resources.tasksMax" = property 2 "TasksMax=100";
    "sandbox.resources.cpuWeight" = property 3 "CPUWeight=1";
    "sandbox.properties" = inPolicy (policy: lib.drop 5 policy.sandbox.properties) [
      "CPUQuota=200%"
      "LimitNOFILE=4096"
      "MemoryMax=8G"
      "NoNewPrivileges=yes"
      "RestrictNamespaces=no"
      "SystemCallFilter=@mount"
      "SystemCallFilter="
      "SystemCallFilter=pivot_root"
    ];
    "wrapper.enable" =
      effectIn "without-wrapper"
        (config: [
          (ask.packages config)
          (ask.sudo "sudo" config)
        ])
        [
          [ "raw" ]
          [ ]
        ];
    "wrapper.enable, with hideDirectBinary off" =
      effectIn "without-wrapper-unhidden" ask.packages
        [ "raw" ];
    "wrapper.hideDirectBinary" = effectIn "unhidden" ask.packages [
      "raw"
      "wrapper"
    ];
    "wrapper.commandName" =
      effect
        (config: [
          (ask.policy config).commandName
          config.m3ta.pi-agent.build.wrapper.meta.mainProgram
        ])
        [
          "agent"
          "agent"
        ];
    "wrapper.runnerName" =
      effect
        (config: [
          config.m3ta.pi-agent.build.runner.meta.mainProgram
          (lib.any (lib.hasSuffix "/bin/run-agent") (ask.sudoers "sudo" config))
        ])
        [
          "run-agent"
          true
        ];
    "wrapper.syncConfigFromHost" = inPolicy (policy: policy.syncConfigFromHost) false;
    "wrapper.hostConfigPath" = inPolicy (policy: policy.hostUsers.bob.configPath or null) ".p";
    "wrapper.extraRunArgs" = inPolicy (policy: policy.extraRunArgs) [
      "--model"
      "a b"
    ];
    "wrapper.extraEnvironment" = inPolicy (policy: policy.extraEnvironment) { B = ""; };
  };
in
{
  # What binaryName does is checked by builds: see ../programs.py.
  "every option has a case on its effect" = case [ "binaryName" ] (
    lib.filter (option: !effects ? ${option}) documented
  );
}
// lib.mapAttrs' (option: lib.nameValuePair "${option}: has its effect") effects
