# m3ta.pi-agent.sandbox.properties as systemd's own text.
{ lib }:
let
  inherit (lib) attrNames concatMap toList;
in
rec {
  # The texts that a value sets, one after the other.
  texts =
    value:
    map (
      item: if builtins.isBool item then (if item then "yes" else "no") else toString item
    ) (toList value);

  # `Name=text` for each text of each property.
  lines =
    properties:
    concatMap (name: map (text: "${name}=${text}") (texts properties.${name})) (attrNames properties);
}
