# Whether there is an agent, and which program it is.
{ lib, pkgs, ... }:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    mkPackageOption
    types
    ;
in
{
  options.m3ta.pi-agent = {
    enable = mkEnableOption ''
      the Pi coding agent in a sandbox: each host user listed in
      {option}`m3ta.pi-agent.hostUsers` runs it in their own projects, under an
      account of its own, and it sees one project root and its own state
      instead of their home'';

    package = mkPackageOption pkgs "pi-coding-agent" {
      extraDescription = ''
        It provides the program that runs inside the sandbox; see
        {option}`m3ta.pi-agent.binaryName`.'';
    };

    binaryName = mkOption {
      type = types.str;
      default = "pi-agent";
      example = "pi-nightly";
      description = ''
        Preferred name of the program in the package's {file}`bin`. If the
        package has no program of that name, `pi` is used, then `pi-agent`. If
        it has none of them, the build fails and lists the programs it found.
      '';
    };

    extraPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.ripgrep pkgs.nodejs ]";
      description = "Packages whose {file}`bin` comes first on the agent's `PATH`.";
    };
  };
}
