# The programs, built from a frozen configuration.
#
# module.nix passes `frozen` and gets `{ policy, program, runner, wrapper, prepareRoot }` for it.
# Without it, as in `nix-build -A wrapper`, the same is built for the example
# configuration, and the rest of the flake's outputs stands beside it.
{
  pkgs ? import <nixpkgs> { },
  frozen ? null,
}:
let
  inherit (pkgs) lib python3Packages;

  build =
    {
      # Policy values that need no building, as they will stand in the JSON file.
      policy,
      package,
      binaryName,
      extraPackages,
      runnerName,
      systemd,
      # Path of the setuid sudo; it lies outside the store.
      sudo,
    }:
    let
      # Chosen while building, so that evaluation needs no built package.
      program =
        pkgs.runCommandLocal "pi-agent-program"
          {
            bin = "${lib.getBin package}/bin";
            names = lib.unique [
              binaryName
              "pi"
              "pi-agent"
            ];
          }
          ''
            for name in $names; do
              if [ -f "$bin/$name" ] && [ -x "$bin/$name" ]; then
                mkdir -p "$out/bin"
                ln -s "$bin/$name" "$out/bin/pi"
                exit 0
              fi
            done
            {
              echo "error: m3ta.pi-agent.package has no executable of the names tried."
              echo "  package: ''${bin%/bin}"
              echo "  tried:   $names"
              echo "  its bin: $(ls "$bin" 2>/dev/null | tr '\n' ' ')"
              echo "Set m3ta.pi-agent.binaryName to one that is there."
            } >&2
            exit 1
          '';

      # One file for each: a launch reads its own user's alone, however many there are.
      hostUsers = lib.mapAttrs (
        _: user: pkgs.writeText "pi-agent-host-user.json" (builtins.toJSON user)
      ) policy.hostUsers;

      policyFile = pkgs.writeText "pi-agent-policy.json" (
        builtins.toJSON (
          policy
          // {
            version = 4;
            hostUsers = lib.mapAttrs (_: file: "${file}") hostUsers;
            program = "${program}/bin/pi";
            path = map (extra: "${lib.getBin extra}/bin") extraPackages;
            shell = lib.getExe pkgs.bashInteractive;
            launcher = "${./pi_agent/session/launch.bash}";
            # See nix/host/compile-cache.nix.
            compileCache = "/var/cache/pi-agent-compile-cache/${baseNameOf "${program}"}/node";
            forgetCompileCache = "${./pi_agent/session/forget_compile_cache.cjs}";
            systemCallFilter = "${systemCallFilter}";
            tools = {
              inherit sudo;
              bash = lib.getExe pkgs.bash;
              git = lib.getExe pkgs.git;
              setpriv = lib.getExe' pkgs.util-linux "setpriv";
              setsid = lib.getExe' pkgs.util-linux "setsid";
              systemctl = lib.getExe' systemd "systemctl";
              systemd-run = lib.getExe' systemd "systemd-run";
            };
          }
        )
      );

      runner = python runnerName [ ] ./runner.py { policy = "${policyFile}"; };
      # With what a shell and man(1) look for beside a command.
      wrapper = pkgs.symlinkJoin {
        name = policy.commandName;
        paths = [
          # It alone asks where a user keeps data.
          (python policy.commandName [ python3Packages.pyxdg ] ./wrapper.py {
            policy = "${policyFile}";
            runner = "${runner}/bin/${runnerName}";
          })
          (pages policy.commandName)
        ];
        meta.mainProgram = policy.commandName;
      };
    in
    {
      policy = policyFile // { inherit hostUsers; };
      inherit program runner wrapper prepareRoot;
    };

  # What both programs share. Compiled here, since a store is read-only at
  # run time; unchecked hashes, since store files all have the same old mtime.
  piAgent = python3Packages.toPythonModule (
    pkgs.runCommandLocal "pi_agent"
      {
        source = builtins.path {
          name = "pi_agent";
          path = ./pi_agent;
          filter =
            path: type:
            if type == "directory" then
              baseNameOf path != "__pycache__"
            else
              lib.any (suffix: lib.hasSuffix suffix path) [
                ".bash"
                ".json"
                ".py"
              ];
        };
      }
      ''
        package=$out/${pkgs.python3.sitePackages}/pi_agent
        mkdir -p "''${package%/*}"
        cp -r --no-preserve=mode "$source" "$package"
        ${pkgs.python3.interpreter} -m compileall -q --invalidation-mode unchecked-hash "$package"
        PYTHONPATH="''${package%/*}" ${pkgs.python3.interpreter} -m pi_agent.python.bundle "$package"
      ''
  );

  # Mounts the system directories that sessions see (pi_agent/sandbox/prepared_root.py).
  prepareRoot = pkgs.writeShellScriptBin "pi-agent-root" ''
    exec ${withPiAgent.interpreter} -I -m pi_agent.sandbox.prepared_root
  '';

  withPiAgent = pkgs.python3.withPackages (_: [
    python3Packages.orjson
    piAgent
  ]);

  # Tab completion and manual of the command of this name, and the reference of all options.
  pages =
    name:
    pkgs.runCommandLocal "${name}-pages"
      {
        inherit (withPiAgent) interpreter;
        options = ./docs/options.md;
        selfRunning = ./docs/self-running.md;
      }
      ''
        "$interpreter" -I -m pi_agent.cli.installed_pages ${name} "$out"
        mkdir -p "$out/share/doc/pi-agent"
        cp "$options" "$out/share/doc/pi-agent/options.md"
        cp "$selfRunning" "$out/share/doc/pi-agent/self-running.md"
      '';

  systemCallFilter = pkgs.runCommandLocal "pi-agent-system-call-filter" { } ''
    ${pkgs.python3.interpreter} -I ${./pi_agent/sandbox/system_call_filter.py} >$out
  '';

  python =
    name: libraries: source: paths:
    pkgs.writers.writePython3Bin name {
      libraries = [
        python3Packages.orjson
        piAgent
      ]
      ++ libraries;
      # Long lines, and the two that flake8 ignores unless it is given a list.
      flakeIgnore = [
        "E501"
        "W503"
        "W504"
      ];
      # A caller's environment must not choose what code these programs run.
      # sudo drops most of it; the wrapper has no sudo in front of it.
      makeWrapperArgs =
        lib.concatMap
          (variable: [
            "--unset"
            variable
          ])
          [
            # nixpkgs' own Python reads this one as well.
            "NIX_PYTHONPATH"
            "PYTHONBREAKPOINT"
            "PYTHONCASEOK"
            "PYTHONDEVMODE"
            "PYTHONDONTWRITEBYTECODE"
            "PYTHONEXECUTABLE"
            "PYTHONHOME"
            "PYTHONINSPECT"
            "PYTHONIOENCODING"
            "PYTHONMALLOC"
            "PYTHONOPTIMIZE"
            "PYTHONPATH"
            "PYTHONPLATLIBDIR"
            "PYTHONPROFILEIMPORTTIME"
            "PYTHONPYCACHEPREFIX"
            "PYTHONSTARTUP"
            "PYTHONTRACEMALLOC"
            "PYTHONUSERBASE"
            "PYTHONVERBOSE"
            "PYTHONWARNINGS"
          ]
        ++ [
          "--set"
          "PYTHONNOUSERSITE"
          "1"
          "--set"
          "PYTHONSAFEPATH"
          "1"
        ];
    } (pkgs.replaceVars source paths);

  example = pkgs.nixos [
    ./module.nix
    ./checks/example.nix
  ];
  built = example.config.m3ta.pi-agent.build;
in
if frozen != null then
  build frozen
else
  {
    inherit (built) policy runner wrapper;

    nixosModules.default = ./module.nix;

    checks = {
      inherit (built) runner wrapper;
      eval = import ./checks/eval { inherit pkgs; };
    }
    // lib.optionalAttrs (pkgs ? testers && builtins.pathExists ./checks/vm.nix) {
      vm = pkgs.testers.runNixOSTest ./checks/vm.nix;
      vm-sudo-rs = pkgs.testers.runNixOSTest {
        imports = [ ./checks/vm.nix ];
        name = lib.mkForce "pi-agent-sudo-rs";
        nodes.machine.security.sudo-rs.enable = true;
      };
    };

    devShell = pkgs.mkShellNoCC {
      packages = [
        (pkgs.python3.withPackages (modules: [
          modules.orjson
          modules.pyxdg
          modules.pytest
          modules.hypothesis
          modules.pexpect
        ]))
        pkgs.ruff
        pkgs.mypy
        pkgs.nixfmt-tree
      ];
    };

    formatter = pkgs.nixfmt-tree;
  }
