# The module system: it takes declarations and definitions, and returns one checked value per option.
# Errors have NixOS' own wording.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    foldl'
    isAttrs
    isPath
    isString
    length
    map
    mapAttrs
    sort
    ;
  inherit (lib) concatMapStringsSep isFunction optional;

  typed = _type: attrs: attrs // { inherit _type; };
  isType = type: x: x._type or null == type;

  mkOption = typed "option";
  isOption = isType "option";
  mkIf = condition: content: typed "if" { inherit condition content; };
  mkMerge = contents: typed "merge" { inherit contents; };
  mkOverride = priority: content: typed "override" { inherit priority content; };
  mkOrder = priority: content: typed "order" { inherit priority content; };
  defaultOrder = 1000;
  defaultPriority = 100;
  mkOptionDefault = mkOverride 1500;

  literalExpression = text: typed "literalExpression" { inherit text; };

  # The path of an option as text; parts that are not identifiers are quoted.
  showOption = concatMapStringsSep "." (
    part: if builtins.match "[a-zA-Z_<*][a-zA-Z0-9_>'*-]*" part == null then ''"${part}"'' else part
  );

  showDefinitions = concatMapStringsSep "" (
    def:
    let
      # A value inside a list or a set may have no text.
      scalar = !(isAttrs def.value || builtins.isList def.value || isFunction def.value);
    in
    "\n- In `${def.file}': ${
      if scalar then builtins.toJSON def.value else "a ${builtins.typeOf def.value}"
    }"
  );

  # Every module in `modules` and in their `imports`, once.
  collect =
    args: modules:
    let
      load =
        parent: index: module:
        if isPath module || isString module then
          normalise (toString module) (toString module) (import module)
        else
          normalise "${parent}:${toString index}" (module._file or parent) module;
      normalise =
        key: file: module:
        if isFunction module then
          normalise key file (module args)
        else
          let
            structured = module ? config || module ? options;
            extra = attrNames (
              removeAttrs module [
                "_file"
                "config"
                "imports"
                "options"
              ]
            );
          in
          if structured && extra != [ ] then
            throw "Module `${file}' has an unsupported attribute `${builtins.head extra}'."
          else
            {
              inherit key file;
              imports = lib.imap0 (load key) (module.imports or [ ]);
              options = module.options or { };
              config =
                if structured then
                  module.config or { }
                else
                  removeAttrs module [
                    "_file"
                    "imports"
                  ];
            };
    in
    builtins.genericClosure {
      startSet = lib.imap0 (load "<unknown-file>") modules;
      operator = module: module.imports;
    };

  # The option declarations of all modules as one tree.
  mergeDeclarations =
    loc: trees:
    mapAttrs (
      name: declared:
      let
        here = loc ++ [ name ];
      in
      if length declared == 1 && isOption (builtins.head declared) then
        builtins.head declared
      else if lib.any isOption declared then
        throw "The option `${showOption here}' is declared more than once."
      else
        mergeDeclarations here declared
    ) (builtins.zipAttrsWith (_: declared: declared) trees);

  # Moves mkIf and the like from an attribute set to its leaves, so that names are known without evaluating
  # the condition.
  pushDown =
    def:
    let
      again = value: pushDown (def // { inherit value; });
      inherit (def) value;
    in
    if isType "merge" value then
      concatMap again value.contents
    else if isType "if" value || isType "override" value || isType "order" value then
      map (
        inner: inner // { value = mapAttrs (_: content: value // { inherit content; }) inner.value; }
      ) (again value.content)
    else
      [ def ];

  evaluateTree =
    loc: tree: definitions:
    let
      defs = concatMap pushDown definitions;
      unknown = concatMap (
        def: map (name: { inherit name def; }) (attrNames (removeAttrs def.value (attrNames tree)))
      ) defs;
      values = mapAttrs (
        name: declared:
        let
          here = loc ++ [ name ];
          below = concatMap (
            def: optional (def.value ? ${name}) (def // { value = def.value.${name}; })
          ) defs;
        in
        (if isOption declared then evaluateOption else evaluateTree) here declared below
      ) tree;
    in
    if unknown == [ ] then
      values
    else
      let
        first = builtins.head unknown;
      in
      throw "The option `${showOption (loc ++ [ first.name ])}' does not exist. Definition values:${
        showDefinitions [ (first.def // { value = first.def.value.${first.name}; }) ]
      }";

  evaluateOption =
    loc: option: defs:
    let
      withDefault =
        defs
        ++ optional (option ? default) {
          file = "the option's default";
          value = mkOptionDefault option.default;
        };
      merged = mergeDefinitions loc (option.type or lib.types.unspecified) withDefault;
      value =
        if option.readOnly or false && length defs > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefinitions defs}"
        else if !merged.isDefined then
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option."
        else
          merged.value;
    in
    option
    // {
      inherit loc;
      inherit (merged) isDefined;
      value = (option.apply or (x: x)) value;
    };

  # Resolves mkIf, mkMerge, mkOverride and mkOrder, drops overridden definitions, and checks and merges the rest.
  mergeDefinitions =
    loc: type: defs:
    let
      discharge =
        def:
        let
          again = value: discharge (def // { inherit value; });
          inherit (def) value;
        in
        if isType "merge" value then
          concatMap again value.contents
        else if isType "if" value then
          lib.optionals value.condition (again value.content)
        else if isType "override" value then
          map (inner: { inherit (value) priority; } // inner) (again value.content)
        else if isType "order" value then
          map (inner: { order = value.priority; } // inner) (again value.content)
        else
          [ def ];
      discharged = concatMap discharge defs;
      priority = def: def.priority or defaultPriority;
      strongest = foldl' lib.min 9999 (map priority discharged);
      order = def: def.order or defaultOrder;
      kept = sort (a: b: order a < order b) (filter (def: priority def == strongest) discharged);
      wrong = filter (def: !type.check def.value) kept;
    in
    {
      isDefined = kept != [ ];
      value =
        if wrong != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefinitions wrong}"
        else
          type.merge loc kept;
    };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      args = {
        inherit lib options config;
      }
      // specialArgs;
      collected = collect args modules;
      declarations = mergeDeclarations prefix (map (module: module.options) collected);
      definitions = map (module: {
        inherit (module) file;
        value = module.config;
      }) collected;
      options = evaluateTree prefix declarations definitions;
      valuesOf = mapAttrs (_: node: if isOption node then node.value else valuesOf node);
      config = valuesOf options;
    in
    {
      inherit config options;
    };
in
{
  inherit
    evalModules
    isOption
    literalExpression
    mergeDefinitions
    mkIf
    mkMerge
    mkOption
    mkOptionDefault
    mkOrder
    mkOverride
    showOption
    ;
  literalMD = text: typed "literalMD" { inherit text; };
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
  mkPackageOption =
    pkgs: name:
    {
      extraDescription ? "",
    }:
    mkOption {
      default = pkgs.${name} or (throw "${name} cannot be found in pkgs");
      defaultText = literalExpression "pkgs.${name}";
      description =
        "The ${name} package to use." + lib.optionalString (extraDescription != "") " ${extraDescription}";
      type = lib.types.package;
    };
}
