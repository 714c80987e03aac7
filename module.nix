# The NixOS module: every option, the mistakes it refuses, and what it sets on
# the host. All that the two programs will ever know leaves here once, as the
# frozen policy that default.nix writes into the store.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    any
    attrNames
    concatMap
    elem
    filter
    findFirst
    hasPrefix
    literalExpression
    mapAttrs
    mapAttrsToList
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    mkPackageOption
    optional
    optionals
    removePrefix
    splitString
    take
    types
    ;

  cfg = config.m3ta.pi-agent;
  hostUserNames = attrNames cfg.hostUsers;

  # --- What can only be a mistake -------------------------------------------
  #
  # Each check returns what is wrong and how to mend it, or null. `complain`
  # puts the option's name and the value in front.

  complain =
    option: check: value:
    let
      problem = check value;
    in
    optional (problem != null) "m3ta.pi-agent.${option}: ${builtins.toJSON value} ${problem}";

  hasControl = text: builtins.length (builtins.split "[[:cntrl:]]" text) > 1;
  # systemd takes these apart in BindPaths= even between quotes.
  hasQuote = path: builtins.match ".*[\"'\\].*" path != null;
  components = path: filter (part: part != "") (splitString "/" path);
  hasDots = path: any (part: part == "." || part == "..") (components path);
  within = outer: inner: take (builtins.length outer) inner == outer;
  overlap = a: b: within (components a) (components b) || within (components b) (components a);

  # What every sandbox has of its own: a bind mount there would be hidden by it, or hide it.
  reserved = [
    "/bin"
    "/boot"
    "/dev"
    "/etc"
    "/lib"
    "/lib64"
    "/nix"
    "/proc"
    "/run"
    "/sbin"
    "/sys"
    "/tmp"
    "/usr"
    "/var/tmp"
  ];
  reservedBy = path: findFirst (overlap path) null reserved;

  # What Nix takes as the name of a store path and everybody as that of a file.
  programProblem =
    name:
    if builtins.match "[A-Za-z0-9_][A-Za-z0-9_.+-]*" name == null then
      "is no plain program name; use letters, digits, `_`, `.`, `+` and `-`, and start with a letter, a digit or `_`."
    else
      null;

  # systemd, sudo and tmpfiles take a name of digits for an id, and sudo has
  # other meanings for names that start with `%`, `#`, `+` or `!`.
  accountProblem =
    name:
    if builtins.match "[A-Za-z0-9_][A-Za-z0-9_.@-]*[$]?" name == null then
      "is no plain account name; use letters, digits, `_`, `.`, `@` and `-`, and start with a letter, a digit or `_`."
    else if builtins.match "[0-9]+" name != null then
      "is a number and would be taken for an id; use a name."
    else if name == "root" then
      "gives the agent root's rights; use an account of its own."
    else
      null;

  hostUserProblem =
    name:
    if name == "root" then
      "must not be a host user: the agent's edits would belong to root; list the person's own account."
    else if name == cfg.user then
      "is the isolated user itself (m3ta.pi-agent.user); list the person's own account."
    else if name == "ALL" then
      "would let everybody call the runner: sudoers reads it as every user; list each user by name."
    else
      accountProblem name;

  stateDirProblem =
    path:
    if hasControl path then
      "holds a control character such as a newline; use a plain path."
    else if hasQuote path then
      "holds a quote or a backslash, with which systemd cannot mount it; use a plain path."
    else if !hasPrefix "/" path then
      "is not absolute; write it from `/`, as in \"/var/lib/pi-agent\"."
    else if components path == [ ] then
      "is the whole file system; use a directory of its own, as in \"/var/lib/pi-agent\"."
    else if hasDots path || "/" + builtins.concatStringsSep "/" (components path) != path then
      "is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes."
    else if reservedBy path != null then
      "cannot hold the state because the sandbox provides its own ${reservedBy path}; use a directory elsewhere, as in \"/var/lib/pi-agent\"."
    else
      null;

  rootProblem =
    root:
    if root == "" then
      "is empty; name a directory."
    else if hasControl root then
      "holds a control character such as a newline; rename the directory or allow the one above it."
    else if hasQuote root then
      "holds a quote or a backslash, with which systemd cannot mount it; rename the directory or allow the one above it."
    else if !(hasPrefix "/" root || root == "~" || hasPrefix "~/" root) then
      "is relative; write it from `/`, or from `~/` for the user's home."
    else if hasDots root then
      "has a `.` or `..` component; write the path without it."
    else if components root == [ ] then
      "is the whole file system; name the project directories below it."
    else if hasPrefix "~" root then
      null
    else if reservedBy root != null then
      "cannot be mounted as a project root because the sandbox provides its own ${reservedBy root}; use a directory elsewhere."
    else if overlap root cfg.stateDir then
      "overlaps m3ta.pi-agent.stateDir (${cfg.stateDir}), which holds every host user's agent state; use a directory outside it that does not contain it."
    else
      null;

  configPathProblem =
    path:
    if hasControl path then
      "holds a control character such as a newline; use a plain path."
    else if elem ".." (components path) then
      "has a `..` component; write it from `/`, or relative to the user's home."
    else if filter (part: part != "." && part != "~") (components path) == [ ] then
      "names no directory of its own; name Pi's, as in \".pi/agent\"."
    else
      null;

  environmentFileProblem =
    path:
    let
      plain = filter (part: part != "." && part != "..") (components path);
    in
    if !hasPrefix "/" path || hasControl path then
      "is no absolute path; write it from `/`, as a string."
    else if within (components builtins.storeDir) plain then
      "is in the Nix store, which everybody can read; keep secrets outside of it, as in \"/run/secrets/pi.env\"."
    else
      null;

  variableNameProblem =
    name:
    if builtins.match "[A-Za-z_][A-Za-z0-9_]*" name == null then
      "is no variable name; use letters, digits and `_`, and do not start with a digit."
    else
      null;

  variableValueProblem =
    value:
    if hasControl (builtins.replaceStrings [ "\t" ] [ " " ] value) then
      "holds a newline or another control character, which an environment file cannot carry; put multi-line values in a file and name that."
    else
      null;

  variableComplaints =
    option: variables:
    concatMap (complain option variableNameProblem) (attrNames variables)
    ++ builtins.concatLists (
      mapAttrsToList (name: complain "${option}.${name}" variableValueProblem) variables
    );

  complaints =
    complain "binaryName" programProblem cfg.binaryName
    ++ complain "user" accountProblem cfg.user
    ++ complain "group" accountProblem cfg.group
    ++ optionals (cfg.projectGroup != null) (
      complain "projectGroup" accountProblem cfg.projectGroup
    )
    ++ complain "stateDir" stateDirProblem cfg.stateDir
    ++ concatMap (complain "hostUsers" hostUserProblem) hostUserNames
    ++ builtins.concatLists (
      mapAttrsToList (
        name: user:
        concatMap (complain "hostUsers.${name}.projectRoots" rootProblem) user.projectRoots
        ++ optionals (user.configPath != null) (
          complain "hostUsers.${name}.configPath" configPathProblem user.configPath
        )
      ) cfg.hostUsers
    )
    ++ variableComplaints "environment" cfg.environment
    ++ concatMap (complain "environmentFiles" environmentFileProblem) cfg.environmentFiles
    ++ complain "wrapper.commandName" programProblem cfg.wrapper.commandName
    ++ complain "wrapper.runnerName" programProblem cfg.wrapper.runnerName
    ++ complain "wrapper.hostConfigPath" configPathProblem cfg.wrapper.hostConfigPath
    ++ variableComplaints "wrapper.extraEnvironment" cfg.wrapper.extraEnvironment;

  # --- What the host gets ---------------------------------------------------

  # One field of tmpfiles.d(5): `%` starts a specifier, and what is not plain is quoted.
  tmpfilesField =
    text:
    let
      literal = builtins.replaceStrings [ "%" ] [ "%%" ] text;
    in
    if builtins.match "[A-Za-z0-9/_.,:+@%$-]+" text != null then
      literal
    else
      ''"${builtins.replaceStrings [ "\\" "\"" ] [ "\\\\" "\\\"" ] literal}"'';

  stateRule = mode: path: "d ${tmpfilesField path} ${mode} ${cfg.user} ${cfg.group} - -";

  sudoRules = [
    {
      users = hostUserNames;
      runAs = "root";
      commands = [
        {
          command = "${cfg.build.runner}/bin/${cfg.wrapper.runnerName}";
          options = [ "NOPASSWD" ];
        }
      ];
    }
  ];

  buildOption =
    what:
    mkOption {
      type = types.package;
      internal = true;
      readOnly = true;
      description = "The ${what}, as built from this configuration.";
    };
