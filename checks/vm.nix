# The NixOS VM test, for people with Nix and a network:
#
#     nix build .#checks.x86_64-linux.vm                    or .vm-sudo-rs
#     nix run .#checks.x86_64-linux.vm.driverInteractive    to look inside
#
# It runs the same scenarios as the test machine. People, configuration, variants, fixtures and services come
# from `guest/`; here is what Debian does in another way or already has.
{
  name = "pi-agent";
  globalTimeout = 7200;

  nodes.machine =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      python = pkgs.python3.withPackages (modules: [
        modules.hypothesis
        modules.orjson
        modules.pexpect
        modules.pytest
      ]);

      # The project as the scenarios find it in every machine, with interpreters from the store instead of
      # Debian's.
      project =
        pkgs.runCommandLocal "pi-agent-project"
          {
            source = lib.fileset.toSource {
              root = ../.;
              fileset = lib.fileset.unions [
                ../default.nix
                ../flake.lock
                ../flake.nix
                ../module.nix
                ../nix
                ../pyproject.toml
                ../README.md
                ../docs/options.md
                ../docs/pi-files.md
                ../runner.py
                ../wrapper.py
                ../pi_agent
                ./.
              ];
            };
            nativeBuildInputs = [ python ];
          }
          ''
            cp -r --no-preserve=ownership "$source" "$out"
            chmod -R u+w "$out"
            patchShebangs --build "$out/checks"
          '';

      # The unit files of the Debian guest.
      units = pkgs.runCommandLocal "pi-agent-checks-units" { } ''
        mkdir -p "$out/lib/systemd"
        cp -r ${./guest/rootfs/etc/systemd/system} "$out/lib/systemd/system"
      '';
    in
    {
      imports = [ ./guest/configuration.nix ];
      # For the variants of guest/side-by-side.nix: each is a system, but the few options of nixpkgs/nixos.nix are all
      # that they use of it, and much cheaper.
      _module.args.evaluate =
        modules:
        (lib.evalModules {
          modules = [ ./nixpkgs/nixos.nix ] ++ modules;
          specialArgs = { inherit pkgs; };
        }).config;

      environment.etc."pi-agent-checks.json".text = builtins.toJSON config.checks.facts;
      systemd.tmpfiles.rules = [ "L+ /opt/pi-agent - - - - ${project}" ];

      systemd.packages = [ units ];
      systemd.services.model-server.wantedBy = [ "multi-user.target" ];
      systemd.services.test-addresses = {
        path = [ pkgs.iproute2 ];
        wantedBy = [ "multi-user.target" ];
      };

      nix.extraOptions = builtins.readFile ./guest/rootfs/etc/nix/nix.conf;

      # As in guest/prepare; neither is the default.
      time.timeZone = "Europe/Berlin";
      i18n.defaultLocale = "C.UTF-8";
      i18n.extraLocales = [ "de_DE.UTF-8/UTF-8" ];

      # Programs in guest/packages that NixOS does not have by default.
      environment.systemPackages = [
        python
        pkgs.acl
        pkgs.attr
        pkgs.bash-completion
        pkgs.fd
        pkgs.file
        pkgs.gcc
        pkgs.git
        pkgs.gnumake
        pkgs.groff
        pkgs.nodejs
        pkgs.psmisc
        pkgs.ripgrep
        pkgs.strace
        pkgs.tmux
      ];

      virtualisation = {
        cores = 2;
        diskSize = 4096;
        memorySize = 3072;
        # All addresses that tests use are inside the machine: see guest/test-addresses.
        vlans = [ ];
      };
    };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.wait_for_unit("model-server.service")
    machine.wait_for_open_port(8317)

    with subtest("The people of the machine have homes with something in them"):
        machine.succeed("/opt/pi-agent/checks/guest/fixtures")

    with subtest("Every scenario holds"):
        print(
            machine.succeed(
                "cd /opt/pi-agent && PYTHONPATH=checks/guest"
                " python3 -B -m pytest -ra -p no:cacheprovider -p skips_fail checks/scenarios checks/escapes 2>&1",
                timeout=6600,
            )
        )
  '';
}
