{
  description = "The Pi coding agent on NixOS, in a hardened sandbox, with an account for each host user's agents";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      eachSystem =
        output:
        nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system: output (import ./default.nix { pkgs = nixpkgs.legacyPackages.${system}; })
        );
    in
    {
      nixosModules.default = ./module.nix;

      packages = eachSystem (project: {
        inherit (project) policy runner wrapper;
        default = project.wrapper;
      });

      checks = eachSystem (project: project.checks);
      devShells = eachSystem (project: {
        default = project.devShell;
      });
      formatter = eachSystem (project: project.formatter);
    };
}
