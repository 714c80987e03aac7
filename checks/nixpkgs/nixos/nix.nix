# Where Nix looks up <names> and flakes.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.nix;
  channels = "/nix/var/nix/profiles/per-user/root/channels";

  option =
    type: default:
    mkOption {
      inherit type default;
      description = "As in NixOS.";
    };
in
{
  options.nix = {
    enable = option types.bool true;
    channel.enable = option types.bool true;
    nixPath = option (types.listOf types.str) (
      lib.optionals cfg.channel.enable [
        "nixpkgs=${channels}/nixos"
        "nixos-config=/etc/nixos/configuration.nix"
        channels
      ]
    );
  };
}
