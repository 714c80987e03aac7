# A value for each option that its type refuses. For hostUsers itself it is in default.nix.
{
  enable = "yes";
  package = 1;
  binaryName = null;
  user = null;
  group = null;
  stateDir = null;
  createUser = "no";
  hostUsers.alice.projectRoots = "~/p";
  hostUsers.alice.configPath = 1;
  settings = "{}";
  environment.A = 1;
  environmentFiles = "/run/secrets/a";
  extraPackages = [ 1 ];
  projectGroup = 1;
  sandbox = {
    protectedPaths = ".git";
    hiddenPaths = ".ssh";
    readOnlyPaths = "/srv/data";
    readWritePaths = "/srv/scratch";
    network = "host";
    denyAddresses = "any";
    allowAddresses = "localhost";
    nixDaemon = "no";
    resources = {
      memoryMax = "8 G";
      memorySwapMax = 0;
      tasksMax = 15;
      cpuWeight = 0;
    };
    properties.MemoryMax = null;
  };
  wrapper = {
    enable = "no";
    commandName = null;
    hideDirectBinary = "no";
    syncConfigFromHost = "no";
    hostConfigPath = null;
    extraRunArgs = "--model";
    extraEnvironment.A = true;
  };
}
