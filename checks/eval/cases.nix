# The evaluation checks: what the module makes of a configuration, under any `pkgs`, the stand-in's or
# nixpkgs'.
#
# `cases` maps a sentence to what is wanted and what was got. `summaries` holds whole results, for `run` to
# compare between one `pkgs` and another. `evaluations` is the number of NixOS configurations behind them.
{ pkgs }:
let
  inherit (pkgs) lib;
  inherit (lib) attrNames mapAttrs;

  systems = mapAttrs (_: modules: pkgs.nixos ([ ../../module.nix ] ++ modules)) (
    import ./configurations { inherit pkgs; }
  );
  configs = mapAttrs (_: system: system.config) systems;
  questions = import ./questions.nix { inherit lib; };

  context = {
    inherit pkgs lib configs;
    inherit (systems.bare) options;
    inherit (questions) case;
    ask = questions;
  };
in
{
  cases = lib.concatMapAttrs (_: file: import file context) {
    compile-cache = ./cases/compile-cache.nix;
    defaults = ./cases/defaults.nix;
    effects = ./cases/effects.nix;
    host = ./cases/host.nix;
    merging = ./cases/merging.nix;
    policy = ./cases/policy.nix;
    prepared-root = ./cases/prepared-root.nix;
    reference = ./cases/reference.nix;
    refusals = ./cases/refusals.nix;
    types = ./cases/types.nix;
  };

  summaries =
    mapAttrs
      (_: config: {
        policy = questions.policy config;
        tmpfiles = questions.tmpfiles config;
        sudo = questions.sudo "sudo" config;
        sudo-rs = questions.sudo "sudo-rs" config;
        packages = questions.packages config;
        complaints = questions.complaints config;
        groups = builtins.filter (name: name == config.m3ta.pi-agent.group) (
          attrNames config.users.groups
        );
        users = mapAttrs (name: _: questions.user name config) (
          lib.filterAttrs (_: user: user.description == "Isolated Pi agent user") config.users.users
        );
      })
      {
        inherit (configs)
          base
          several
          sudo-rs
          bare
          everything
          ;
      };

  evaluations = builtins.length (attrNames systems);
}
