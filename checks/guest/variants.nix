# Configurations beside the base one, so that scenarios can try an option without a rebuild: the name of a
# command → its changes to base.nix. Unless it says otherwise, a variant has its own state directory, shares
# the base's user, and runs `probe` instead of Pi (see probe.py). A host user that is `null` is removed.
{ pkgs, probe }:
let
  # A package whose only program is `probe` under another name.
  probeAs =
    name:
    pkgs.runCommandLocal "probe-as-${name}" { } ''
      mkdir -p $out/bin
      ln -s ${probe}/bin/pi $out/bin/${name}
    '';
  # Accounts that the variant makes for itself, beside those of the base.
  ownAccounts = name: {
    createUser = true;
    user = name;
    group = name;
  };
in
{
  pi-probe = { };

  # For measuring a launch: the program does nothing.
  pi-true = {
    binaryName = "true";
    package = pkgs.coreutils;
  };

  # The same, with another configuration directory for alice.
  pi-synced = {
    binaryName = "true";
    package = pkgs.coreutils;
    hostUsers.alice.configPath = ".config/bench-pi";
  };

  # Controls of what is protected.
  pi-unprotected.sandbox.protectedPaths = [ ];

  pi-nosync.wrapper.syncConfigFromHost = false;

  pi-args.wrapper.extraRunArgs = [
    "--first"
    "two words"
    "$HOME %h \"quoted\""
  ];

  # Shows what is visible if the first argument alone decides what is mounted, as `--version` does.
  pi-look.wrapper.extraRunArgs = [
    "exec"
    "bash"
    "-c"
    "pwd; ls -A /home; env; cat /proc/self/mountinfo"
  ];

  # One variable for each option that can set variables, and one that all of them set.
  pi-env = {
    environment = {
      CHECKS_ENVIRONMENT = "from environment";
      CHECKS_ALL = "environment";
      CHECKS_NOT_EXTRA = "environment";
      CHECKS_LITERAL = "$HOME %h \"quoted\" # no comment";
    };
    environmentFiles = [
      "/etc/pi-agent-secrets/base.env"
      "/etc/pi-agent-secrets/more.env"
    ];
    wrapper.extraEnvironment = {
      CHECKS_EXTRA_ENVIRONMENT = "from extraEnvironment";
      CHECKS_ALL = "extraEnvironment";
    };
  };

  pi-missing-env.environmentFiles = [ "/etc/pi-agent-secrets/missing.env" ];

  pi-settings.settings = {
    theme = "dark";
    terminal.showImages = false;
  };

  # The real Pi, with another model.
  pi-pinned = {
    package = pkgs.pi-coding-agent;
    settings.defaultModel = "scripted-3";
  };

  # An older Pi, where it can be had: nixpkgs may ship either.
  pi-older.package = pkgs.pi-coding-agent-0-87 or pkgs.pi-coding-agent;

  # The real Pi, with a package from the registry in npm_registry.py.
  pi-packages = {
    package = pkgs.pi-coding-agent;
    settings.packages = [ "npm:pi-agent-checks-package" ];
    environment.NPM_CONFIG_REGISTRY = "http://127.0.0.1:8318/";
    extraPackages = [ pkgs.nodejs ];
  };

  # The package has the preferred name, and another one that must not be used.
  pi-named = {
    binaryName = "checks-named";
    package = pkgs.buildEnv {
      name = "probe-named";
      paths = [
        (probeAs "checks-named")
        (pkgs.writeShellScriptBin "pi" "echo the wrong program; exit 1")
      ];
    };
  };

  # The package has neither the preferred name nor `pi`.
  pi-agentbin = {
    binaryName = "checks-absent";
    package = probeAs "pi-agent";
  };

  pi-direct = {
    binaryName = "checks-direct";
    package = probeAs "checks-direct";
    wrapper.hideDirectBinary = false;
  };

  pi-group = ownAccounts "pi-agent-group" // {
    projectGroup = "team";
  };

  # The group that agents share with people is the people's primary group.
  pi-users = ownAccounts "pi-agent-users" // {
    projectGroup = "users";
  };

  # A machine that lists one person, and then a second one: the two share a state directory.
  pi-one = {
    stateDir = "/var/lib/pi-people";
    hostUsers.bob = null;
  };
  pi-two.stateDir = "/var/lib/pi-people";

  # With one host user, the agent may own the state. It is given an account of its own later.
  pi-sole = ownAccounts "pi-agent-sole" // {
    hostUsers.alice.agentUser = "pi-agent-sole";
    hostUsers.bob = null;
  };
  pi-apart = ownAccounts "pi-agent-sole" // {
    stateDir = "/var/lib/pi-sole";
    hostUsers.bob = null;
  };

  pi-state = {
    createUser = true;
    user = "pi-agent-other";
    group = "pi-agent-state";
    stateDir = "/var/lib/checks/other state";
  };

  pi-config = {
    hostUsers.alice.configPath = ".config/other-pi";
    hostUsers.bob.configPath = "/srv/bob-pi";
    wrapper.hostConfigPath = "unused";
  };

  pi-default-config.wrapper.hostConfigPath = ".config/other-pi";

  # Only alice, and only one root.
  pi-narrow.hostUsers = {
    alice.projectRoots = [ "~/p/demo" ];
    bob.projectRoots = [ "/srv/shared/bob" ];
  };

  # Alice's whole home is a project root, so sandbox.hiddenPaths matters.
  pi-home.hostUsers.alice.projectRoots = [ "~" ];

  pi-offline.sandbox.network = "none";

  # The session needs /srv/scratch, which fixtures creates.
  pi-paths.sandbox = {
    readOnlyPaths = [ "/opt/pi-agent" ];
    readWritePaths = [ "/srv/scratch" ];
  };

  pi-limits.sandbox.resources = {
    memoryMax = "100M";
    tasksMax = 64;
  };

  # Allows one of the denied addresses, and denies a range that only this variant denies.
  pi-addresses.sandbox = {
    denyAddresses = [
      "169.254.0.0/16"
      "fe80::/10"
      "192.0.2.0/24"
    ];
    allowAddresses = [ "169.254.169.254" ];
  };

  pi-loopback.sandbox = {
    denyAddresses = [ "any" ];
    allowAddresses = [ "127.0.0.1" ];
  };

  pi-slow.sandbox.properties.CPUQuota = "20%";

  # Looser than the default, with one value of each kind.
  pi-open.sandbox.properties = {
    RestrictNamespaces = false;
    LimitNOFILE = 4096;
    LimitSIGPENDING = "77";
    SystemCallFilter = [
      "@mount"
      "pivot_root"
    ];
  };

  pi-nodaemon.sandbox.nixDaemon = false;

  pi-tells.sandbox.onSelfRunning = "tell";
  pi-disarms.sandbox.onSelfRunning = "disarm";
}
