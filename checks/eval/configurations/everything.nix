# A value other than the default for each option, except those that take effects of others away.
{ pkgs }:
{
  package = pkgs.coreutils;
  binaryName = "pi-nightly";
  user = "robot";
  group = "robots";
  stateDir = "/srv/pi";
  hostUsers.alice = {
    projectRoots = [ "/srv/x" ];
    configPath = "~/.config/pi";
    agentUser = "robot-1";
    agentGroup = "robots-1";
  };
  hostUsers.bob.projectRoots = [ "/srv/y" ];
  settings = {
    a.b = [
      1
      { c = null; }
    ];
    theme = "dark";
  };
  environment.A = "b c\td";
  environmentFiles = [
    "/run/secrets/a"
    "/run/secrets/a"
  ];
  extraPackages = [
    pkgs.git
    pkgs.coreutils
  ];
  projectGroup = "team";
  sandbox = {
    protectedPaths = [ "a" ];
    hiddenPaths = [ "*/b" ];
    readOnlyPaths = [ "/srv/data" ];
    readWritePaths = [ "/srv/scratch" ];
    network = "none";
    denyAddresses = [ "any" ];
    allowAddresses = [ "::1" ];
    nixDaemon = false;
    onSelfRunning = "disarm";
    resources = {
      memoryMax = "50%";
      memorySwapMax = "0";
      tasksMax = 100;
      cpuWeight = 1;
    };
    # One of each kind, some of which replace what is set before.
    properties = {
      CPUQuota = "200%";
      LimitNOFILE = 4096;
      MemoryMax = "8G";
      NoNewPrivileges = true;
      RestrictNamespaces = false;
      SystemCallFilter = [
        "@mount"
        ""
        "pivot_root"
      ];
    };
  };
  wrapper = {
    commandName = "agent";
    runnerName = "run-agent";
    hideDirectBinary = false;
    syncConfigFromHost = false;
    hostConfigPath = ".p";
    extraRunArgs = [
      "--model"
      "a b"
    ];
    extraEnvironment.B = "";
  };
}
