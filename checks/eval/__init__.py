"""The evaluation checks: what Nix makes of the module, the stand-in for nixpkgs and the flake."""
