# The text of docs/options.md, from the module's options.
{ lib, options }:
let
  inherit (lib) concatMapStringsSep concatStringsSep;

  # A value as one would write it in Nix.
  render =
    indent: value:
    let
      inner = indent + "  ";
      block =
        open: close: lines:
        "${open}\n${concatMapStringsSep "" (line: "${inner}${line}\n") lines}${indent}${close}";
    in
    if value._type or null == "literalExpression" then
      lib.removeSuffix "\n" value.text
    else if value == { } then
      "{ }"
    else if builtins.isAttrs value then
      block "{" "}" (
        lib.mapAttrsToList (name: content: "${name} = ${render inner content};") value
      )
    else if builtins.isList value then
      let
        line = "[ ${concatMapStringsSep "" (content: "${render indent content} ") value}]";
      in
      # A long list is easier to read one line per element.
      if builtins.stringLength line <= 80 then line else block "[" "]" (map (render inner) value)
    else
      builtins.toJSON value;

  code = title: value: "*${title}:*\n\n```nix\n${render "" value}\n```\n";

  # The default as Nix, or in words where it is too long to show.
  default =
    node:
    let
      text = node.defaultText or node.default;
    in
    if text._type or null == "literalMD" then "*Default:* ${text.text}\n" else code "Default" text;

  section =
    { path, node }:
    concatStringsSep "\n" (
      [
        "## `m3ta.pi-agent.${concatStringsSep "." path}`\n"
        "${lib.trim node.description}\n"
        "*Type:* ${node.type.description}\n"
      ]
      ++ lib.optional (node ? default) (default node)
      ++ lib.optional (node ? example) (code "Example" node.example)
    );

  # {option}`x` and the like are NixOS' markup; plain Markdown has only the code.
  plain = builtins.replaceStrings [ "{option}`" "{file}`" "{manpage}`" ] [ "`" "`" "`" ];
in
''
  # Options

  Generated from the NixOS module by `make docs`.

''
+ plain (concatMapStringsSep "\n" section (import ./documented.nix { inherit lib; } options))
