# What is wrong with a network address, as systemd.resource-control(5) has them: the function returns the
# end of a sentence, or null.
{ lib }:
let
  inherit (lib)
    all
    concatMap
    elem
    splitString
    ;

  isIPv4 =
    let
      octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    in
    address: builtins.match "${octet}([.]${octet}){3}(/(3[0-2]|[12]?[0-9]))?" address != null;

  isIPv6 =
    address:
    let
      parsed = builtins.match "([0-9A-Fa-f:]+)(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?" address;
      # `::` stands for one or more groups of zeros.
      halves = splitString "::" (builtins.head parsed);
      groups = concatMap (half: if half == "" then [ ] else splitString ":" half) halves;
      count = builtins.length groups;
    in
    parsed != null
    && all (group: builtins.match "[0-9A-Fa-f]{1,4}" group != null) groups
    && (
      if builtins.length halves == 1 then count == 8 else builtins.length halves == 2 && count < 8
    );

  names = [
    "any"
    "localhost"
    "link-local"
    "multicast"
  ];
in
{
  address =
    address:
    if isIPv4 address || isIPv6 address || elem address names then
      null
    else
      "is not a valid address; write an IP address, a prefix such as \"10.0.0.0/8\", or one of `any`, `localhost`, `link-local` and `multicast`.";
}
