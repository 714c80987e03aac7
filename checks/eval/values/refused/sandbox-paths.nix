# Paths that the sandbox cannot protect, hide or show.
{
  list = {
    "sandbox.protectedPaths" = {
      "empty" = [ "" ];
      "relative to the project root" = [
        "/"
        "/etc/x"
        "~"
        "~/.ssh"
      ];
      "shortest form" = [
        "."
        ".."
        "../x"
        "a/../b"
        "./a"
        "a//b"
        "a/"
      ];
      "control character" = [
        "a\nb"
        "a\tb"
      ];
      "`**`" = [
        "**"
        "a/**/b"
      ];
      "wildcard" = [
        "a?*"
        "a/[ab]*"
        "*]"
      ];
    };
    "sandbox.hiddenPaths"."relative to the user's home" = [
      "/"
      "~/.ssh"
    ];

    "sandbox.readOnlyPaths" = {
      "absolute" = [
        ""
        "srv/x"
        "~/x"
      ];
      "whole file system" = [ "/" ];
      "shortest form" = [
        "/srv/../etc"
        "/srv/./x"
        "/srv/x/"
        "//srv/x"
      ];
      "control character" = [ "/srv/a\nb" ];
      "people" = [
        "/home"
        "/root"
        "/run/user"
      ];
      "stateDir (/var/lib/pi-agent)" = [
        "/var/lib"
        "/var/lib/pi-agent"
        "/var/lib/pi-agent/users/alice"
      ];
      "its own /bin" = [ "/bin/sh" ];
      "its own /boot" = [ "/boot" ];
      "its own /dev" = [
        "/dev"
        "/dev/dri"
      ];
      "its own /etc" = [ "/etc/ssl" ];
      "its own /lib" = [ "/lib" ];
      "its own /lib64" = [ "/lib64" ];
      "its own /nix" = [
        "/nix"
        "/nix/var"
      ];
      "its own /proc" = [ "/proc/1" ];
      "its own /run/current-system" = [
        "/run"
        "/run/current-system"
      ];
      "its own /run/nscd" = [ "/run/nscd/socket" ];
      "its own /run/pi-agent" = [ "/run/pi-agent/1000" ];
      "its own /run/pi-agent-root" = [ "/run/pi-agent-root/x" ];
      "its own /run/systemd" = [ "/run/systemd/private" ];
      "its own /sbin" = [ "/sbin" ];
      "its own /sys" = [ "/sys/class" ];
      "its own /tmp" = [ "/tmp/.X11-unix" ];
      "its own /usr" = [ "/usr/local" ];
      "its own /var/hidden" = [ "/var" ];
      "its own /var/run" = [ "/var/run/x" ];
      "its own /var/tmp" = [
        "/var/tmp/x"
      ];
    };
    "sandbox.readWritePaths" = {
      "its own /tmp" = [ "/tmp/x" ];
      # Refused above as well, and so in both lists.
      "sandbox.readOnlyPaths" = [ "/boot" ];
    };
  };
}
