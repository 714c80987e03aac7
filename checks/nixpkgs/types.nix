# Option types: `check` takes one definition, `merge` takes several, `description` is for errors and documents.
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    filter
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    length
    map
    ;
  inherit (lib) isDerivation mergeDefinitions showOption;

  values = map (def: def.value);

  mergeOne =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.";

  mergeEqual =
    loc: defs:
    let
      first = head defs;
      conflict = filter (def: def.value != first.value) defs;
    in
    if conflict == [ ] then
      first.value
    else
      throw "The option `${showOption loc}' has conflicting definition values, in `${first.file}' and `${(head conflict).file}'.";

  mkType =
    attrs:
    {
      descriptionClass = "noun";
      merge = mergeEqual;
      getSubOptions = _: { };
    }
    // attrs;

  # The description of a type inside that of another type.
  phrase =
    classes: type:
    if elem (type.descriptionClass or null) classes then type.description else "(${type.description})";
  nounPhrase = phrase [
    "noun"
    "composite"
  ];

  types = {
    addCheck = type: check: type // { check = x: type.check x && check x; };

    unspecified = mkType {
      description = "unspecified value";
      check = _: true;
    };
    raw = mkType {
      description = "raw value";
      check = _: true;
      merge = mergeOne;
    };
    bool = mkType {
      description = "boolean";
      check = isBool;
    };
    int = mkType {
      description = "signed integer";
      check = isInt;
    };
    ints.between =
      lowest: highest:
      types.addCheck types.int (x: x >= lowest && x <= highest)
      // {
        description = "integer between ${toString lowest} and ${toString highest} (both inclusive)";
      };
    str = mkType {
      description = "string";
      check = isString;
    };
    strMatching =
      pattern:
      mkType {
        description = "string matching the pattern ${pattern}";
        check = x: isString x && builtins.match pattern x != null;
      };
    lines = mkType {
      description = "strings concatenated with \"\\n\"";
      check = isString;
      merge = _: defs: builtins.concatStringsSep "\n" (values defs);
    };
    path = mkType {
      description = "absolute path";
      check = x: (isString x || builtins.isPath x || x ? outPath) && lib.hasPrefix "/" (toString x);
    };
    package = mkType {
      description = "package";
      check = x: isDerivation x || (x ? outPath) || (isString x && lib.hasPrefix builtins.storeDir x);
      merge = mergeOne;
    };
    shellPackage = types.package // {
      check = x: isDerivation x && x ? shellPath;
    };
    anything = mkType {
      description = "anything";
      check = _: true;
      merge =
        loc: defs:
        if all (def: isAttrs def.value && !(def.value ? outPath)) defs then
          (types.attrsOf types.anything).merge loc defs
        else
          mergeEqual loc defs;
    };
    enum =
      allowed:
      mkType {
        description = "one of ${lib.concatMapStringsSep ", " builtins.toJSON allowed}";
        descriptionClass = "conjunction";
        check = x: elem x allowed;
      };
    nullOr =
      type:
      mkType {
        description = "null or ${
          phrase [
            "noun"
            "conjunction"
          ] type
        }";
        descriptionClass = "conjunction";
        check = x: x == null || type.check x;
        merge =
          loc: defs: if all (def: def.value == null) defs then null else type.merge loc defs;
        inherit (type) getSubOptions;
      };
    either =
      a: b:
      mkType {
        description = "${
          phrase [
            "noun"
            "conjunction"
          ] a
        } or ${
          phrase [
            "noun"
            "conjunction"
            "composite"
          ] b
        }";
        descriptionClass = "conjunction";
        check = x: a.check x || b.check x;
        merge =
          loc: defs:
          if all a.check (values defs) then
            a.merge loc defs
          else if all b.check (values defs) then
            b.merge loc defs
          else
            mergeOne loc defs;
      };
    oneOf = alternatives: builtins.foldl' types.either (head alternatives) (builtins.tail alternatives);
    listOf =
      type:
      mkType {
        description = "list of ${nounPhrase type}";
        descriptionClass = "composite";
        check = isList;
        merge =
          loc: defs:
          let
            # An element can be dropped (mkIf) or consist of several definitions (mkMerge).
            elements = concatMap (
              def:
              lib.imap0 (
                n: value:
                mergeDefinitions (loc ++ [ "[definition ${toString n}]" ]) type [ (def // { inherit value; }) ]
              ) def.value
            ) defs;
          in
          map (element: element.value) (filter (element: element.isDefined) elements);
        getSubOptions = prefix: type.getSubOptions (prefix ++ [ "*" ]);
      };
    attrsOf =
      type:
      mkType {
        description = "attribute set of ${nounPhrase type}";
        descriptionClass = "composite";
        check = isAttrs;
        merge =
          loc: defs:
          let
            names = lib.unique (concatMap (def: attrNames def.value) defs);
            merged = lib.genAttrs names (
              name:
              mergeDefinitions (loc ++ [ name ]) type (
                concatMap (
                  def: lib.optional (def.value ? ${name}) (def // { value = def.value.${name}; })
                ) defs
              )
            );
          in
          builtins.mapAttrs (_: element: element.value) (
            lib.filterAttrs (_: element: element.isDefined) merged
          );
        getSubOptions = prefix: type.getSubOptions (prefix ++ [ "<name>" ]);
      };
    submodule =
      modules:
      let
        evaluate =
          prefix: definitions:
          lib.evalModules {
            modules = lib.toList modules ++ definitions;
            specialArgs.name = lib.last prefix;
            inherit prefix;
          };
      in
      mkType {
        description = "submodule";
        descriptionClass = null;
        check = x: isAttrs x || lib.isFunction x;
        merge =
          loc: defs:
          (evaluate loc (
            map (
              def:
              if isAttrs def.value then
                {
                  _file = def.file;
                  config = def.value;
                }
              else
                def.value
            ) defs
          )).config;
        getSubOptions = prefix: (evaluate prefix [ ]).options;
      };
  };
in
types
