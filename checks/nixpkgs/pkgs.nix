# Packages made of Debian's programs, and the builders that the project calls. The builders check what those
# of nixpkgs check: flake8 for Python programs, unreplaced placeholders, undeclared libraries.
{ lib, system }:
let
  inherit (lib)
    concatMapStringsSep
    concatStringsSep
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

  pythonVersion = "3.13";
  sitePackages = "lib/python${pythonVersion}/site-packages";
  # Like a virtual environment: it sees only the given libraries and not Debian's others, so that an
  # undeclared library is missing here as well.
  pythonEnvironment =
    libraries:
    let
      modulePath =
        library:
        if library ? pythonModule then
          "${library}"
        else
          throw "${library.name} is not a Python module; make it one with toPythonModule";
      environment = runCommand "python3-${pythonVersion}-env" { } ''
        mkdir -p $out/bin $out/${sitePackages}
        ln -s /usr/bin/python${pythonVersion} $out/bin/python3
        printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >$out/pyvenv.cfg
        for library in ${escapeShellArgs (map modulePath libraries)}; do
          ln -s $library/${sitePackages}/* $out/${sitePackages}/
        done
      '';
    in
    environment // { interpreter = "${environment}/bin/python3"; };
  python3 = pythonEnvironment [ ] // {
    inherit pythonVersion sitePackages;
    isPy3k = true;
    withPackages = choose: pythonEnvironment (choose python3Packages);
  };
  toPythonModule = package: package // { pythonModule = python3; };
  debianModule =
    name: module:
    toPythonModule (
      runCommand name { } ''
        mkdir -p $out/${sitePackages}
        test -e /usr/lib/python3/dist-packages/${module}
        ln -s /usr/lib/python3/dist-packages/${module} $out/${sitePackages}/
      ''
    );
  python3Packages = {
    inherit toPythonModule;
    python = python3;
    orjson = debianModule "orjson" "orjson";
    pyxdg = debianModule "pyxdg" "xdg";
    pytest = debianModule "pytest" "pytest";
    hypothesis = debianModule "hypothesis" "hypothesis";
    pexpect = debianModule "pexpect" "pexpect";
  };

  # Shell lines for arguments of makeWrapper.
  wrapperLines =
    words:
    if words == [ ] then
      [ ]
    else if lib.head words == "--unset" then
      [ "unset ${lib.elemAt words 1}" ] ++ wrapperLines (lib.drop 2 words)
    else if lib.head words == "--set" then
      [
        "export ${lib.elemAt words 1}=${escapeShellArg (lib.elemAt words 2)}"
      ]
      ++ wrapperLines (lib.drop 3 words)
    else
      throw "makeWrapperArgs: the stand-in does not know ${lib.head words}";

  writePython3Bin =
    name:
    {
      libraries ? [ ],
      flakeIgnore ? [ ],
      doCheck ? true,
      makeWrapperArgs ? [ ],
    }:
    content:
    let
      source = if lib.isDerivation content then content else writeText "${name}-source" content;
      inherit (pythonEnvironment libraries) interpreter;
      # On the command line, --ignore replaces flake8's default list, so W503 and W504 apply.
      ignore = optionalString (flakeIgnore != [ ]) "--ignore ${concatStringsSep "," flakeIgnore}";
      wrapper = lib.concatLines ([ "#!/bin/sh" ] ++ wrapperLines makeWrapperArgs);
    in
    runCommand name
      {
        inherit wrapper;
        passAsFile = [ "wrapper" ];
        meta.mainProgram = name;
      }
      ''
        echo "#! ${interpreter}" >script
        cat ${source} >>script
        ${optionalString doCheck "python3 -m flake8 --show-source ${ignore} script"}
        program=$out/bin/${name}
        ${optionalString (makeWrapperArgs != [ ]) ''
          program=$out/bin/.${name}-wrapped
          # By its full path: the wrapper itself is started through links.
          echo "exec $program \"\$@\"" | cat "$wrapperPath" - | install -D -m 555 /dev/stdin $out/bin/${name}
        ''}
        install -D -m 555 script $program
      '';

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
in
{
  inherit
    bash
    buildEnv
    lib
    python3
    python3Packages
    replaceVars
    runCommand
    runCommandLocal
    symlinkJoin
    system
    writeShellScriptBin
    writeText
    writeTextFile
    ;
  writers = { inherit writePython3Bin; };
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
  systemd = debian "systemd" { mainProgram = "systemctl"; };
  util-linux = debian "util-linux" {
    from = [
      "util-linux"
      "mount"
    ];
    mainProgram = "mount";
  };

  inherit nodejs;

  # The real Pi.
  pi-coding-agent = writeTextFile {
    name = "pi-coding-agent";
    destination = "/bin/pi";
    executable = true;
    meta.mainProgram = "pi";
    text = ''
      #!/bin/sh
      exec ${nodejs}/bin/node ${nodejs}/node_modules/@earendil-works/pi-coding-agent/dist/cli.js "$@"
    '';
  };
}
// lib.genAttrs [ "mypy" "nixfmt-tree" "ruff" ] absent
