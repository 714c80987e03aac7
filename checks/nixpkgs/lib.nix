# Functions of nixpkgs' `lib` for strings, lists and attribute sets: only those that the project and its
# checks call. Each behaves like the original.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    length
    listToAttrs
    map
    mapAttrs
    replaceStrings
    stringLength
    substring
    tail
    ;

  lists = {
    inherit (builtins)
      all
      any
      concatLists
      concatMap
      elem
      elemAt
      filter
      foldl'
      head
      isList
      length
      map
      sort
      ;
    drop = n: list: genList (i: elemAt list (n + i)) (lib.max 0 (length list - n));
    findFirst =
      matches: default: list:
      let
        found = filter matches list;
      in
      if found == [ ] then default else head found;
    imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
    last = list: elemAt list (length list - 1);
    optional = condition: x: if condition then [ x ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    take = n: list: genList (elemAt list) (lib.min n (length list));
    toList = x: if builtins.isList x then x else [ x ];
    unique = foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];
  };

  strings = rec {
    inherit (builtins) concatStringsSep isString replaceStrings;
    boolToString = b: if b then "true" else "false";
    concatLines = lines: concatStringsSep "" (map (line: line + "\n") lines);
    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    escapeShellArg =
      value:
      if builtins.match "[[:alnum:],._+:@%/-]+" (toString value) != null then
        toString value
      else
        "'${replaceStrings [ "'" ] [ "'\\''" ] (toString value)}'";
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    hasInfix = infix: string: length (splitString infix string) > 1;
    hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;
    hasSuffix =
      suffix: string:
      let
        start = stringLength string - stringLength suffix;
      in
      start >= 0 && substring start (-1) string == suffix;
    optionalString = condition: string: if condition then string else "";
    removePrefix =
      prefix: string:
      if hasPrefix prefix string then substring (stringLength prefix) (-1) string else string;
    removeSuffix =
      suffix: string:
      if hasSuffix suffix string then
        substring 0 (stringLength string - stringLength suffix) string
      else
        string;
    splitString =
      separator: string:
      let
        # `split` takes a regular expression.
        special = [ "\\" "." "^" "$" "*" "+" "?" "(" ")" "[" "{" "|" ];
        literal = replaceStrings special (map (c: "\\" + c) special) separator;
      in
      filter isString (builtins.split literal string);
    trim = string: head (builtins.match "[[:space:]]*(.*[^[:space:]]|)[[:space:]]*" string);
  };

  attrsets = rec {
    inherit (builtins)
      attrNames
      attrValues
      isAttrs
      listToAttrs
      mapAttrs
      removeAttrs
      ;
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if isAttrs set && set ? ${head path} then
        attrByPath (tail path) default set.${head path}
      else
        default;
    concatMapAttrs = f: set: foldl' (a: b: a // b) { } (mapAttrsToList f set);
    filterAttrs =
      keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
    genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
    getAttrFromPath = path: attrByPath path (throw "no attribute ${concatStringsSep "." path}");
    isDerivation = x: x.type or null == "derivation";
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    nameValuePair = name: value: { inherit name value; };
    optionalAttrs = condition: set: if condition then set else { };
    recursiveUpdate =
      a: b:
      a
      // mapAttrs (
        name: value:
        if isAttrs value && isAttrs (a.${name} or null) then recursiveUpdate a.${name} value else value
      ) b;
    setAttrByPath =
      path: value:
      if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
  };

  # Packages of the stand-in have one output.
  packages = rec {
    getBin = package: package;
    getExe = package: getExe' package package.meta.mainProgram;
    getExe' = package: name: "${package}/bin/${name}";
    makeBinPath = list: concatStringsSep ":" (map (package: "${package}/bin") list);
  };

  lib =
    lists
    // strings
    // attrsets
    // packages
    // import ./modules.nix { inherit lib; }
    // {
      types = import ./types.nix { inherit lib; };
      isFunction = f: builtins.isFunction f || (isAttrs f && f ? __functor);
      max = a: b: if a > b then a else b;
      min = a: b: if a < b then a else b;
      throwIf = condition: message: if condition then throw message else x: x;
      throwIfNot = condition: lib.throwIf (!condition);
    };
in
lib
