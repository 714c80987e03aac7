# Further systemd properties of a session's unit.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.m3ta.pi-agent.sandbox.properties = mkOption {
    type = types.attrsOf (
      types.oneOf [
        types.bool
        types.int
        types.str
        (types.listOf types.str)
      ]
    );
    default = { };
    example = {
      CPUQuota = "200%";
      RuntimeMaxSec = "8h";
      RestrictNamespaces = false;
      SystemCallFilter = [
        "@mount"
        "pivot_root"
      ];
    };
    description = ''
      Properties of the session's systemd unit, by their names in
      {manpage}`systemd.exec(5)` and {manpage}`systemd.resource-control(5)`.
      They are set after the module's own properties and after
      {option}`m3ta.pi-agent.sandbox.resources`. A single value replaces the
      earlier one; where systemd keeps a list, it adds to the list, and `""`
      empties it. `true` and `false` become `yes` and `no`. A list sets the
      property once for each element.

      A property can loosen the sandbox for every host user. Properties are
      refused if they would change the agent's identity, its mounts, the
      separation between sessions, or how sessions are supervised and ended. The
      agent does not start if systemd does not know one of the properties.

      Setting `RestrictNamespaces` to anything but `true` also turns off Landlock
      for sessions, because Landlock would keep programs inside from mounting anything.
    '';
  };
}
