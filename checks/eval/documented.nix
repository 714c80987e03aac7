# The options that are meant for people, each as { path, node }; the options of a submodule come after the
# option that has it.
{ lib }:
let
  walk =
    path: node:
    if !lib.isOption node then
      lib.concatMap (name: walk (path ++ [ name ]) node.${name}) (
        # `_module` is the module system's own.
        builtins.filter (name: name != "_module") (builtins.attrNames node)
      )
    else if node.internal or false then
      [ ]
    else
      [ { inherit path node; } ] ++ walk (path ++ [ "<name>" ]) (node.type.getSubOptions path);
in
walk [ ]
