# What is wrong with a property of the session's unit: each function returns the end of a sentence, or null.
{ lib }:
let
  inherit (lib)
    all
    any
    elem
    findFirst
    hasPrefix
    hasSuffix
    removeSuffix
    ;
  inherit (import ./predicates.nix { inherit lib; }) hasControlCharacter;
  inherit (import ../unit-properties.nix { inherit lib; }) texts;
  refused = import ./refused-properties.nix;

  # If these were off, an agent could leave a program on the host's disk that runs as the host user.
  alwaysOn = [
    "NoNewPrivileges"
    "RestrictSUIDSGID"
  ];
  # What systemd reads as true.
  trueTexts = [
    "1"
    "on"
    "t"
    "true"
    "y"
    "yes"
  ];

  matches =
    name: pattern:
    if hasSuffix "*" pattern then hasPrefix (removeSuffix "*" pattern) name else name == pattern;
in
{
  name =
    name:
    if builtins.match "[A-Za-z0-9]+" name == null then
      "is not a valid property name; use the names in systemd.exec(5), letters and digits only, as in \"MemoryMax\"."
    else
      null;

  value =
    name: value:
    let
      # `PrivateTmpEx` is another spelling of `PrivateTmp`.
      group = findFirst (group: any (matches (removeSuffix "Ex" name)) group.names) null refused;
    in
    if any hasControlCharacter (texts value) then
      "contains a control character, such as a newline; write several values as a list."
    else if group != null then
      group.why
    else if elem name alwaysOn && !all (text: elem text trueTexts) (texts value) then
      "would let the agent take on the rights of others; remove it, as it is always on."
    else
      null;
}
