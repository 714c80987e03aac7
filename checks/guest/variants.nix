# Configurations that stand beside the base one, so that scenarios can try an option without a rebuild:
# the name of a command → what it changes in base.nix. Unless it says otherwise a variant has a state
# directory of its own, borrows the base's user, and runs `probe` instead of Pi (see probe.py).
{ pkgs, probe }:
let
  # A package whose only program is `probe` under another name.
  probeAs =
    name:
    pkgs.runCommandLocal "probe-as-${name}" { } ''
      mkdir -p $out/bin
      ln -s ${probe}/bin/pi $out/bin/${name}
    '';
in
{
  pi-probe = { };

  # Launched to be timed: the program does nothing, so that all the time is the launch's.
  pi-true = {
    binaryName = "true";
    package = pkgs.coreutils;
  };

  # The same, with a configuration of its own for alice.
  pi-synced = {
    binaryName = "true";
    package = pkgs.coreutils;
    hostUsers.alice.configPath = ".config/bench-pi";
  };

  pi-nosync.wrapper.syncConfigFromHost = false;

  pi-args.wrapper.extraRunArgs = [
    "--first"
    "two words"
    "$HOME %h \"quoted\""
  ];

  # What is visible where an argument alone decides what is mounted (`--version`).
  pi-look.wrapper.extraRunArgs = [
    "exec"
    "bash"
    "-c"
    "pwd; ls -A /home; env; cat /proc/self/mountinfo"
  ];

  # One variable per place that can set it, and one that all of them set.
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

  # The real Pi, with a model of its own choice.
  pi-pinned = {
    package = pkgs.pi-coding-agent;
    settings.defaultModel = "scripted-3";
  };

  # The real Pi, with a package of its own from the registry of npm_registry.py.
  pi-packages = {
    package = pkgs.pi-coding-agent;
    settings.packages = [ "npm:pi-agent-checks-package" ];
    environment.NPM_CONFIG_REGISTRY = "http://127.0.0.1:8318/";
    extraPackages = [ pkgs.nodejs ];
  };

  # The preferred name is there, and so is another one that must not be taken.
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

  # Neither the preferred name nor `pi`.
  pi-agentbin = {
    binaryName = "checks-absent";
    package = probeAs "pi-agent";
  };

  pi-direct = {
    binaryName = "checks-direct";
    package = probeAs "checks-direct";
    wrapper.hideDirectBinary = false;
  };

  pi-group = {
    createUser = true;
    user = "pi-agent-group";
    group = "pi-agent-group";
    projectGroup = "team";
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

  # Alice's whole home is a project root: what sandbox.hiddenPaths is for.
  pi-home.hostUsers.alice.projectRoots = [ "~" ];

  pi-offline.sandbox.network = "none";

  # fixtures makes /srv/scratch; without it nothing starts.
  pi-paths.sandbox = {
    readOnlyPaths = [ "/opt/pi-agent" ];
    readWritePaths = [ "/srv/scratch" ];
  };

  pi-limits.sandbox.resources = {
    memoryMax = "100M";
    tasksMax = 64;
  };

  # One address of what is denied, and one beside it that is denied here alone.
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

  # Looser than the default, with a value of each kind.
  pi-open.sandbox.properties = {
    RestrictNamespaces = false;
    LimitNOFILE = 4096;
    LimitCORE = "0";
    SystemCallFilter = [
      "@mount"
      "pivot_root"
    ];
  };

  pi-nodaemon.sandbox.nixDaemon = false;
}
