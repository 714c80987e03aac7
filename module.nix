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
    all
    any
    attrNames
    concatMap
    elem
    filter
    findFirst
    hasPrefix
    hasSuffix
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
    removeSuffix
    splitString
    toList
    take
    types
    ;

  cfg = config.m3ta.pi-agent;
  inherit (cfg) sandbox;
  hostUserNames = attrNames cfg.hostUsers;
  # What the Python knows as well.
  shared = builtins.fromJSON (builtins.readFile ./pi_agent/shared.json);

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
  reserved = shared.reservedPaths;
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

  # A relative path whose components may hold `*`.
  patternProblem =
    start: path:
    let
      parts = components path;
      isPattern = part: builtins.match ".*[*].*" part != null;
    in
    if path == "" then
      "is empty; name a file or a directory."
    else if hasControl path then
      "holds a control character such as a newline; put `*` in its place."
    else if hasPrefix "/" path then
      "is absolute; write it from ${start}."
    else if path == "~" || hasPrefix "~/" path then
      "begins with `~`; write it from ${start}, without `~/`."
    else if hasDots path || builtins.concatStringsSep "/" parts != path then
      "is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes."
    else if elem "**" parts then
      "has a `**` component; `*` stands for one component, so name each level that is meant."
    else if any (part: isPattern part && builtins.match ".*[][?].*" part != null) parts then
      "has a `?` or a bracket beside a `*`; only `*` stands for other characters."
    else
      null;

  # What cannot be shown inside at its own place: the sandbox has something of its own there.
  extraPathReserved =
    filter (place: place != "/run") reserved
    ++ [
      "/run/current-system"
      "/run/nscd"
      "/run/pi-agent"
      "/run/systemd"
      "/var/run"
    ];

  extraPathProblem =
    path:
    let
      own = findFirst (overlap path) null extraPathReserved;
    in
    if hasControl path then
      "holds a control character such as a newline; rename it or name the directory above it."
    else if hasQuote path then
      "holds a quote or a backslash, with which systemd cannot mount it; rename it or name the directory above it."
    else if !hasPrefix "/" path then
      "is not absolute; write it from `/`."
    else if components path == [ ] then
      "is the whole file system; name the directories that are needed."
    else if hasDots path || "/" + builtins.concatStringsSep "/" (components path) != path then
      "is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes."
    else if own != null then
      "cannot be shown because the sandbox provides its own ${own}; name a path elsewhere."
    else if
      elem path [
        "/home"
        "/root"
        "/run/user"
      ]
    then
      "holds what belongs to people, which the sandbox keeps away; name a path below it."
    else if overlap path cfg.stateDir then
      "overlaps m3ta.pi-agent.stateDir (${cfg.stateDir}), which holds every host user's agent state; name a path elsewhere."
    else
      null;

  readWritePathProblem =
    path:
    if elem path sandbox.readOnlyPaths then
      "is in m3ta.pi-agent.sandbox.readOnlyPaths too; keep one of them."
    else
      extraPathProblem path;

  # As systemd.resource-control(5) has it: an IPv4 or IPv6 address, perhaps with a prefix length, or a name.
  isIPv4 =
    let
      octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    in
    address: builtins.match "${octet}([.]${octet}){3}(/(3[0-2]|[12]?[0-9]))?" address != null;
  isIPv6 =
    address:
    let
      parsed = builtins.match "([0-9A-Fa-f:]+)(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?" address;
      # `::` stands for the groups that are missing.
      halves = splitString "::" (builtins.head parsed);
      groups = concatMap (half: if half == "" then [ ] else splitString ":" half) halves;
      count = builtins.length groups;
    in
    parsed != null
    && all (group: builtins.match "[0-9A-Fa-f]{1,4}" group != null) groups
    && (if builtins.length halves == 1 then count == 8 else builtins.length halves == 2 && count < 8);

  addressProblem =
    address:
    if
      isIPv4 address
      || isIPv6 address
      || elem address [
        "any"
        "localhost"
        "link-local"
        "multicast"
      ]
    then
      null
    else
      "is no address; write an IP address, a prefix as in \"10.0.0.0/8\", or one of `any`, `localhost`, `link-local` and `multicast`.";

  memoryProblem =
    zero: value:
    if
      value != "infinity"
      && builtins.match "[0-9]+([.][0-9]+)?[KMGTPE]?" value == null
      && builtins.match "(100|[1-9]?[0-9]([.][0-9]{1,2})?)%" value == null
    then
      "is no amount of memory; write bytes as in \"8G\", a share of the machine's as in \"75%\", or \"infinity\"."
    else if !zero && builtins.match "[0.]+[KMGTPE%]?" value != null then
      "leaves nothing to run in; write an amount above zero."
    else
      null;

  countProblem =
    least: most: value:
    if value < least || value > most then
      "is out of range; write a number from ${toString least} to ${toString most}."
    else
      null;

  # --- systemd properties that are not for the configuration ----------------

  # `X*` is every name that begins with X. A name that ends in "Ex" is another spelling of the one without.
  keptProperties = [
    {
      why = "would change who the agent is; use m3ta.pi-agent.user, m3ta.pi-agent.group and m3ta.pi-agent.projectGroup.";
      names = [
        "DynamicUser"
        "Group"
        "PAMName"
        "SetLoginEnvironment"
        "SupplementaryGroups"
        "User"
      ];
    }
    {
      why = "would give the agent rights of root, which no session has; leave it out.";
      names = [
        "AmbientCapabilities"
        "CapabilityBoundingSet"
        "SecureBits"
      ];
    }
    {
      why = "would change what is mounted for the agent; use m3ta.pi-agent.sandbox.readOnlyPaths, readWritePaths, protectedPaths and hiddenPaths.";
      names = [
        "BindLogSockets"
        "BindPaths"
        "BindReadOnlyPaths"
        "CacheDirectory*"
        "ConfigurationDirectory*"
        "Extension*"
        "Inaccessible*"
        "LogsDirectory*"
        "Mount*"
        "PrivateMounts"
        "ProtectHome"
        "ProtectSystem"
        "ReadOnly*"
        "ReadWrite*"
        "Root*"
        "RuntimeDirectory*"
        "StateDirectory*"
        "TemporaryFileSystem"
        "WorkingDirectory"
      ];
    }
    {
      why = "would let one session reach another, since all agents are one user; leave it out.";
      names = [
        "IPCNamespacePath"
        "JoinsNamespaceOf"
        "KeyringMode"
        "PrivateIPC"
        "PrivatePIDs"
        "PrivateTmp"
        "PrivateUsers"
        "UserNamespacePath"
      ];
    }
    {
      why = "would run something beside the agent or in its place; leave it out.";
      names = [
        "ExecCondition"
        "ExecReload*"
        "ExecStart*"
        "ExecStop*"
      ];
    }
    {
      why = "would change the agent's environment; use m3ta.pi-agent.environment, environmentFiles, extraPackages and wrapper.extraEnvironment.";
      names = [
        "Environment*"
        "ExecSearchPath"
        "PassEnvironment"
        "UnsetEnvironment"
      ];
    }
    {
      why = "would bring in secrets past the environment; use m3ta.pi-agent.environmentFiles.";
      names = [
        "ImportCredential*"
        "LoadCredential*"
        "SetCredential*"
      ];
    }
    {
      why = "would take the session's terminal, streams or files; leave it out.";
      names = [
        "ExtraFileDescriptors"
        "FileDescriptor*"
        "NonBlocking"
        "OpenFile"
        "Sockets"
        "Standard*"
        "TTY*"
        "USBFunction*"
        "Utmp*"
      ];
    }
    {
      why = "would change how a session is started, watched and ended; leave it out. For a time limit use RuntimeMaxSec.";
      names = [
        "Assert*"
        "BusName"
        "CollectMode"
        "Condition*"
        "DefaultDependencies"
        "Delegate*"
        "ExitType"
        "FinalKillSignal"
        "GuessMainPID"
        "KillMode"
        "KillSignal"
        "NotifyAccess"
        "PIDFile"
        "PermissionsStartOnly"
        "RefuseManual*"
        "ReloadSignal"
        "RemainAfterExit"
        "Restart*"
        "SendSIG*"
        "Slice"
        "StopWhenUnneeded"
        "SuccessExitStatus"
        "SurviveFinalKillSignal"
        "Timeout*"
        "Type"
        "Watchdog*"
      ];
    }
    {
      why = "would let the end of a session act on the whole machine; leave it out.";
      names = [
        "FailureAction*"
        "JobRunningTimeout*"
        "JobTimeout*"
        "RebootArgument"
        "StartLimit*"
        "SuccessAction*"
      ];
    }
    {
      why = "would change what the journal says of a session; leave it out.";
      names = [
        "LogExtraFields"
        "LogNamespace"
        "SyslogIdentifier"
      ];
    }
    {
      why = "would change which addresses the agent reaches; use m3ta.pi-agent.sandbox.denyAddresses and allowAddresses.";
      names = [
        "IPAddressAllow"
        "IPAddressDeny"
      ];
    }
    {
      why = "would change the agent's network; use m3ta.pi-agent.sandbox.network.";
      names = [
        "NetworkNamespacePath"
        "PrivateNetwork"
      ];
    }
  ];

  # On in every session: off, an agent could leave a program on the host's disk that runs as the host user.
  alwaysOn = [
    "NoNewPrivileges"
    "RestrictSUIDSGID"
  ];
  # What systemd takes for true.
  affirmations = [
    "1"
    "on"
    "t"
    "true"
    "y"
    "yes"
  ];

  propertyTexts =
    value:
    map (
      text: if builtins.isBool text then (if text then "yes" else "no") else toString text
    ) (toList value);

  propertyNameProblem =
    name:
    if builtins.match "[A-Za-z0-9]+" name == null then
      "is no name of a systemd property; write it as in systemd.exec(5), letters and digits alone, as in \"MemoryMax\"."
    else
      null;

  propertyProblem =
    name: value:
    let
      plain = removeSuffix "Ex" name;
      covers =
        pattern:
        if hasSuffix "*" pattern then hasPrefix (removeSuffix "*" pattern) plain else plain == pattern;
      kept = findFirst (group: any covers group.names) null keptProperties;
      texts = propertyTexts value;
    in
    if any hasControl texts then
      "holds a control character such as a newline; write several values as a list."
    else if kept != null then
      kept.why
    else if elem name alwaysOn && !all (text: elem text affirmations) texts then
      "would let the agent take on the rights of others; leave it out, it is always on."
    else
      null;

  propertyLines =
    properties:
    concatMap (name: map (text: "${name}=${text}") (propertyTexts properties.${name})) (
      attrNames properties
    );

  # In the order in which they are set: of two values for one property the later wins.
  unitProperties = [
    "MemoryMax=${sandbox.resources.memoryMax}"
    "MemorySwapMax=${sandbox.resources.memorySwapMax}"
    "TasksMax=${toString sandbox.resources.tasksMax}"
    "CPUWeight=${toString sandbox.resources.cpuWeight}"
    # Of a session that was out of memory nothing is left half alive.
    "OOMPolicy=kill"
  ]
  ++ propertyLines sandbox.properties;

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
    ++ variableComplaints "wrapper.extraEnvironment" cfg.wrapper.extraEnvironment
    ++ concatMap (complain "sandbox.protectedPaths" (
      patternProblem "the project root"
    )) sandbox.protectedPaths
    ++ concatMap (complain "sandbox.hiddenPaths" (
      patternProblem "the user's home"
    )) sandbox.hiddenPaths
    ++ concatMap (complain "sandbox.readOnlyPaths" extraPathProblem) sandbox.readOnlyPaths
    ++ concatMap (complain "sandbox.readWritePaths" readWritePathProblem) sandbox.readWritePaths
    ++ concatMap (complain "sandbox.denyAddresses" addressProblem) sandbox.denyAddresses
    ++ concatMap (complain "sandbox.allowAddresses" addressProblem) sandbox.allowAddresses
    ++ complain "sandbox.resources.memoryMax" (memoryProblem false) sandbox.resources.memoryMax
    ++ complain "sandbox.resources.memorySwapMax" (memoryProblem true)
      sandbox.resources.memorySwapMax
    ++ complain "sandbox.resources.tasksMax" (countProblem 16 4194304) sandbox.resources.tasksMax
    ++ complain "sandbox.resources.cpuWeight" (countProblem 1 10000) sandbox.resources.cpuWeight
    ++ concatMap (complain "sandbox.properties" propertyNameProblem) (attrNames sandbox.properties)
    ++ builtins.concatLists (
      mapAttrsToList (
        name: complain "sandbox.properties.${name}" (propertyProblem name)
      ) sandbox.properties
    );

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

  terminalVariables = builtins.concatLists (builtins.attrValues shared.terminalVariables);
  runnerCommand = "${cfg.build.runner}/bin/${cfg.wrapper.runnerName}";
  sudoRules = [
    {
      users = hostUserNames;
      runAs = "root";
      commands = [
        {
          command = runnerCommand;
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

    sandbox = {
      protectedPaths = mkOption {
        type = types.listOf types.str;
        default = [
          # Git: hooks, and settings that name programs to run; also of submodules and worktrees.
          ".git/hooks"
          ".git/config"
          ".git/config.worktree"
          ".git/worktrees/*/config.worktree"
          ".git/modules/*/hooks"
          ".git/modules/*/config"
          ".git/modules/*/*/hooks"
          ".git/modules/*/*/config"
          ".git/modules/*/modules/*/hooks"
          ".git/modules/*/modules/*/config"
          # Other version control.
          ".hg/hgrc"
          ".jj/repo/config.toml"
          # What commit hooks run.
          ".githooks"
          ".husky"
          ".lefthook"
          ".lefthook.yml"
          "lefthook.yml"
          ".pre-commit-config.yaml"
          # What runs when a shell enters the directory.
          ".envrc"
          ".direnv"
          ".mise"
          ".mise.toml"
          "mise.toml"
          ".config/mise"
          ".config/mise.toml"
          # What an editor runs when it opens the directory.
          ".vscode"
          "*.code-workspace"
          ".idea"
          ".zed"
          ".helix"
          ".exrc"
          ".nvimrc"
          ".nvim.lua"
          ".dir-locals.el"
          ".devcontainer"
          ".devcontainer.json"
          # What coding agents load: extensions, hooks, servers.
          ".pi"
          ".claude"
          ".codex"
          ".cursor"
          ".gemini"
          ".mcp.json"
          # Where the project is a home: what a login runs.
          ".bash_login"
          ".bash_logout"
          ".bash_profile"
          ".bashrc"
          ".profile"
          ".zlogin"
          ".zlogout"
          ".zprofile"
          ".zshenv"
          ".zshrc"
          ".config/autostart"
          ".config/environment.d"
          ".config/fish"
          ".config/git"
          ".config/systemd/user"
          ".gitconfig"
        ];
        example = literalExpression ''
          options.m3ta.pi-agent.sandbox.protectedPaths.default ++ [ ".lintstagedrc*" ]
        '';
        description = ''
          What runs by itself on the host when its user enters, opens or commits
          in a project: read-only inside where it exists, and not to be replaced
          by renaming a directory above it. Paths are relative to the project
          root, to each directory from there to the working directory, and to
          every git repository found near the root; `*` stands for any characters
          within one component. What does not exist is not created.

          A value replaces the default; the example adds to it, in a module that
          takes `options` as an argument. Files that every build may edit, such
          as {file}`package.json`, {file}`Makefile` or {file}`flake.nix`, are not
          among them: look at those before you run them.
        '';
      };

      hiddenPaths = mkOption {
        type = types.listOf types.str;
        default = [
          # Keys and passwords.
          ".ssh"
          ".gnupg"
          ".pki"
          ".step"
          ".age"
          ".config/age"
          ".config/sops"
          ".password-store"
          ".local/share/gopass"
          ".local/share/keyrings"
          ".local/share/kwalletd"
          ".config/1Password"
          ".config/op"
          ".config/Bitwarden"
          ".config/Bitwarden CLI"
          ".vault-token"
          ".netrc"
          ".authinfo"
          ".authinfo.gpg"
          ".Xauthority"
          # Clouds and clusters.
          ".aws"
          ".azure"
          ".config/gcloud"
          ".boto"
          ".s3cfg"
          ".oci"
          ".kube"
          ".config/doctl"
          ".config/hcloud"
          ".config/rclone"
          ".config/scw"
          ".fly"
          ".terraform.d/credentials.tfrc.json"
          ".docker/config.json"
          ".config/containers/auth.json"
          # Code hosts and package registries.
          ".git-credentials"
          ".config/git/credentials"
          ".config/gh/hosts.yml"
          ".config/glab-cli"
          ".config/hub"
          ".config/nix/nix.conf"
          ".npmrc"
          ".yarnrc.yml"
          ".pypirc"
          ".cargo/credentials"
          ".cargo/credentials.toml"
          ".gem/credentials"
          ".m2/settings.xml"
          ".m2/settings-security.xml"
          ".gradle/gradle.properties"
          ".composer/auth.json"
          ".config/composer/auth.json"
          # Databases and mail.
          ".pgpass"
          ".my.cnf"
          ".mylogin.cnf"
          ".msmtprc"
          ".mbsyncrc"
          ".config/msmtp"
          ".thunderbird"
          # Browsers and messengers.
          ".mozilla"
          ".config/mozilla"
          ".librewolf"
          ".zen"
          ".config/BraveSoftware"
          ".config/chromium"
          ".config/google-chrome"
          ".config/microsoft-edge"
          ".config/opera"
          ".config/vivaldi"
          ".config/discord"
          ".config/Element"
          ".config/Signal"
          ".config/Slack"
          ".local/share/TelegramDesktop"
          ".var/app"
          # Coding agents' own credentials.
          ".pi/agent/auth.json"
          ".pi/.env"
          ".pi/agent/.env"
          ".claude.json"
          ".claude/.credentials.json"
          ".codex/auth.json"
          ".gemini/oauth_creds.json"
          ".config/github-copilot"
          ".local/share/opencode/auth.json"
          # Histories, in which passwords end up.
          ".bash_history"
          ".zsh_history"
          ".zhistory"
          ".histfile"
          ".local/share/atuin"
          ".local/share/fish/fish_history"
          ".config/nushell/history.txt"
          ".config/nushell/history.sqlite3"
          ".python_history"
          ".node_repl_history"
          ".irb_history"
          ".psql_history"
          ".mysql_history"
          ".sqlite_history"
          ".rediscli_history"
          ".lesshst"
          ".viminfo"
        ];
        example = literalExpression ''
          options.m3ta.pi-agent.sandbox.hiddenPaths.default ++ [ "documents/*.kdbx" ]
        '';
        description = ''
          Secrets below the host user's home that stay invisible when they lie in
          an allowed project root, as they do where that is the home itself: an
          empty file or directory stands in their place. Paths are relative to
          the home; `*` stands for any characters within one component. Secrets
          outside of the project root are never visible.

          A value replaces the default; the example adds to it, in a module that
          takes `options` as an argument.
        '';
      };

      readOnlyPaths = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "/srv/data"
          "/run/postgresql"
        ];
        description = ''
          Further directories, files or sockets of the host, absolute, that every
          session shows at the same place, read-only. A program can still talk to
          a socket shown so. Permissions apply as they do to the host user, whose
          files appear as the agent's own. One that does not exist, or is reached
          through a symbolic link that others than root can change, refuses the
          start.
        '';
      };

      readWritePaths = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "/srv/scratch" ];
        description = ''
          As {option}`m3ta.pi-agent.sandbox.readOnlyPaths`, but the agent may
          write there, and what it creates belongs to the host user.
          {option}`m3ta.pi-agent.sandbox.protectedPaths` and
          {option}`m3ta.pi-agent.sandbox.hiddenPaths` do not apply below them.
        '';
      };

      network = mkOption {
        type = types.enum shared.networks;
        default = "full";
        example = "none";
        description = ''
          Which network a session has. `"full"` is the host's, without the
          addresses in {option}`m3ta.pi-agent.sandbox.denyAddresses`. `"none"` is
          a loopback of the session's own and nothing else: no other machine, no
          server of the host, and so no model but one inside the session or behind
          a socket in {option}`m3ta.pi-agent.sandbox.readOnlyPaths`.
        '';
      };

      denyAddresses = mkOption {
        type = types.listOf types.str;
        default = [
          # Link-local, with most clouds' metadata services.
          "169.254.0.0/16"
          "fe80::/10"
          # Metadata services elsewhere: AWS and its EKS, Google, Oracle and its
          # Classic cloud, Alibaba, Azure, Scaleway, Akamai.
          "fd00:ec2::254/128"
          "fd00:ec2::23/128"
          "fd20:ce::254/128"
          "fd00:c1::a9fe:a9fe/128"
          "192.0.0.192/32"
          "100.100.100.200/32"
          "fd00:100::100:200/128"
          "168.63.129.16/32"
          "fd00:42::42/128"
          "fd00:a9fe:a9fe::1/128"
        ];
        example = [ "any" ];
        description = ''
          Addresses that a session can neither send to nor receive from: IP
          addresses, prefixes, or systemd's names `any`, `localhost`, `link-local`
          and `multicast`. The default is what hands out a machine's own
          credentials to whoever asks, the metadata services of clouds, and all
          else on the link. A value replaces the default. `[ "any" ]` leaves what
          {option}`m3ta.pi-agent.sandbox.allowAddresses` lists, the loopback not
          included.

          Where a resolver has one of these addresses, as on Google's cloud and on
          Azure, names are still resolved through the host's name service
          (`services.nscd`); for programs that ask the resolver themselves, allow
          its address.
        '';
      };

      allowAddresses = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "localhost"
          "10.20.0.0/16"
        ];
        description = ''
          Exceptions from {option}`m3ta.pi-agent.sandbox.denyAddresses`, written
          the same way: an address in both lists is reachable.
        '';
      };

      nixDaemon = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether the socket of the Nix daemon is visible inside, so that the
          agent can build and enter development shells. The daemon runs outside of
          the sandbox, with a network of its own: what the agent has it build or
          fetch is not bound by {option}`m3ta.pi-agent.sandbox.network`. Without
          it the store can still be read.
        '';
      };

      resources = {
        memoryMax = mkOption {
          type = types.str;
          default = "75%";
          example = "8G";
          description = ''
            Memory of one session with all its processes and its {file}`/tmp`:
            bytes, with `K`, `M`, `G` or `T` for powers of 1024, a share of the
            machine's memory, or `"infinity"`. A session that needs more is ended.
            For all sessions together set
            `systemd.slices.pi-agent.sliceConfig.MemoryMax`.
          '';
        };

        memorySwapMax = mkOption {
          type = types.str;
          default = "1G";
          example = "0";
          description = ''
            Swap space of one session on top of its memory, written like
            {option}`m3ta.pi-agent.sandbox.resources.memoryMax`; `"0"` keeps it in
            memory.
          '';
        };

        tasksMax = mkOption {
          type = types.int;
          default = 4096;
          example = 512;
          description = ''
            Number of processes and threads that one session may have at a time,
            at least 16. Beyond it no new one starts: a fork bomb stays inside.
          '';
        };

        cpuWeight = mkOption {
          type = types.int;
          default = 100;
          example = 20;
          description = ''
            Share of the processors that one session gets while others want them
            too, from 1 to 10000; 100 is that of any other service.
          '';
        };
      };

      properties = mkOption {
        type = types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            types.str
            (types.listOf types.str)
          ]
        );
        default = { };
        example = {
          CPUQuota = "200%";
          RuntimeMaxSec = "8h";
          RestrictNamespaces = false;
          SystemCallFilter = [
            "@mount"
            "pivot_root"
          ];
        };
        description = ''
          Properties of the session's systemd unit, by their names in
          {manpage}`systemd.exec(5)` and {manpage}`systemd.resource-control(5)`,
          set after ours and after
          {option}`m3ta.pi-agent.sandbox.resources`: a single value replaces, and
          to a list of systemd's it adds; there `""` takes away what was before.
          `true` and `false` are written as `yes` and `no`, and a list sets the
          property once for each of its elements.

          Each can loosen the sandbox for every host user. Those that would undo
          the agent's identity, what is mounted, the separation between sessions
          or how they are watched and ended are refused. A name that this
          systemd does not know refuses the start.
        '';
      };
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
      policy = buildOption "frozen policy, a JSON file that names one for each host user";
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
            sandbox = {
              inherit (sandbox)
                protectedPaths
                hiddenPaths
                readOnlyPaths
                readWritePaths
                network
                denyAddresses
                allowAddresses
                nixDaemon
                ;
              properties = unitProperties;
            };
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
      # sudo would write every prompt that is given as an argument into the journal, and so
      # would journald, beside PAM's word on the session. The runner logs each launch itself,
      # without its arguments. And sudo would drop what tells terminals apart.
      security.sudo.extraConfig = ''
        Defaults!${runnerCommand} !log_allowed, !pam_session
        Defaults!${runnerCommand} env_keep += "${builtins.concatStringsSep " " terminalVariables}"
      '';
      security.sudo-rs.extraRules = mkIf config.security.sudo-rs.enable sudoRules;
    })
  ];
}
