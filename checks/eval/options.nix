# docs/options.md, written from the module itself: `make docs`.
{ pkgs }:
let
  inherit (pkgs) lib;
  inherit (lib) concatMap concatMapStringsSep concatStringsSep;

  # Every option that is meant for people, the options of a submodule after the
  # option that holds it. `_module` is the module system's own.
  walk =
    path: node:
    if !lib.isOption node then
      concatMap (name: walk (path ++ [ name ]) node.${name}) (
        builtins.filter (name: name != "_module") (builtins.attrNames node)
      )
    else if node.internal or false then
      [ ]
    else
      [ { inherit path node; } ] ++ walk (path ++ [ "<name>" ]) (node.type.getSubOptions path);

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
      # Nobody reads a list of a hundred in one line.
      if builtins.stringLength line <= 80 then line else block "[" "]" (map (render inner) value)
    else
      builtins.toJSON value;

  code = title: value: "*${title}:*\n\n```nix\n${render "" value}\n```\n";

  section =
    { path, node }:
    concatStringsSep "\n" (
      [
        "## `${concatStringsSep "." path}`\n"
        "${lib.trim node.description}\n"
        "*Type:* ${node.type.description}\n"
      ]
      ++ lib.optional (node ? default) (code "Default" (node.defaultText or node.default))
      ++ lib.optional (node ? example) (code "Example" node.example)
    );

  # {option}`x` and the like are NixOS' markup; plain Markdown shows the code alone.
  plain = builtins.replaceStrings [ "{option}`" "{file}`" "{manpage}`" ] [ "`" "`" "`" ];
in
''
  # Options

  Written from `module.nix` by `make docs`.

''
+ plain (
  concatMapStringsSep "\n" section (
    walk [
      "m3ta"
      "pi-agent"
    ] (pkgs.nixos [ ../../module.nix ]).options.m3ta.pi-agent
  )
)
