{
  description = "A stand-in for nixpkgs: the few functions this project uses, over the tools of a Debian machine";

  outputs =
    { self }:
    let
      lib = import ./lib.nix;
    in
    {
      lib = lib // {
        # As in the real flake: makes a configuration for one system from modules.
        nixosSystem =
          {
            system ? "x86_64-linux",
            modules,
            specialArgs ? { },
          }:
          self.legacyPackages.${system}.nixosWith specialArgs modules;
      };

      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system: import ./default.nix { inherit system; }
      );
    };
}
