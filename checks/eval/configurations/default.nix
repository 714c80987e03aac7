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
    {
      security.sudo.enable = false;
      security.sudo-rs.enable = true;
    }
  ];
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
