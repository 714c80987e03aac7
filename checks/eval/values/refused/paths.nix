# Paths of the state, of projects and of configurations that are refused.
let
  shared = import ../../../../nix/shared.nix;
in
{
  single = {
    stateDir = {
      "absolute" = [
        ""
        "lib/pi"
        "~/pi"
      ];
      "whole file system" = [ "/" ];
      "shortest form" = [
        "/srv/pi/"
        "/srv/../pi"
      ];
      "control character" = [ "/srv/a\nb" ];
      # Also what the case on tmpfiles rules asks of.
      "quote" = [ ''/srv/a "b" %h\'' ];
      "its own /tmp" = [ "/tmp/pi" ];
    };
    "hostUsers.alice.configPath" = {
      "configuration directory" = [
        ""
        "~/"
      ];
      "`..`" = [ "../bob/.pi" ];
      "control character" = [ "a\nb" ];
    };
    "wrapper.hostConfigPath"."`..`" = [ "../bob/.pi" ];
  };

  list = {
    "hostUsers.alice.projectRoots" = {
      "empty" = [ "" ];
      "relative" = [
        "p"
        "./p"
        "~bob/p"
      ];
      "whole file system" = [
        "/"
        "//"
      ];
      "`..`" = [
        "/srv/../etc"
        "/srv/./x"
        "~/../bob"
        "/srv/.."
      ];
      "control character" = [
        "/srv/a\nb"
        "/srv/a\tb"
        "~/a\rb"
      ];
      "stateDir (/var/lib/pi-agent)" = [
        "/var/lib/pi-agent"
        "/var/lib/pi-agent/"
        "/var/lib/pi-agent/projects"
        "/var/lib"
      ];
      "its own" =
        shared.reservedPaths
        ++ map (place: "${place}/x") shared.reservedPaths
        ++ [
          "/nix/store"
          "/var"
          "//tmp//x"
        ];
    };
    environmentFiles = {
      "absolute" = [ "secrets.env" ];
      "Nix store" = [ "/nix//store/./x" ];
    };
  };
}
