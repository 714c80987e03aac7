# Python, its libraries, and the builder of Python programs. As in nixpkgs, flake8 checks the programs, and an
# undeclared library is missing.
{
  lib,
  runCommand,
  writeText,
}:
let
  inherit (lib)
    concatStringsSep
    escapeShellArg
    escapeShellArgs
    optionalString
    ;

  # Debian's version is known only when something is built, so the directory has a link of the version's name.
  sitePackages = "lib/python3/site-packages";
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
      environment = runCommand "python3-env" { } ''
        mkdir -p $out/bin $out/${sitePackages}
        ln -s "$(realpath /usr/bin/python3)" $out/bin/python3
        ln -s python3 "$out/lib/$(basename "$(realpath /usr/bin/python3)")"
        printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >$out/pyvenv.cfg
        for library in ${escapeShellArgs (map modulePath libraries)}; do
          ln -s $library/${sitePackages}/* $out/${sitePackages}/
        done
      '';
    in
    environment // { interpreter = "${environment}/bin/python3"; };
  python3 = pythonEnvironment [ ] // {
    inherit sitePackages;
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
in
{
  inherit python3 python3Packages writePython3Bin;
}
