# What is wrong with a path of the agent's state, a project or a configuration: each function returns the
# end of a sentence, or null.
{ lib }:
let
  inherit (lib) elem filter hasPrefix;
  inherit (import ./predicates.nix { inherit lib; })
    components
    hasControlCharacter
    hasDotComponent
    hasQuoteOrBackslash
    isBelow
    isShortest
    overlap
    stateAt
    ;
  # The sandbox has its own file system there: a project would hide it, or be hidden by it.
  reservedBy = path: lib.findFirst (overlap path) null (import ../shared.nix).reservedPaths;
in
{
  stateDir =
    path:
    if hasControlCharacter path then
      "contains a control character, such as a newline; use a path without one."
    else if hasQuoteOrBackslash path then
      "contains a quote or a backslash, which other programs may misread; use a path without them."
    else if !hasPrefix "/" path then
      "is not absolute; start it with `/`, as in \"/var/lib/pi-agent\"."
    else if components path == [ ] then
      "is the whole file system; use a dedicated directory, as in \"/var/lib/pi-agent\"."
    else if !isShortest path then
      "is not in its shortest form; remove `.`, `..`, repeated and trailing slashes."
    else if reservedBy path != null then
      "cannot hold the state because the sandbox provides its own ${reservedBy path}; use a directory elsewhere, as in \"/var/lib/pi-agent\"."
    else
      null;

  projectRoot =
    stateDir: root:
    if root == "" then
      "is empty; name a directory."
    else if hasControlCharacter root then
      "contains a control character, such as a newline; rename the directory or allow the one above it."
    else if !(hasPrefix "/" root || root == "~" || hasPrefix "~/" root) then
      "is relative; start it with `/`, or with `~/` for the user's home."
    else if hasDotComponent root then
      "has a `.` or `..` component; write the path without it."
    else if components root == [ ] then
      "is the whole file system; name the project directories below it."
    else if hasPrefix "~" root then
      null
    else if reservedBy root != null then
      "cannot be a project root because the sandbox provides its own ${reservedBy root}; use a directory elsewhere."
    else if stateAt stateDir root != null then
      "overlaps ${stateAt stateDir root}, which holds every host user's agent state; use a directory that is neither below nor above it."
    else
      null;

  configPath =
    path:
    if hasControlCharacter path then
      "contains a control character, such as a newline; use a path without one."
    else if elem ".." (components path) then
      "has a `..` component; write the path from `/`, or relative to the user's home."
    else if filter (part: part != "." && part != "~") (components path) == [ ] then
      "does not name a configuration directory; name Pi's, as in \".pi/agent\"."
    else
      null;

  environmentFile =
    path:
    let
      withoutDots = builtins.concatStringsSep "/" (
        filter (part: part != "." && part != "..") (components path)
      );
    in
    if !hasPrefix "/" path || hasControlCharacter path then
      "is not an absolute path; write a string that starts with `/`."
    else if isBelow builtins.storeDir withoutDots then
      "is in the Nix store, which every user can read; keep secrets elsewhere, as in \"/run/secrets/pi.env\"."
    else
      null;
}