in
{
  options.m3ta.pi-agent = {
    enable = mkEnableOption ''
      the Pi coding agent as an isolated user: the host users listed in
      {option}`m3ta.pi-agent.hostUsers` run it in their own projects, and it
      sees one project root and its own state instead of their home'';

    package = mkPackageOption pkgs "pi-coding-agent" {
      extraDescription = ''
        It provides the executable that runs inside the sandbox; see
        {option}`m3ta.pi-agent.binaryName`.'';
    };

    binaryName = mkOption {
      type = types.str;
      default = "pi-agent";
      example = "pi-nightly";
      description = ''
        Preferred name of the executable in the package's {file}`bin`. Where the
        package has none of that name, `pi` is taken, then `pi-agent`; with none
        of them the build fails and lists what is there.
      '';
    };

    user = mkOption {
      type = types.str;
      default = "pi-agent";
      description = "User that every agent runs as.";
    };

    group = mkOption {
      type = types.str;
      default = "pi-agent";
      description = "Primary group of {option}`m3ta.pi-agent.user`.";
    };

    stateDir = mkOption {
      type = types.str;
      default = "/var/lib/pi-agent";
      description = ''
        Home of {option}`m3ta.pi-agent.user`, an absolute path. Each host user's
        agent has a state tree of its own, {file}`users/<name>` below it, and
        sees that one tree at this path: sessions, tokens and settings of one
        host user are not visible to another's agent.
      '';
    };

    createUser = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to create {option}`m3ta.pi-agent.user` and
        {option}`m3ta.pi-agent.group`. Without it both have to exist, with
        {option}`m3ta.pi-agent.stateDir` as the user's home.
      '';
    };

    hostUsers = mkOption {
      default = { };
      example = literalExpression ''
        {
          alice.projectRoots = [ "~/projects" "/srv/shared" ];
          bob = {
            projectRoots = [ "~/work" ];
            configPath = ".config/pi";
          };
        }
      '';
      description = ''
        Users of this host who may run the agent, by name. Each may call the
        runner as root through sudo without a password, and nothing else; the
        runner decides from this policy alone what the agent may see.
      '';
      type = types.attrsOf (
        types.submodule {
          options = {
            projectRoots = mkOption {
              type = types.listOf types.str;
              default = [ ];
              example = [
                "~/projects"
                "/srv/shared"
              ];
              description = ''
                Directories this user may start the agent in or below. The
                innermost one that holds the working directory is mounted,
                whole, at its own path; nothing beside it is. `~` and `~/x` are
                in the user's home. At least one is needed.
              '';
            };

            configPath = mkOption {
              type = types.nullOr types.str;
              default = null;
              example = ".config/pi";
              description = ''
                Directory of this user's own Pi configuration, copied into the
                isolated state at each start. A relative path starts at the
                user's home; `null` means
                {option}`m3ta.pi-agent.wrapper.hostConfigPath`.
              '';
            };
          };
        }
      );
    };

    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = {
        defaultProvider = "anthropic";
        compaction.enabled = true;
      };
      description = ''
        Settings for Pi's {file}`settings.json`. They override what was synced
        from the host user and what Pi wrote, recursively: objects merge, every
        other value replaces. They end up in the world-readable store: no
        secrets.
      '';
    };

    environment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        PI_OFFLINE = "1";
      };
      description = ''
        Variables for the isolated Pi, appended to {file}`.pi/.env` after those
        synced from the host user; the later one wins. Values are literal and
        one line. They end up in the world-readable store: secrets belong into
        {option}`m3ta.pi-agent.environmentFiles`.
      '';
    };

    environmentFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/run/secrets/pi-agent.env" ];
      description = ''
        Absolute paths of files with lines `NAME=value`, read by root at each
        start and appended after {option}`m3ta.pi-agent.environment`; the later
        one wins. Their content never enters the store, a command line or a
        unit's properties. A missing file refuses the start, and so does one in
        a directory that others than root can change.
      '';
    };

    extraPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.ripgrep pkgs.nodejs ]";
      description = "Packages whose {file}`bin` comes first on the isolated `PATH`.";
    };

    projectGroup = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "developers";
      description = ''
        Group the isolated user joins and the sandbox carries as a
        supplementary group, for project files shared by a group. It has to
        exist. Files of the host user's own need no group: the project root is
        mounted with its owner mapped to the agent.
      '';
    };

    wrapper = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether to put the command that starts the isolated agent on the host
          `PATH`. Without it the raw package is there instead, and the agent is
          started through the runner.
        '';
      };

      commandName = mkOption {
        type = types.str;
        default = "pi";
        description = "Name of the command the host users type.";
      };

      runnerName = mkOption {
        type = types.str;
        default = "m3ta-pi-agent-runner";
        description = "Name of the program that sudo runs as root; it is not on the host `PATH`.";
      };

      hideDirectBinary = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether to keep {option}`m3ta.pi-agent.package` off the host `PATH`,
          so that nobody starts Pi outside the sandbox by accident. With
          `false` the package is installed beside the wrapper.
        '';
      };

      syncConfigFromHost = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether to sync the host user's Pi configuration into the isolated
          state at each start. With `false` the agent has
          {option}`m3ta.pi-agent.settings` and what Pi wrote itself.
        '';
      };

      hostConfigPath = mkOption {
        type = types.str;
        default = ".pi/agent";
        description = ''
          Directory of a host user's Pi configuration where
          {option}`m3ta.pi-agent.hostUsers.<name>.configPath` is `null`. A
          relative path starts at the user's home.
        '';
      };

      extraRunArgs = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "--model"
          "sonnet"
        ];
        description = "Arguments for Pi, put before those the user typed.";
      };

      extraEnvironment = mkOption {
        type = types.attrsOf types.str;
        default = { };
        example = {
          PI_SKIP_VERSION_CHECK = "1";
        };
        description = ''
          Variables for the isolated Pi that win over everything in
          {file}`.pi/.env`. Values are literal and one line. They end up in the
          world-readable store: no secrets.
        '';
      };
    };

    build = {
      policy = buildOption "frozen policy, a JSON file";
      runner = buildOption "program that sudo runs as root";
      wrapper = buildOption "command the host users type";
    };
  };

  config = mkMerge [
    {
      m3ta.pi-agent.build = import ./default.nix {
        inherit pkgs;
        frozen = {
          inherit (cfg) package binaryName extraPackages;
          inherit (cfg.wrapper) runnerName;
          systemd = config.systemd.package;
          sudo = "${config.security.wrapperDir}/sudo";
          policy = {
            inherit (cfg)
              user
              group
              projectGroup
              stateDir
              settings
              environment
              environmentFiles
              ;
            inherit (cfg.wrapper)
              commandName
              syncConfigFromHost
              extraRunArgs
              extraEnvironment
              ;
            hostUsers = mapAttrs (_: user: {
              inherit (user) projectRoots;
              # Relative paths start at the home already.
              configPath = removePrefix "~/" (
                if user.configPath == null then cfg.wrapper.hostConfigPath else user.configPath
              );
            }) cfg.hostUsers;
          };
        };
      };
    }

    (mkIf cfg.enable {
      assertions = [
        {
          assertion = cfg.hostUsers != { };
          message = "m3ta.pi-agent.hostUsers must define at least one authorized host user.";
        }
        {
          assertion = cfg.wrapper.enable -> cfg.hostUsers != { };
          message = "m3ta.pi-agent.hostUsers must not be empty when wrapper is enabled.";
        }
        {
          assertion =
            cfg.wrapper.enable -> config.security.sudo.enable || config.security.sudo-rs.enable;
          message = "m3ta.pi-agent.wrapper.enable needs sudo to start the runner; set security.sudo.enable or security.sudo-rs.enable.";
        }
      ]
      ++ mapAttrsToList (name: user: {
        assertion = user.projectRoots != [ ];
        message = "m3ta.pi-agent.hostUsers.${name}.projectRoots must not be empty.";
      }) cfg.hostUsers
      ++ map (message: {
        assertion = false;
        inherit message;
      }) complaints;

      users = mkIf cfg.createUser {
        groups.${cfg.group} = { };
        users.${cfg.user} = {
          isSystemUser = true;
          inherit (cfg) group;
          extraGroups = optional (cfg.projectGroup != null) cfg.projectGroup;
          description = "Isolated Pi agent user";
          home = cfg.stateDir;
          createHome = true;
          # As in the tmpfiles rule below, or the two would take turns.
          homeMode = "0750";
          shell = pkgs.bashInteractive;
        };
      };

      systemd.tmpfiles.rules =
        map (directory: stateRule "0750" "${cfg.stateDir}${directory}") [
          ""
          "/.pi"
          "/.pi/agent"
          "/.pi/agent/sessions"
          "/.project-mounts"
          "/projects"
          "/.npm"
          "/.npm-global"
          "/.npm-global/bin"
          "/.npm-global/lib"
          "/users"
        ]
        ++ map (name: stateRule "0700" "${cfg.stateDir}/users/${name}") hostUserNames
        ++ [
          (stateRule "0700" "${cfg.stateDir}/sync")
          "d /run/pi-agent 0700 root root - -"
        ];

      environment.systemPackages =
        optional cfg.wrapper.enable cfg.build.wrapper
        ++ optional (!cfg.wrapper.enable || !cfg.wrapper.hideDirectBinary) cfg.package;

      security.sudo.extraRules = sudoRules;
      security.sudo-rs.extraRules = mkIf config.security.sudo-rs.enable sudoRules;
    })
  ];
}
