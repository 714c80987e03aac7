# Every configuration that the checks evaluate, each of them once: its name → its modules. The cases ask
# many questions of each.
{ pkgs }:
let
  inherit (pkgs) lib;
  tables = import ../values { inherit lib; };

  base.m3ta.pi-agent = {
    enable = true;
    hostUsers.alice.projectRoots = [ "~/p" ];
  };
  # The base configuration and some settings of the module.
  given = settings: [
    base
    { m3ta.pi-agent = settings; }
  ];
  several = {
    hostUsers.bob.projectRoots = [ "/srv/x" ];
    projectGroup = "team";
  };

  sudoRs.security.sudo-rs.enable = true;
  sudoRsOf = version: { security.sudo-rs.package = pkgs.sudo-rs // { inherit version; }; };
  # An administrator's rule that also covers the runner, as late as mkAfter puts it.
  byPassword =
    name:
    let
      rules = lib.mkAfter [
        {
          users = [ name ];
          commands = [ "ALL" ];
        }
      ];
    in
    {
      security.sudo.extraRules = rules;
      security.sudo-rs.extraRules = rules;
    };

  person = {
    isNormalUser = true;
    group = "users";
  };
  # Alice and carol may not run sudo. Nothing is known of bob's groups but that they are not in this file.
  outsideWheel = {
    security.sudo.execWheelOnly = true;
    security.sudo-rs.execWheelOnly = true;
    m3ta.pi-agent.hostUsers = lib.genAttrs [ "carol" "dave" "erin" ] (_: { projectRoots = [ "~/p" ]; });
    users.groups.wheel.members = [ "erin" ];
    users.users = {
      a = person // {
        name = "alice";
      };
      carol = person;
      dave = person // {
        extraGroups = [ "wheel" ];
      };
      erin = person;
    };
  };
  # Alice has the raw package, bob another one with a program of that name, carol neither; dave is no host user.
  rawPackages = {
    m3ta.pi-agent.hostUsers.carol.projectRoots = [ "~/p" ];
    users.users = {
      a = person // {
        name = "alice";
        packages = [ pkgs.pi-coding-agent ];
      };
      bob = person // {
        packages = [ (pkgs.writeShellScriptBin "pi" "") ];
      };
      carol = person // {
        packages = [ pkgs.git ];
      };
      dave = person // {
        packages = [ pkgs.pi-coding-agent ];
      };
    };
  };

  # NixOS itself refuses some names of users, groups and homes.
  unmanaged.m3ta.pi-agent.createUser = false;
  numbered =
    name: list:
    lib.listToAttrs (
      lib.imap0 (n: modules: {
        name = "${name}-${toString n}";
        value = [
          base
          unmanaged
        ]
        ++ modules;
      }) list
    );
in
{
  # Nothing is set.
  bare = [ ];
  base = [ base ];
  several = given several;
  sudo-rs = given several ++ [
    sudoRs
    (sudoRsOf "0.2.14")
  ];
  # The module makes the accounts, as it does by default.
  misnamed = given {
    user = "pi\nagent";
    group = "an-isolated-group-of-32-letters-";
  };
  long-named = given {
    user = "an-isolated-user-of-thirty-two-c";
    group = "pi-agent$";
  };

  # A mistake in a disabled module is not refused.
  disabled = given {
    enable = lib.mkForce false;
    stateDir = "relative";
  };
  everything = given (import ./everything.nix { inherit pkgs; });

  # Beside what their names say, some have what other cases are about.
  without-user = given several ++ [
    unmanaged
    sudoRs
    (sudoRsOf "0.2.15")
    (byPassword "alice")
    outsideWheel
    { nix.channel.enable = false; }
    { systemd.services.nscd.serviceConfig.RuntimeDirectoryPreserve = "restart"; }
  ];
  without-wrapper = given { wrapper.enable = false; } ++ [
    outsideWheel
    { security.enableWrappers = false; }
    { services.nscd.enable = false; }
  ];
  without-wrapper-unhidden = given {
    wrapper.enable = false;
    wrapper.hideDirectBinary = false;
  };
  unhidden = [ (byPassword "carol") ] ++ given several ++ [
    { m3ta.pi-agent.wrapper.hideDirectBinary = false; }
    (byPassword "alice")
    rawPackages
    {
      nix.nixPath = [
        "nixpkgs=flake:nixpkgs"
        "/etc/nixos"
      ];
    }
  ];

  nobody = [
    {
      m3ta.pi-agent.enable = true;
      security.sudo.enable = false;
    }
  ];
  nobody-without-wrapper = [
    {
      m3ta.pi-agent.enable = true;
      m3ta.pi-agent.wrapper.enable = false;
      security.sudo.enable = false;
    }
  ];
  without-roots = given { hostUsers.bob = { }; } ++ [
    outsideWheel
    { security.enableWrappers = false; }
  ];

  # Agents share what must be one's own, in every way.
  shared-agents = given {
    hostUsers = {
      alice = {
        agentUser = "pi-agent";
        agentGroup = "users";
      };
      bob.agentUser = "one";
      bob.agentGroup = "one";
      carol.agentUser = "one";
      carol.agentGroup = "one";
      dave.agentUser = "carol";
      dave.agentGroup = "pi-agent";
    };
  } ++ [ { users.users.alice = person; } ];
  # The host user is the only one, so that the agent may own the state.
  alone = given {
    hostUsers.alice.agentUser = "pi-agent";
    projectGroup = "team";
  };

  # Every option has a value that its type refuses.
  wrong-types = given (import ./wrong-types.nix) ++ [
    { m3ta.pi-agent.wrapper.runnerName = "a"; }
    { m3ta.pi-agent.wrapper.runnerName = "b"; }
    { m3ta.pi-agent.build.runner = pkgs.coreutils; }
  ];
  wrong-host-users = [ { m3ta.pi-agent.hostUsers = [ "alice" ]; } ];
  unknown-option = given { nosuch = 1; };

  # State directory and isolated user are not the defaults.
  elsewhere = given {
    user = "robot";
    stateDir = "/srv/pi";
    hostUsers.robot.projectRoots = [ "~/p" ];
    hostUsers.alice.projectRoots = [
      "/srv"
      "/srv/pi2"
      "/var/lib/pi-agent"
    ];
    sandbox.readOnlyPaths = [
      "/srv"
      "/var/lib/pi-agent"
    ];
  };

  merged = [
    base
    sudoRs
    (sudoRsOf "0.2.3")
    { nix.enable = false; }
  ]
  ++ import ./merged.nix;

  refused = [ base ] ++ tables.refused.all;
  accepted = [ base ] ++ tables.accepted.all;
}
// numbered "refused" tables.refused.each
// numbered "accepted" tables.accepted.each
