# The programs on the host's PATH.
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;
  inherit (cfg) wrapper;
in
{
  config.environment.systemPackages = lib.mkIf cfg.enable (
    lib.optional wrapper.enable cfg.build.wrapper
    ++ lib.optional (!wrapper.enable || !wrapper.hideDirectBinary) cfg.package
  );
}
