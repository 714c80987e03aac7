# The directories that the agent and the runner need, as rules for tmpfiles.d(5).
{ config, lib, ... }:
let
  cfg = config.m3ta.pi-agent;

  # One field of a rule: `%` starts a specifier, and other special characters need quotes.
  field =
    text:
    let
      literal = builtins.replaceStrings [ "%" ] [ "%%" ] text;
    in
    if builtins.match "[A-Za-z0-9/_.,:+@%$-]+" text != null then
      literal
    else
      ''"${builtins.replaceStrings [ "\\" "\"" ] [ "\\\\" "\\\"" ] literal}"'';

  stateRule =
    mode: directory: "d ${field "${cfg.stateDir}${directory}"} ${mode} ${cfg.user} ${cfg.group} - -";
in
{
  config.systemd.tmpfiles.rules = lib.mkIf cfg.enable (
    map (stateRule "0750") [
      ""
      "/.pi"
      "/.pi/agent"
      "/.pi/agent/sessions"
      "/.project-mounts"
      "/projects"
      "/.npm"
      "/.npm-global"
      "/.npm-global/bin"
      "/.npm-global/lib"
      "/users"
    ]
    ++ map (name: stateRule "0700" "/users/${name}") (lib.attrNames cfg.hostUsers)
    ++ [
      # Beside the state directory: whoever owns that could move what is in it.
      "d ${field "${cfg.stateDir}-sync"} 0700 root root - -"
      "d /run/pi-agent 0700 root root - -"
    ]
  );
}
