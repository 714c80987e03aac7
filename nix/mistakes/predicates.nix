# What several checks ask of a text or a path.
{ lib }:
let
  inherit (lib)
    any
    filter
    splitString
    take
    ;
  within = outer: inner: take (builtins.length outer) inner == outer;
in
rec {
  hasControlCharacter = text: builtins.length (builtins.split "[[:cntrl:]]" text) > 1;

  # Programs that read the path from a configuration file may treat these as special.
  hasQuoteOrBackslash = path: builtins.match ".*[\"'\\].*" path != null;

  components = path: filter (part: part != "") (splitString "/" path);

  hasDotComponent = path: any (part: part == "." || part == "..") (components path);

  # Whether an absolute path has no `.`, no `..`, and no slash too many.
  isShortest =
    path: !hasDotComponent path && "/" + builtins.concatStringsSep "/" (components path) == path;

  isBelow = directory: path: within (components directory) (components path);

  # Whether two paths are the same, or one is below the other.
  overlap = a: b: isBelow a b || isBelow b a;

  # What of the agents' state overlaps the path, or null.
  stateAt =
    stateDir: path:
    if overlap path stateDir then
      "m3ta.pi-agent.stateDir (${stateDir})"
    else if overlap path "${stateDir}-sync" then
      "${stateDir}-sync, beside m3ta.pi-agent.stateDir"
    else
      null;
}
