# What is built from a configuration, for tests and for the flake; set by ../policy.nix.
{ lib, ... }:
let
  built =
    what:
    lib.mkOption {
      type = lib.types.package;
      internal = true;
      readOnly = true;
      description = "The ${what}, built from this configuration.";
    };
in
{
  options.m3ta.pi-agent.build = {
    policy = built "frozen policy, a JSON file that names one file per host user";
    program = built "link to the package's executable";
    runner = built "program that sudo runs as root";
    wrapper = built "command that host users type";
    prepareRoot = built "program that mounts the system directories that sessions see";
  };
}
