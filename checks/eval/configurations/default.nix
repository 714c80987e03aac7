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
  sudo-rs = given several ++ [ sudoRs ];
  # An administrator's rules that also cover the runner, before the module and after it; the last one as late
  # as mkAfter puts it. Two of three versions of sudo-rs know fewer settings.
  sudo-ruled = [ (byPassword "carol") ] ++ given several ++ [ (byPassword "alice") ];
  sudo-rs-ruled =
    [ (byPassword "carol") ]
    ++ given several
    ++ [
      (byPassword "alice")
      sudoRs
      (sudoRsOf "0.2.15")
    ];
  sudo-rs-old = given several ++ [
    sudoRs
    (sudoRsOf "0.2.3")
  ];

  # What the host lacks for anybody to start the agent, and people whom sudo turns away.
  closed = given several ++ [
    {
      security.enableWrappers = false;
      security.sudo.execWheelOnly = true;
      users.users = {
        a = person // {
          name = "alice";
        };
        bob = person // {
          extraGroups = [ "wheel" ];
        };
      };
    }
  ];
  closed-rs = given several ++ [
    sudoRs
    {
      security.sudo.execWheelOnly = true;
      security.sudo-rs.execWheelOnly = true;
      users.users.alice = person;
      users.users.bob = person;
      users.groups.wheel.members = [ "alice" ];
    }
  ];
  closed-without-wrapper = given several ++ [
    {
      m3ta.pi-agent.wrapper.enable = false;
      security.enableWrappers = false;
      security.sudo.execWheelOnly = true;
      users.users.alice = person;
    }
  ];

  # One has the raw package, one another package with a program of that name, one neither.
  raw = given several ++ [
    {
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
    }
  ];

  # The module makes the accounts, as it does by default.
  misnamed = given {
    user = "pi@agent";
    group = "pi-agent$";
  };
  long-named = given {
    user = "an-isolated-user-of-thirty-two-c";
    group = "an-isolated-group-of-32-letters-";
  };
  newline-named = given {
    user = "pi\nagent";
    group = "pi:agent";
  };

  nix-path = given { } ++ [
    {
      nix.nixPath = [
        "nixpkgs=flake:nixpkgs"
        "/etc/nixos"
      ];
    }
  ];
  without-channels = given { } ++ [ { nix.channel.enable = false; } ];
  without-nix = given { } ++ [ { nix.enable = false; } ];
  # A mistake in a disabled module is not refused.
  disabled = given {
    enable = lib.mkForce false;
    stateDir = "relative";
  };
  everything = given (import ./everything.nix { inherit pkgs; });

  without-user = [
    base
    unmanaged
  ];
  without-wrapper = given { wrapper.enable = false; };
  without-wrapper-unhidden = given {
    wrapper.enable = false;
    wrapper.hideDirectBinary = false;
  };
  unhidden = given { wrapper.hideDirectBinary = false; };

  nobody = [
    {
      m3ta.pi-agent.enable = true;
      security.sudo.enable = false;
    }
  ];
  nobody-with-sudo = [ { m3ta.pi-agent.enable = true; } ];
  nobody-without-wrapper = [
    {
      m3ta.pi-agent.enable = true;
      m3ta.pi-agent.wrapper.enable = false;
      security.sudo.enable = false;
    }
  ];
  without-roots = given { hostUsers.bob = { }; };

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

  merged = [ base ] ++ import ./merged.nix;

  refused = [ base ] ++ tables.refused.all;
  accepted = [ base ] ++ tables.accepted.all;
}
// numbered "refused" tables.refused.each
// numbered "accepted" tables.accepted.each
