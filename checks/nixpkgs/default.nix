# The part of `import <nixpkgs> { }` that this project uses. The checks can pass nixpkgs' own `lib`, to run
# the same packages and options under its module system.
{
  system ? builtins.currentSystem,
  lib ? import ./lib.nix,
}:
let
  pkgs = import ./pkgs.nix { inherit lib system; };

  nixosWith =
    specialArgs: modules:
    let
      evaluated = lib.evalModules {
        modules = [ ./nixos.nix ] ++ lib.toList modules;
        specialArgs = specialArgs // {
          inherit pkgs;
        };
      };
    in
    {
      inherit (evaluated) config options;
      inherit pkgs;
    };
in
pkgs
// {
  inherit lib nixosWith;
  nixos = nixosWith { };
}
