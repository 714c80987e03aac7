# Packages made of Debian's programs, and the builders that the project calls. The builders check what those
# of nixpkgs check, such as unreplaced placeholders.
{ lib, system }:
let
  inherit (lib)
    escapeShellArg
    escapeShellArgs
    makeBinPath
    optionalString
    ;

  runCommand =
    name: env: script:
    let
      plain = removeAttrs env [
        "meta"
        "nativeBuildInputs"
        "passthru"
      ];
    in
    derivation (
      plain
      // {
        inherit name system;
        buildCommand = script;
        passAsFile = [ "buildCommand" ] ++ env.passAsFile or [ ];
        builder = "/bin/bash";
        args = [
          "-c"
          ''set -eo pipefail; source "$buildCommandPath"''
        ];
        PATH = makeBinPath (env.nativeBuildInputs or [ ]) + ":/usr/sbin:/usr/bin:/sbin:/bin";
      }
    )
    // env.passthru or { }
    // {
      meta = env.meta or { };
    };
  runCommandLocal = runCommand;

  writeTextFile =
    {
      name,
      text,
      destination ? "",
      executable ? false,
      meta ? { },
      passthru ? { },
    }:
    runCommand name
      {
        inherit meta passthru text;
        passAsFile = [ "text" ];
      }
      ''
        target=$out${escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        ${optionalString executable ''chmod +x "$target"''}
      '';
  writeText = name: text: writeTextFile { inherit name text; };
  writeShellScriptBin =
    name: text:
    writeTextFile {
      inherit name;
      text = "#!${bash}/bin/bash\n${text}";
      destination = "/bin/${name}";
      executable = true;
      meta.mainProgram = name;
    };

  # Links to all files below some directories of a package. If two packages have the same path, the first
  # one wins.
  linkFrom = pathsToLink: package: ''
    for directory in ${escapeShellArgs pathsToLink}; do
      [ -d ${package}$directory ] || continue
      find ${package}$directory/ ! -type d -printf "$directory/%P\n" | while read -r path; do
        [ -e "$out$path" ] || {
          mkdir -p "$(dirname "$out$path")"
          ln -s ${package}"$path" "$out$path"
        }
      done
    done
  '';
  # As for the system path of NixOS.
  buildEnv =
    {
      name,
      paths,
      pathsToLink ? [ "" ],
    }:
    runCommand name { } ''
      mkdir -p "$out"
      ${lib.concatLines (map (linkFrom pathsToLink) paths)}
    '';
  symlinkJoin =
    {
      name,
      paths,
      meta ? { },
    }:
    runCommand name { inherit meta; } ''
      mkdir -p "$out"
      ${lib.concatLines (map (linkFrom [ "" ]) paths)}
    '';

  replaceVars =
    source: replacements:
    runCommand (baseNameOf (toString source)) { } ''
      cp --no-preserve=mode ${source} text
      substitute() {
        if ! grep -qF "@$1@" text; then
          echo "replaceVars: ${baseNameOf (toString source)} has no @$1@" >&2
          exit 1
        fi
        python3 -I -c '
      import pathlib, sys
      name, value = sys.argv[1:]
      path = pathlib.Path("text")
      path.write_bytes(path.read_bytes().replace(f"@{name}@".encode(), value.encode()))
      ' "$1" "$2"
      }
      ${lib.concatLines (
        lib.mapAttrsToList (
          name: value: "substitute ${escapeShellArg name} ${escapeShellArg value}"
        ) replacements
      )}
      if grep -nE "@[a-zA-Z_][0-9A-Za-z_'-]*@" text >&2; then
        echo "replaceVars: ${baseNameOf (toString source)} keeps the placeholders above" >&2
        exit 1
      fi
      cp text "$out"
    '';

  # Links to the programs of a Debian package.
  debian =
    name:
    {
      from ? [ name ],
      mainProgram ? name,
      passthru ? { },
    }:
    runCommand name
      {
        inherit passthru;
        meta = { inherit mainProgram; };
      }
      ''
        mkdir -p $out/bin
        dpkg-query -L ${escapeShellArgs from} |
          sed -nE 's,^(/usr)?/(s?bin)/([^/]+)$,/usr/\2/\3,p' |
          xargs -r ln -sf -t $out/bin
      '';

  bash = debian "bash" { passthru.shellPath = "/bin/bash"; };

  # A package that can be evaluated but not built, because the machine does not have it.
  absent =
    name:
    runCommand name { meta.mainProgram = name; } ''
      echo "${name} is in nixpkgs but not in this stand-in" >&2
      exit 1
    '';

  python = import ./python.nix { inherit lib runCommand writeText; };

  # Node, npm and Pi's packages. The test machine has them in /opt/pi, from npm. They are copied because the
  # sandbox shows the store but not /opt.
  nodejs = runCommand "nodejs" { meta.mainProgram = "node"; } ''
    cp -r --no-preserve=ownership /opt/pi $out
    for name in npm npx; do
      printf '#!/bin/sh\nexec %s %s "$@"\n' \
        $out/bin/node $out/node_modules/npm/bin/$name-cli.js >$out/bin/$name
      chmod +x $out/bin/$name
    done
  '';

  # The program of a Pi, by the directory of its package.
  pi =
    directory:
    writeTextFile {
      name = "pi-coding-agent";
      destination = "/bin/pi";
      executable = true;
      meta.mainProgram = "pi";
      text = ''
        #!/bin/sh
        exec ${nodejs}/bin/node ${nodejs}/node_modules/${directory}/dist/cli.js "$@"
      '';
    };
in
{
  inherit
    bash
    buildEnv
    lib
    replaceVars
    runCommand
    runCommandLocal
    symlinkJoin
    system
    writeShellScriptBin
    writeText
    writeTextFile
    ;
  inherit (python) python3 python3Packages;
  writers = { inherit (python) writePython3Bin; };
  mkShellNoCC =
    {
      name ? "shell",
      packages,
    }:
    buildEnv {
      inherit name;
      paths = packages;
    };

  bashInteractive = bash;
  coreutils = debian "coreutils" { mainProgram = "ls"; };
  git = debian "git" { };
  sudo = debian "sudo" { };
  sudo-rs = debian "sudo-rs" { } // {
    version = "0.2.5";
  };
  systemd = debian "systemd" { mainProgram = "systemctl"; };
  util-linux = debian "util-linux" {
    from = [
      "util-linux"
      "bsdutils"
      "mount"
    ];
    mainProgram = "mount";
  };

  inherit nodejs;

  # The real Pi, and an older one for a variant. nixpkgs has only one of them at a time.
  pi-coding-agent = pi "@earendil-works/pi-coding-agent";
  pi-coding-agent-0-87 = pi "pi-coding-agent-0.87.1";
}
// lib.genAttrs [ "mypy" "nixfmt-tree" "ruff" ] absent
