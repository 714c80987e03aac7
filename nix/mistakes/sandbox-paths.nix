# What is wrong with a path that the sandbox protects, hides or shows: each function returns the end of a
# sentence, or null.
{ lib }:
let
  inherit (lib)
    any
    elem
    filter
    findFirst
    hasPrefix
    ;
  inherit (import ./predicates.nix { inherit lib; })
    components
    hasControlCharacter
    hasDotComponent
    isShortest
    overlap
    stateAt
    ;

  # Of /run, the sandbox provides these alone.
  provided =
    filter (path: path != "/run") (import ../shared.nix).reservedPaths
    ++ [
      "/run/current-system"
      "/run/nscd"
      "/run/pi-agent"
      "/run/pi-agent-root"
      "/run/systemd"
      "/var/run"
    ];
in
rec {
  # A relative path whose components may contain `*`. start: what it is relative to.
  pattern =
    start: path:
    let
      parts = components path;
      hasStar = part: builtins.match ".*[*].*" part != null;
    in
    if path == "" then
      "is empty; name a file or a directory."
    else if hasControlCharacter path then
      "contains a control character, such as a newline; write `*` in its place."
    else if hasPrefix "/" path then
      "is absolute; write it relative to ${start}."
    else if path == "~" || hasPrefix "~/" path then
      "begins with `~`; write it relative to ${start}, without `~/`."
    else if hasDotComponent path || builtins.concatStringsSep "/" parts != path then
      "is not in its shortest form; remove `.`, `..`, repeated and trailing slashes."
    else if elem "**" parts then
      "has a `**` component; `*` matches within one component, so write one for each level."
    else if any (part: hasStar part && builtins.match ".*[][?].*" part != null) parts then
      "has a `?` or a bracket beside a `*`; `*` is the only wildcard."
    else
      null;

  # A path of the host that sessions see at the same place.
  extraPath =
    stateDir: path:
    let
      own = findFirst (overlap path) null provided;
    in
    if hasControlCharacter path then
      "contains a control character, such as a newline; rename it or name the directory above it."
    else if !hasPrefix "/" path then
      "is not absolute; start it with `/`."
    else if components path == [ ] then
      "is the whole file system; name the directories that are needed."
    else if !isShortest path then
      "is not in its shortest form; remove `.`, `..`, repeated and trailing slashes."
    else if own != null then
      "cannot be shown because the sandbox provides its own ${own}; name a path elsewhere."
    else if
      elem path [
        "/home"
        "/root"
        "/run/user"
      ]
    then
      "contains everything that belongs to people, which the sandbox keeps out; name a path below it."
    else if stateAt stateDir path != null then
      "overlaps ${stateAt stateDir path}, which holds every host user's agent state; name a path elsewhere."
    else
      null;

  readWritePath =
    { stateDir, readOnlyPaths }:
    path:
    if elem path readOnlyPaths then
      "is also in m3ta.pi-agent.sandbox.readOnlyPaths; remove it from one of them."
    else
      extraPath stateDir path;
}
