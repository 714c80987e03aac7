# The evaluation checks: what the module makes of a configuration, under any
# `pkgs`: the stand-in's, or nixpkgs'.
#
# `cases` maps a sentence to what is wanted and what was got. `summaries` holds
# whole results, for `run` to compare between one `pkgs` and another.
{ pkgs }:
let
  inherit (pkgs) lib;
  inherit (lib)
    attrNames
    concatMap
    elem
    filter
    filterAttrs
    genAttrs
    getAttrFromPath
    hasInfix
    hasPrefix
    mapAttrs
    mapAttrs'
    mkForce
    nameValuePair
    setAttrByPath
    splitString
    ;

  systemOf = modules: pkgs.nixos ([ ../../module.nix ] ++ modules);
  configOf = modules: (systemOf modules).config;

  base.m3ta.pi-agent = {
    enable = true;
    hostUsers.alice.projectRoots = [ "~/p" ];
  };
  plain = given { };
  # The base configuration and some settings of ours on top.
  given =
    settings:
    configOf [
      base
      { m3ta.pi-agent = settings; }
    ];

  # With the host users' files in the place of their paths.
  policyOf =
    config:
    let
      inherit (config.m3ta.pi-agent.build) policy;
      read = file: builtins.fromJSON (builtins.unsafeDiscardStringContext file.text);
    in
    read policy // { hostUsers = lib.mapAttrs (_: read) policy.hostUsers; };

  anotherPolicy =
    config:
    config.m3ta.pi-agent.build.policy.drvPath != plain.m3ta.pi-agent.build.policy.drvPath;

  # Among what NixOS sets itself, that which came from the module.
  tmpfilesOf = config: filter (hasInfix "pi-agent") config.systemd.tmpfiles.rules;
  sudoOf = sudo: config: filter (rule: elem "alice" rule.users) config.security.${sudo}.extraRules;
  complaintsOf =
    config:
    map (assertion: assertion.message) (
      filter (
        assertion: hasPrefix "m3ta.pi-agent" assertion.message && !assertion.assertion
      ) config.assertions
    );
  packagesOf =
    config:
    let
      known = {
        wrapper = config.m3ta.pi-agent.build.wrapper;
        raw = config.m3ta.pi-agent.package;
        runner = config.m3ta.pi-agent.build.runner;
      };
      installed = map toString config.environment.systemPackages;
    in
    attrNames (filterAttrs (_: package: elem (toString package) installed) known);
  userOf =
    config: name:
    let
      user = config.users.users.${name};
    in
    {
      inherit (user)
        isSystemUser
        isNormalUser
        group
        extraGroups
        description
        home
        createHome
        homeMode
        ;
      shell = toString user.shell;
    };

  fails = "evaluation fails";
  outcome =
    value:
    let
      tried = builtins.tryEval (builtins.deepSeq value value);
    in
    if tried.success then tried.value else fails;
  case = want: got: {
    inherit want;
    got = outcome got;
  };

  # --- The table of options -------------------------------------------------

  sample = pkgs.coreutils;

  # Type and default as promised; a value of a wrong type; then a setting, and
  # where its effect shows: in the policy, or elsewhere in the configuration.
  options = {
    enable = {
      type = "boolean";
      default = false;
      wrong = "yes";
      set = mkForce false;
      read = config: [
        (tmpfilesOf config)
        (packagesOf config)
        (sudoOf "sudo" config)
        (config.users.users ? pi-agent)
      ];
      want = [
        [ ]
        [ ]
        [ ]
        false
      ];
    };
    package = {
      type = "package";
      default = pkgs.pi-coding-agent;
      wrong = 1;
      set = sample;
      # The policy names the program by a derivation that depends on the package.
      read = config: [
        (anotherPolicy config)
        (packagesOf (given {
          inherit (config.m3ta.pi-agent) package;
          wrapper.enable = false;
        }))
      ];
      want = [
        true
        [ "raw" ]
      ];
    };
    binaryName = {
      type = "string";
      default = "pi-agent";
      wrong = null;
      set = "pi-nightly";
      read = anotherPolicy;
      want = true;
    };
    user = {
      type = "string";
      default = "pi-agent";
      wrong = null;
      set = "robot";
      read = config: [
        (policyOf config).user
        (config.users.users.robot.isSystemUser or false)
        (hasInfix " robot pi-agent " (lib.head (tmpfilesOf config)))
      ];
      want = [
        "robot"
        true
        true
      ];
    };
    group = {
      type = "string";
      default = "pi-agent";
      wrong = null;
      set = "robots";
      read = config: [
        (policyOf config).group
        (config.users.groups ? robots)
        config.users.users.pi-agent.group
        (hasInfix " pi-agent robots " (lib.head (tmpfilesOf config)))
      ];
      want = [
        "robots"
        true
        "robots"
        true
      ];
    };
    stateDir = {
      type = "string";
      default = "/var/lib/pi-agent";
      wrong = null;
      set = "/srv/pi";
      read = config: [
        (policyOf config).stateDir
        config.users.users.pi-agent.home
        (filter (rule: !hasPrefix "d /srv/pi" rule) (tmpfilesOf config))
      ];
      want = [
        "/srv/pi"
        "/srv/pi"
        [ "d /run/pi-agent 0700 root root - -" ]
      ];
    };
    createUser = {
      type = "boolean";
      default = true;
      wrong = "no";
      set = false;
      read = config: [
        (config.users.users ? pi-agent)
        (config.users.groups ? pi-agent)
      ];
      want = [
        false
        false
      ];
    };
    hostUsers = {
      type = "attribute set of (submodule)";
      default = { };
      wrong = [ "alice" ];
      set.bob.projectRoots = [ "/srv/x" ];
      read = config: (policyOf config).hostUsers;
      want = {
        alice = {
          projectRoots = [ "~/p" ];
          configPath = ".pi/agent";
        };
        bob = {
          projectRoots = [ "/srv/x" ];
          configPath = ".pi/agent";
        };
      };
    };
    "hostUsers.<name>.projectRoots" = {
      type = "list of string";
      default = [ ];
      wrong = "~/p";
      set = [ "/srv/x" ];
      read = config: (policyOf config).hostUsers.alice.projectRoots;
      want = [
        "~/p"
        "/srv/x"
      ];
    };
    "hostUsers.<name>.configPath" = {
      type = "null or string";
      default = null;
      wrong = 1;
      set = "~/.config/pi";
      read = config: (policyOf config).hostUsers.alice.configPath;
      want = ".config/pi";
    };
    settings = {
      type = "attribute set of anything";
      default = { };
      wrong = "{}";
      set = {
        a.b = [ 1 ];
        theme = "dark";
      };
      read = config: (policyOf config).settings;
      want = {
        a.b = [ 1 ];
        theme = "dark";
      };
    };
    environment = {
      type = "attribute set of string";
      default = { };
      wrong.A = 1;
      set.A = "b c\td";
      read = config: (policyOf config).environment;
      want.A = "b c\td";
    };
    environmentFiles = {
      type = "list of string";
      default = [ ];
      wrong = "/run/secrets/a";
      set = [
        "/run/secrets/a"
        "/run/secrets/a"
      ];
      read = config: (policyOf config).environmentFiles;
      want = [
        "/run/secrets/a"
        "/run/secrets/a"
      ];
    };
    extraPackages = {
      type = "list of package";
      default = [ ];
      wrong = [ 1 ];
      set = [ sample ];
      read = config: (policyOf config).path;
      want = [ (builtins.unsafeDiscardStringContext "${lib.getBin sample}/bin") ];
    };
    projectGroup = {
      type = "null or string";
      default = null;
      wrong = 1;
      set = "team";
      read = config: [
        (policyOf config).projectGroup
        config.users.users.pi-agent.extraGroups
      ];
      want = [
        "team"
        [ "team" ]
      ];
    };
    "sandbox.protectedPaths" = {
      type = "list of string";
      # It has cases of its own below.
      default = declared.sandbox.protectedPaths.default;
      wrong = ".git";
      set = [ ".git/hooks" ];
      read = config: (policyOf config).sandbox.protectedPaths;
      want = [ ".git/hooks" ];
    };
    "sandbox.hiddenPaths" = {
      type = "list of string";
      # It has cases of its own below.
      default = declared.sandbox.hiddenPaths.default;
      wrong = ".ssh";
      set = [ ".ssh" ];
      read = config: (policyOf config).sandbox.hiddenPaths;
      want = [ ".ssh" ];
    };
    "sandbox.readOnlyPaths" = {
      type = "list of string";
      default = [ ];
      wrong = "/srv/data";
      set = [ "/srv/data" ];
      read = config: (policyOf config).sandbox.readOnlyPaths;
      want = [ "/srv/data" ];
    };
    "sandbox.readWritePaths" = {
      type = "list of string";
      default = [ ];
      wrong = "/srv/scratch";
      set = [ "/srv/scratch" ];
      read = config: (policyOf config).sandbox.readWritePaths;
      want = [ "/srv/scratch" ];
    };
    "sandbox.network" = {
      type = "one of \"full\", \"none\"";
      default = "full";
      wrong = "host";
      set = "none";
      read = config: (policyOf config).sandbox.network;
      want = "none";
    };
    "sandbox.denyAddresses" = {
      type = "list of string";
      default = [
        "169.254.0.0/16"
        "fe80::/10"
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
      wrong = "any";
      set = [ "any" ];
      read = config: (policyOf config).sandbox.denyAddresses;
      want = [ "any" ];
    };
    "sandbox.allowAddresses" = {
      type = "list of string";
      default = [ ];
      wrong = "localhost";
      set = [ "localhost" ];
      read = config: (policyOf config).sandbox.allowAddresses;
      want = [ "localhost" ];
    };
    "sandbox.nixDaemon" = {
      type = "boolean";
      default = true;
      wrong = "no";
      set = false;
      read = config: (policyOf config).sandbox.nixDaemon;
      want = false;
    };
    "sandbox.resources.memoryMax" = {
      type = "string";
      default = "75%";
      wrong = 8;
      set = "8G";
      read = config: lib.head (policyOf config).sandbox.properties;
      want = "MemoryMax=8G";
    };
    "sandbox.resources.memorySwapMax" = {
      type = "string";
      default = "1G";
      wrong = 0;
      set = "0";
      read = config: elem "MemorySwapMax=0" (policyOf config).sandbox.properties;
      want = true;
    };
    "sandbox.resources.tasksMax" = {
      type = "signed integer";
      default = 4096;
      wrong = "4096";
      set = 64;
      read = config: elem "TasksMax=64" (policyOf config).sandbox.properties;
      want = true;
    };
    "sandbox.resources.cpuWeight" = {
      type = "signed integer";
      default = 100;
      wrong = "100";
      set = 20;
      read = config: elem "CPUWeight=20" (policyOf config).sandbox.properties;
      want = true;
    };
    "sandbox.properties" = {
      type = "attribute set of (boolean or signed integer or string or list of string)";
      default = { };
      wrong.MemoryMax = null;
      set = someProperties;
      read = config: lib.drop 5 (policyOf config).sandbox.properties;
      want = [
        "CPUQuota=200%"
        "LimitNOFILE=4096"
        "MemoryMax=8G"
        "NoNewPrivileges=yes"
        "RestrictNamespaces=no"
        "SystemCallFilter=@mount"
        "SystemCallFilter="
        "SystemCallFilter=pivot_root"
      ];
    };
    "wrapper.enable" = {
      type = "boolean";
      default = true;
      wrong = "no";
      set = false;
      read = packagesOf;
      want = [ "raw" ];
    };
    "wrapper.commandName" = {
      type = "string";
      default = "pi";
      wrong = null;
      set = "agent";
      read = config: [
        (policyOf config).commandName
        config.m3ta.pi-agent.build.wrapper.meta.mainProgram
      ];
      want = [
        "agent"
        "agent"
      ];
    };
    "wrapper.runnerName" = {
      type = "string";
      default = "m3ta-pi-agent-runner";
      wrong = null;
      set = "run-pi";
      read = config: [
        config.m3ta.pi-agent.build.runner.meta.mainProgram
        (lib.hasSuffix "/bin/run-pi" (lib.head (lib.head (sudoOf "sudo" config)).commands).command)
      ];
      want = [
        "run-pi"
        true
      ];
    };
    "wrapper.hideDirectBinary" = {
      type = "boolean";
      default = true;
      wrong = "no";
      set = false;
      read = packagesOf;
      want = [
        "raw"
        "wrapper"
      ];
    };
    "wrapper.syncConfigFromHost" = {
      type = "boolean";
      default = true;
      wrong = "no";
      set = false;
      read = config: (policyOf config).syncConfigFromHost;
      want = false;
    };
    "wrapper.hostConfigPath" = {
      type = "string";
      default = ".pi/agent";
      wrong = null;
      set = ".pi-host";
      read = config: (policyOf config).hostUsers.alice.configPath;
      want = ".pi-host";
    };
    "wrapper.extraRunArgs" = {
      type = "list of string";
      default = [ ];
      wrong = "--model";
      set = [
        "--model"
        "a b"
      ];
      read = config: (policyOf config).extraRunArgs;
      want = [
        "--model"
        "a b"
      ];
    };
    "wrapper.extraEnvironment" = {
      type = "attribute set of string";
      default = { };
      wrong.A = true;
      set.A = "";
      read = config: (policyOf config).extraEnvironment;
      want.A = "";
    };
  };

  # One of each kind, some of which replace what is set before.
  someProperties = {
    CPUQuota = "200%";
    LimitNOFILE = 4096;
    MemoryMax = "8G";
    NoNewPrivileges = true;
    RestrictNamespaces = false;
    SystemCallFilter = [
      "@mount"
      ""
      "pivot_root"
    ];
  };

  declared = (systemOf [ ]).options.m3ta.pi-agent;
  pathOf = name: splitString "." name;
  optionNamed =
    name:
    let
      path = pathOf name;
    in
    if elem "<name>" path then
      getAttrFromPath (lib.drop 2 path) (declared.hostUsers.type.getSubOptions [ ])
    else
      getAttrFromPath path declared;
  settingAt =
    name: value:
    setAttrByPath (map (part: if part == "<name>" then "alice" else part) (pathOf name)) value;

  optionCases = lib.concatMapAttrs (
    name: option:
    let
      real = optionNamed name;
      with' = value: given (settingAt name value);
      changed = outcome (option.read (with' option.set));
    in
    {
      "${name}: its type" = case option.type real.type.description;
      "${name}: its default" =
        if name == "package" then
          case [ (toString option.default) "pkgs.pi-coding-agent" ] [
            (toString real.default)
            real.defaultText.text
          ]
        else
          case option.default real.default;
      "${name}: is described" = case true (builtins.stringLength real.description > 20);
      "${name}: a value of another type is refused" = case fails (
        getAttrFromPath (pathOf (builtins.replaceStrings [ "<name>" ] [ "alice" ] name))
          (with' option.wrong).m3ta.pi-agent
      );
      "${name}: has its effect" = {
        inherit (option) want;
        got = changed;
      };
      # Were the option ignored, the case above would still have to notice.
      "${name}: without it the effect is not there" = {
        want = true;
        got = option.want != outcome (option.read plain);
      };
    }
  ) options;

  # --- Assertions -----------------------------------------------------------

  refused =
    settings: messages:
    case (map (message: "m3ta.pi-agent.${message}") messages) (complaintsOf (given settings));

  badAccount = "is no plain account name; use letters, digits, `_`, `.`, `@` and `-`, and start with a letter, a digit or `_`.";
  badProgram = "is no plain program name; use letters, digits, `_`, `.`, `+` and `-`, and start with a letter, a digit or `_`.";
  badNames = [
    "a/b"
    "a b"
    ""
    "-a"
    ".."
    "a\nb"
  ];
  nameCases =
    lib.concatMapAttrs
      (option: problem: {
        "${option}: a bad name is refused" =
          case (map (name: [ "m3ta.pi-agent.${option}: ${builtins.toJSON name} ${problem}" ]) badNames)
            (map (name: complaintsOf (given (settingAt option name))) badNames);
        "${option}: a plain name passes" =
          case
            [
              [ ]
              [ ]
            ]
            (
              map (name: complaintsOf (given (settingAt option name))) [
                "a"
                "Some_name-2.x"
              ]
            );
      })
      {
        user = badAccount;
        group = badAccount;
        projectGroup = badAccount;
        binaryName = badProgram;
        "wrapper.commandName" = badProgram;
        "wrapper.runnerName" = badProgram;
      };

  rootsRefused =
    roots: reason:
    refused { hostUsers.alice.projectRoots = roots; } (
      map (root: "hostUsers.alice.projectRoots: ${builtins.toJSON root} ${reason}") roots
    );
  reservedRoot =
    place: "cannot be mounted as a project root because the sandbox provides its own ${place}; use a directory elsewhere.";
  variableCases = option: {
    "${option}: a name that is none is refused" = refused
      (settingAt option {
        "1A" = "";
        "A-B" = "";
        "" = "";
        "A=B" = "";
      })
      (
        map
          (name: "${option}: ${builtins.toJSON name} is no variable name; use letters, digits and `_`, and do not start with a digit.")
          [
            ""
            "1A"
            "A-B"
            "A=B"
          ]
      );
    "${option}: a value of several lines is refused" = refused
      (settingAt option {
        GOOD = "tab\tand = \"quotes\" $x %h ü";
        KEY = "a\nb";
      })
      [
        "${option}.KEY: \"a\\nb\" holds a newline or another control character, which an environment file cannot carry; put multi-line values in a file and name that."
      ];
  };

  assertionCases = {
    "no host users: refused twice, with the wrapper" =
      case
        [
          "m3ta.pi-agent.hostUsers must define at least one authorized host user."
          "m3ta.pi-agent.hostUsers must not be empty when wrapper is enabled."
        ]
        (complaintsOf (configOf [ { m3ta.pi-agent.enable = true; } ]));
    "no host users: refused once, without the wrapper" =
      case
        [ "m3ta.pi-agent.hostUsers must define at least one authorized host user." ]
        (
          complaintsOf (configOf [
            {
              m3ta.pi-agent = {
                enable = true;
                wrapper.enable = false;
              };
            }
          ])
        );
    "no sudo of either kind: refused, with the wrapper" =
      let
        withoutSudo =
          enable:
          complaintsOf (configOf [
            base
            {
              m3ta.pi-agent.wrapper = { inherit enable; };
              security.sudo.enable = false;
            }
          ]);
      in
      case
        [
          [
            "m3ta.pi-agent.wrapper.enable needs sudo to start the runner; set security.sudo.enable or security.sudo-rs.enable."
          ]
          [ ]
          [ ]
        ]
        [
          (withoutSudo true)
          (withoutSudo false)
          (complaintsOf withSudoRs)
        ];
    "a host user without roots is refused" = refused { hostUsers.bob = { }; } [
      "hostUsers.bob.projectRoots must not be empty."
    ];
    "nothing is refused while disabled" =
      case [ ]
        (complaintsOf (configOf [ { m3ta.pi-agent.stateDir = "relative"; } ]));
    "good input passes" =
      case [ ]
        (complaintsOf (given {
          hostUsers.alice = {
            projectRoots = [
              "~"
              "~/with space/ü"
              "/srv/x"
              "/srv/x"
              "/home/alice/p"
              "/tmpfs/x"
              "/var/lib/pi-agent-projects"
            ];
            configPath = "/etc/pi";
          };
          hostUsers."carol@corp.example".projectRoots = [ "/srv/x..y/.hidden" ];
          hostUsers.svc-1_.projectRoots = [ "/srv/x" ];
          stateDir = "/srv/pi agent";
        }));

    "a relative root is refused" = rootsRefused [
      "p"
      "./p"
      "~bob/p"
    ] "is relative; write it from `/`, or from `~/` for the user's home.";
    "an empty root is refused" = rootsRefused [ "" ] "is empty; name a directory.";
    "a root of / is refused" = rootsRefused [
      "/"
      "//"
    ] "is the whole file system; name the project directories below it.";
    "a root with . or .. is refused" = rootsRefused [
      "/srv/../etc"
      "/srv/./x"
      "~/../bob"
      "/srv/.."
    ] "has a `.` or `..` component; write the path without it.";
    "a root with a control character is refused" = rootsRefused [
      "/srv/a\nb"
      "/srv/a\tb"
      "~/a\rb"
    ] "holds a control character such as a newline; rename the directory or allow the one above it.";
    "a root with a quote or a backslash is refused" = rootsRefused [
      "/srv/alice's"
      "/srv/a\"b"
      "~/a\\b"
    ] "holds a quote or a backslash, with which systemd cannot mount it; rename the directory or allow the one above it.";
    "a root that overlaps the state is refused" = rootsRefused [
      "/var/lib/pi-agent"
      "/var/lib/pi-agent/"
      "/var/lib/pi-agent/projects"
      "/var/lib"
    ] "overlaps m3ta.pi-agent.stateDir (/var/lib/pi-agent), which holds every host user's agent state; use a directory outside it that does not contain it.";
    "a root that overlaps another state directory is refused" =
      case
        [
          "m3ta.pi-agent.hostUsers.alice.projectRoots: \"/srv\" overlaps m3ta.pi-agent.stateDir (/srv/pi), which holds every host user's agent state; use a directory outside it that does not contain it."
        ]
        (complaintsOf (given {
          stateDir = "/srv/pi";
          hostUsers.alice.projectRoots = [
            "/srv"
            "/srv/pi2"
            "/var/lib/pi-agent"
          ];
        }));

    "hostUsers: the isolated user is refused, whatever its name" =
      refused
        {
          user = "robot";
          hostUsers.robot.projectRoots = [ "~/p" ];
        }
        [
          "hostUsers: \"robot\" is the isolated user itself (m3ta.pi-agent.user); list the person's own account."
        ];
    "user: root is refused" = refused { user = "root"; } [
      "user: \"root\" gives the agent root's rights; use an account of its own."
    ];
    "group: root is refused" = refused { group = "root"; } [
      "group: \"root\" gives the agent root's rights; use an account of its own."
    ];
    "user: a number is refused" = refused { user = "0"; } [
      "user: \"0\" is a number and would be taken for an id; use a name."
    ];
    "hostUsers: bad names are refused" =
      case
        [
          "m3ta.pi-agent.hostUsers: \"%wheel\" ${badAccount}"
          "m3ta.pi-agent.hostUsers: \"..\" ${badAccount}"
          "m3ta.pi-agent.hostUsers: \"1000\" is a number and would be taken for an id; use a name."
          "m3ta.pi-agent.hostUsers: \"ALL\" would let everybody call the runner: sudoers reads it as every user; list each user by name."
          "m3ta.pi-agent.hostUsers: \"a/b\" ${badAccount}"
          "m3ta.pi-agent.hostUsers: \"pi-agent\" is the isolated user itself (m3ta.pi-agent.user); list the person's own account."
          "m3ta.pi-agent.hostUsers: \"root\" must not be a host user: the agent's edits would belong to root; list the person's own account."
        ]
        (
          complaintsOf (given {
            hostUsers = genAttrs [
              "%wheel"
              ".."
              "1000"
              "ALL"
              "a/b"
              "pi-agent"
              "root"
            ] (_: { projectRoots = [ "~/p" ]; });
          })
        );

    "stateDir: what is no path of its own is refused" =
      case
        [
          [ "m3ta.pi-agent.stateDir: \"\" is not absolute; write it from `/`, as in \"/var/lib/pi-agent\"." ]
          [ "m3ta.pi-agent.stateDir: \"lib/pi\" is not absolute; write it from `/`, as in \"/var/lib/pi-agent\"." ]
          [ "m3ta.pi-agent.stateDir: \"~/pi\" is not absolute; write it from `/`, as in \"/var/lib/pi-agent\"." ]
          [ "m3ta.pi-agent.stateDir: \"/\" is the whole file system; use a directory of its own, as in \"/var/lib/pi-agent\"." ]
          [ "m3ta.pi-agent.stateDir: \"/srv/pi/\" is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes." ]
          [ "m3ta.pi-agent.stateDir: \"/srv/../pi\" is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes." ]
          [ "m3ta.pi-agent.stateDir: \"/srv/a\\nb\" holds a control character such as a newline; use a plain path." ]
          [ "m3ta.pi-agent.stateDir: \"/srv/pi's\" holds a quote or a backslash, with which systemd cannot mount it; use a plain path." ]
          [ "m3ta.pi-agent.stateDir: \"/tmp/pi\" cannot hold the state because the sandbox provides its own /tmp; use a directory elsewhere, as in \"/var/lib/pi-agent\"." ]
        ]
        (
          map (stateDir: complaintsOf (given { inherit stateDir; })) [
            ""
            "lib/pi"
            "~/pi"
            "/"
            "/srv/pi/"
            "/srv/../pi"
            "/srv/a\nb"
            "/srv/pi's"
            "/tmp/pi"
          ]
        );

    "environmentFiles: a relative path is refused" =
      refused
        { environmentFiles = [ "secrets.env" ]; }
        [ "environmentFiles: \"secrets.env\" is no absolute path; write it from `/`, as a string." ];
    "environmentFiles: the store is refused" = refused { environmentFiles = [ "/nix//store/./x" ]; } [
      "environmentFiles: \"/nix//store/./x\" is in the Nix store, which everybody can read; keep secrets outside of it, as in \"/run/secrets/pi.env\"."
    ];
  }
  // mapAttrs' (
    place: inside:
    nameValuePair "a root at, under or above ${place} is refused" (
      rootsRefused (
        [
          place
          "${place}/x"
        ]
        ++ inside
      ) (reservedRoot place)
    )
  ) {
    "/bin" = [ ];
    "/boot" = [ ];
    "/dev" = [ ];
    "/etc" = [ ];
    "/lib" = [ ];
    "/lib64" = [ ];
    "/nix" = [ "/nix/store" ];
    "/proc" = [ ];
    "/run" = [ ];
    "/sbin" = [ ];
    "/sys" = [ ];
    "/tmp" = [ "//tmp//x" ];
    "/usr" = [ ];
    "/var/tmp" = [ "/var" ];
  }
  // lib.concatMapAttrs
    (option: set: {
      "${option}: an empty path is refused" = refused (set "") [
        "${option}: \"\" names no directory of its own; name Pi's, as in \".pi/agent\"."
      ];
      "${option}: the home itself is refused" = refused (set "~/") [
        "${option}: \"~/\" names no directory of its own; name Pi's, as in \".pi/agent\"."
      ];
      "${option}: a .. is refused" = refused (set "../bob/.pi") [
        "${option}: \"../bob/.pi\" has a `..` component; write it from `/`, or relative to the user's home."
      ];
      "${option}: a control character is refused" = refused (set "a\nb") [
        "${option}: \"a\\nb\" holds a control character such as a newline; use a plain path."
      ];
    })
    {
      "hostUsers.alice.configPath" = path: { hostUsers.alice.configPath = path; };
      "wrapper.hostConfigPath" = path: { wrapper.hostConfigPath = path; };
    }
  // variableCases "environment"
  // variableCases "wrapper.extraEnvironment";

  # --- The sandbox ----------------------------------------------------------

  # Each value is refused for the same reason, and nothing else is.
  eachRefused =
    option: values: reason:
    case (map (value: [ "m3ta.pi-agent.${option}: ${builtins.toJSON value} ${reason}" ]) values) (
      map (value: complaintsOf (given (settingAt option value))) values
    );
  listRefused =
    option: values: reason:
    refused (settingAt option values) (
      map (value: "${option}: ${builtins.toJSON value} ${reason}") values
    );
  passes = settings: case [ ] (complaintsOf (given { sandbox = settings; }));

  patternCases = option: start: {
    "${option}: an empty path is refused" =
      listRefused option [ "" ]
        "is empty; name a file or a directory.";
    "${option}: an absolute path is refused" = listRefused option [
      "/"
      "/etc/x"
    ] "is absolute; write it from ${start}.";
    "${option}: a ~ is refused" = listRefused option [
      "~"
      "~/.ssh"
    ] "begins with `~`; write it from ${start}, without `~/`.";
    "${option}: a path that is not in its shortest form is refused" = listRefused option [
      "."
      ".."
      "../x"
      "a/../b"
      "./a"
      "a//b"
      "a/"
    ] "is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes.";
    "${option}: a control character is refused" = listRefused option [
      "a\nb"
      "a\tb"
    ] "holds a control character such as a newline; put `*` in its place.";
    "${option}: ** is refused" = listRefused option [
      "**"
      "a/**/b"
    ] "has a `**` component; `*` stands for one component, so name each level that is meant.";
    "${option}: what looks like another pattern is refused" = listRefused option [
      "a?*"
      "a/[ab]*"
      "*]"
    ] "has a `?` or a bracket beside a `*`; only `*` stands for other characters.";
    "${option}: good paths pass" =
      case [ ]
        (complaintsOf (given (settingAt option [
          ".git/hooks"
          "a/*/b"
          "*.x"
          "~bob"
          "with space/ü'\"\\"
          "..."
          "app/[id]"
        ])));
    "${option}: a module can add to the default" =
      let
        name = lib.removePrefix "sandbox." option;
        config = configOf [
          base
          (
            { options, ... }:
            {
              m3ta.pi-agent.sandbox.${name} = options.m3ta.pi-agent.sandbox.${name}.default ++ [ "more" ];
            }
          )
        ];
      in
      case (declared.sandbox.${name}.default ++ [ "more" ]) (policyOf config).sandbox.${name};
    "${option}: nothing is twice in the default" =
      let
        inherit (declared.sandbox.${lib.removePrefix "sandbox." option}) default;
      in
      case (lib.unique default) default;
  };

  extraPathCases = option: {
    "${option}: what is no absolute path is refused" = listRefused option [
      ""
      "srv/x"
      "~/x"
    ] "is not absolute; write it from `/`.";
    "${option}: / is refused" = listRefused option [
      "/"
    ] "is the whole file system; name the directories that are needed.";
    "${option}: a path that is not in its shortest form is refused" = listRefused option [
      "/srv/../etc"
      "/srv/./x"
      "/srv/x/"
      "//srv/x"
    ] "is not in its shortest form; write it without `.`, `..`, doubled or trailing slashes.";
    "${option}: a control character is refused" =
      listRefused option [ "/srv/a\nb" ]
        "holds a control character such as a newline; rename it or name the directory above it.";
    "${option}: a quote or a backslash is refused" = listRefused option [
      "/srv/a'b"
      "/srv/a\"b"
      "/srv/a\\b"
    ] "holds a quote or a backslash, with which systemd cannot mount it; rename it or name the directory above it.";
    "${option}: all homes at once are refused" = listRefused option [
      "/home"
      "/root"
      "/run/user"
    ] "holds what belongs to people, which the sandbox keeps away; name a path below it.";
    "${option}: the state is refused" = listRefused option [
      "/var/lib"
      "/var/lib/pi-agent"
      "/var/lib/pi-agent/users/alice"
    ] "overlaps m3ta.pi-agent.stateDir (/var/lib/pi-agent), which holds every host user's agent state; name a path elsewhere.";
    "${option}: good paths pass" =
      case [ ]
        (complaintsOf (given (settingAt option [
          "/srv/data"
          "/opt/with space/ü%h:x"
          "/run/postgresql/.s.PGSQL.5432"
          "/home/alice/data"
          "/var/lib/pi-agent-data"
          "/var/cache/x"
          "/srv/x..y"
        ])));
  }
  // mapAttrs' (
    place: paths:
    nameValuePair "${option}: what the sandbox has at ${place} is refused" (
      listRefused option paths "cannot be shown because the sandbox provides its own ${place}; name a path elsewhere."
    )
  ) {
    "/bin" = [ "/bin/sh" ];
    "/boot" = [ "/boot" ];
    "/dev" = [
      "/dev"
      "/dev/dri"
    ];
    "/etc" = [ "/etc/ssl" ];
    "/lib" = [ "/lib" ];
    "/lib64" = [ "/lib64" ];
    "/nix" = [
      "/nix"
      "/nix/var"
    ];
    "/proc" = [ "/proc/1" ];
    "/run/current-system" = [
      "/run"
      "/run/current-system"
    ];
    "/run/nscd" = [ "/run/nscd/socket" ];
    "/run/pi-agent" = [ "/run/pi-agent/1000" ];
    "/run/systemd" = [ "/run/systemd/private" ];
    "/sbin" = [ "/sbin" ];
    "/sys" = [ "/sys/class" ];
    "/tmp" = [ "/tmp/.X11-unix" ];
    "/usr" = [ "/usr/local" ];
    "/var/run" = [ "/var/run/x" ];
    "/var/tmp" = [
      "/var"
      "/var/tmp/x"
    ];
  };

  addressCases = option: {
    "${option}: what is no address is refused" = listRefused option [
      ""
      "example.com"
      "link_local"
      "256.0.0.1"
      "1.2.3"
      "1.2.3.4.5"
      "01.2.3.4"
      "1.2.3.4/33"
      "1.2.3.4/"
      "1.2.3.4/08"
      "1.2.3.4 5.6.7.8"
      "1.2.3.4\n"
      ":"
      ":::"
      "1:2"
      "1:2:3:4:5:6:7:8:9"
      "1::2::3"
      "1:2:3:4:5:6:7::8"
      "::1:"
      ":1::2"
      "12345::"
      "g::"
      "fe80::1%eth0"
      "::1/129"
      "::ffff:1.2.3.4"
    ] "is no address; write an IP address, a prefix as in \"10.0.0.0/8\", or one of `any`, `localhost`, `link-local` and `multicast`.";
    "${option}: every kind of address passes" =
      case [ ]
        (complaintsOf (given (settingAt option [
          "any"
          "localhost"
          "link-local"
          "multicast"
          "0.0.0.0/0"
          "10.0.0.0/8"
          "192.0.2.10"
          "255.255.255.255/32"
          "::"
          "::/0"
          "::1"
          "1::"
          "2001:DB8::1:0/64"
          "1:2:3:4:5:6:7:8/128"
          "1:2:3:4:5:6::8"
        ])));
  };

  memoryReason = "is no amount of memory; write bytes as in \"8G\", a share of the machine's as in \"75%\", or \"infinity\".";
  memoryCases = option: {
    "${option}: what is no amount is refused" = eachRefused option [
      ""
      "8 G"
      "8GB"
      "-1"
      "101%"
      "%"
      "G"
      "1G\nUser=root"
    ] memoryReason;
    "${option}: every kind of amount passes" =
      case
        [
          [ ]
          [ ]
          [ ]
          [ ]
          [ ]
          [ ]
        ]
        (
          map (value: complaintsOf (given (settingAt option value))) [
            "1073741824"
            "8G"
            "1.5T"
            "100%"
            "12.5%"
            "infinity"
          ]
        );
  };

  # Names of properties and the reason why each is refused.
  propertiesRefused =
    names: reason:
    refused { sandbox.properties = genAttrs names (_: "x"); } (
      map (name: "sandbox.properties.${name}: \"x\" ${reason}") names
    );

  sandboxCases =
    patternCases "sandbox.protectedPaths" "the project root"
    // patternCases "sandbox.hiddenPaths" "the user's home"
    // extraPathCases "sandbox.readOnlyPaths"
    // extraPathCases "sandbox.readWritePaths"
    // addressCases "sandbox.denyAddresses"
    // addressCases "sandbox.allowAddresses"
    // memoryCases "sandbox.resources.memoryMax"
    // memoryCases "sandbox.resources.memorySwapMax"
    // {
      "protectedPaths: the default has what runs by itself" =
        case [ ]
          (lib.filter (path: !elem path declared.sandbox.protectedPaths.default) [
            ".bashrc"
            ".devcontainer"
            ".direnv"
            ".envrc"
            ".git/config"
            ".git/config.worktree"
            ".git/hooks"
            ".git/modules/*/config"
            ".git/modules/*/hooks"
            ".githooks"
            ".husky"
            ".idea"
            ".pi"
            ".pre-commit-config.yaml"
            ".vscode"
          ]);
      "protectedPaths: the default leaves what every build edits" =
        case [ ]
          (lib.filter (path: elem path declared.sandbox.protectedPaths.default) [
            ".env"
            ".git"
            ".gitignore"
            "Makefile"
            "flake.nix"
            "package.json"
          ]);
      "hiddenPaths: the default has the secrets of a home" =
        case [ ]
          (lib.filter (path: !elem path declared.sandbox.hiddenPaths.default) [
            ".aws"
            ".azure"
            ".bash_history"
            ".cargo/credentials"
            ".cargo/credentials.toml"
            ".config/BraveSoftware"
            ".config/age"
            ".config/chromium"
            ".config/gcloud"
            ".config/gh/hosts.yml"
            ".config/git/credentials"
            ".config/google-chrome"
            ".config/microsoft-edge"
            ".config/op"
            ".config/rclone"
            ".config/sops"
            ".docker/config.json"
            ".git-credentials"
            ".gnupg"
            ".kube"
            ".lesshst"
            ".local/share/fish/fish_history"
            ".local/share/keyrings"
            ".mozilla"
            ".mysql_history"
            ".netrc"
            ".node_repl_history"
            ".npmrc"
            ".password-store"
            ".pi/.env"
            ".pi/agent/auth.json"
            ".psql_history"
            ".pypirc"
            ".python_history"
            ".sqlite_history"
            ".ssh"
            ".thunderbird"
            ".vault-token"
            ".zsh_history"
          ]);
      "the defaults pass their own checks" = case [ ] (complaintsOf plain);

      "readOnlyPaths and readWritePaths: the same path in both is refused" =
        refused
          {
            sandbox.readOnlyPaths = [
              "/srv/a"
              "/srv/b"
            ];
            sandbox.readWritePaths = [
              "/srv/b"
              "/srv/a/x"
            ];
          }
          [
            "sandbox.readWritePaths: \"/srv/b\" is in m3ta.pi-agent.sandbox.readOnlyPaths too; keep one of them."
          ];
      "readOnlyPaths: the state is refused wherever it is" =
        refused
          {
            stateDir = "/srv/pi";
            sandbox.readOnlyPaths = [
              "/srv"
              "/var/lib/pi-agent"
            ];
          }
          [
            "sandbox.readOnlyPaths: \"/srv\" overlaps m3ta.pi-agent.stateDir (/srv/pi), which holds every host user's agent state; name a path elsewhere."
          ];

      "resources.memoryMax: nothing at all is refused" = eachRefused "sandbox.resources.memoryMax" [
        "0"
        "0%"
        "0.0G"
      ] "leaves nothing to run in; write an amount above zero.";
      "resources.memorySwapMax: nothing at all passes" = passes { resources.memorySwapMax = "0"; };
      "resources.tasksMax: out of range is refused" = eachRefused "sandbox.resources.tasksMax" [
        (-1)
        0
        15
        4194305
      ] "is out of range; write a number from 16 to 4194304.";
      "resources.cpuWeight: out of range is refused" = eachRefused "sandbox.resources.cpuWeight" [
        0
        10001
      ] "is out of range; write a number from 1 to 10000.";
      "resources: the least and the most pass" =
        case
          [
            [ ]
            [ ]
          ]
          [
            (complaintsOf (given {
              sandbox.resources = {
                tasksMax = 16;
                cpuWeight = 1;
              };
            }))
            (complaintsOf (given {
              sandbox.resources = {
                tasksMax = 4194304;
                cpuWeight = 10000;
              };
            }))
          ];
      "resources: come first among the properties" = case [
        "MemoryMax=75%"
        "MemorySwapMax=1G"
        "TasksMax=4096"
        "CPUWeight=100"
        "OOMPolicy=kill"
        "TasksMax=infinity"
      ] (policyOf (given { sandbox.properties.TasksMax = "infinity"; })).sandbox.properties;

      "properties: a value of each kind passes" = passes { properties = someProperties; };
      "properties: what loosens or tightens passes" = passes {
        properties = {
          CPUQuota = "50%";
          DeviceAllow = "/dev/kvm rw";
          ExecPaths = "/nix/store";
          IPIngressFilterPath = "/sys/fs/bpf/x";
          Nice = -5;
          NoExecPaths = "/";
          NoNewPrivileges = "yes";
          PrivateDevices = false;
          ProtectKernelTunables = false;
          RestrictNamespaces = "user";
          RestrictSUIDSGID = true;
          RuntimeMaxSec = "8h";
          SystemCallFilter = "@mount";
          UMask = "0077";
        };
      };
      "properties: a name that is none is refused" =
        refused
          {
            sandbox.properties = {
              "" = 1;
              "Memory Max" = 1;
              "Memory\nMax" = 1;
              "A=B" = 1;
            };
          }
          (
            map
              (name: "sandbox.properties: ${builtins.toJSON name} is no name of a systemd property; write it as in systemd.exec(5), letters and digits alone, as in \"MemoryMax\".")
              [
                ""
                "A=B"
                "Memory\nMax"
                "Memory Max"
              ]
          );
      "properties: a value of several lines is refused" =
        refused
          {
            sandbox.properties = {
              MemoryMax = "1G\nUser=root";
              SystemCallFilter = [
                "@mount"
                "a\tb"
              ];
            };
          }
          [
            "sandbox.properties.MemoryMax: \"1G\\nUser=root\" holds a control character such as a newline; write several values as a list."
            "sandbox.properties.SystemCallFilter: [\"@mount\",\"a\\tb\"] holds a control character such as a newline; write several values as a list."
          ];
      "properties: what must stay on is refused when it is off" =
        refused
          {
            sandbox.properties = {
              NoNewPrivileges = false;
              RestrictSUIDSGID = [
                "yes"
                "no"
              ];
            };
          }
          [
            "sandbox.properties.NoNewPrivileges: false would let the agent take on the rights of others; leave it out, it is always on."
            "sandbox.properties.RestrictSUIDSGID: [\"yes\",\"no\"] would let the agent take on the rights of others; leave it out, it is always on."
          ];
      "properties: what must stay on passes however systemd lets one say so" = passes {
        properties = {
          NoNewPrivileges = [
            "1"
            "on"
            "t"
            "true"
            "y"
            "yes"
          ];
          RestrictSUIDSGID = 1;
        };
      };
      "properties: a kept one is refused whatever its value" =
        refused
          {
            sandbox.properties = {
              User = [ ];
              PrivateMounts = true;
            };
          }
          [
            "sandbox.properties.PrivateMounts: true would change what is mounted for the agent; use m3ta.pi-agent.sandbox.readOnlyPaths, readWritePaths, protectedPaths and hiddenPaths."
            "sandbox.properties.User: [] would change who the agent is; use m3ta.pi-agent.user, m3ta.pi-agent.group and m3ta.pi-agent.projectGroup."
          ];
      "properties: those of the identity are refused" = propertiesRefused [
        "DynamicUser"
        "Group"
        "PAMName"
        "SetLoginEnvironment"
        "SupplementaryGroups"
        "User"
      ] "would change who the agent is; use m3ta.pi-agent.user, m3ta.pi-agent.group and m3ta.pi-agent.projectGroup.";
      "properties: those of root's rights are refused" = propertiesRefused [
        "AmbientCapabilities"
        "CapabilityBoundingSet"
        "SecureBits"
      ] "would give the agent rights of root, which no session has; leave it out.";
      "properties: those of the mounts are refused" = propertiesRefused [
        "BindLogSockets"
        "BindPaths"
        "BindReadOnlyPaths"
        "CacheDirectory"
        "ConfigurationDirectory"
        "ExtensionDirectories"
        "ExtensionImages"
        "InaccessibleDirectories"
        "InaccessiblePaths"
        "LogsDirectory"
        "MountAPIVFS"
        "MountFlags"
        "MountImages"
        "PrivateMounts"
        "ProtectHome"
        "ProtectHomeEx"
        "ProtectSystem"
        "ReadOnlyDirectories"
        "ReadOnlyPaths"
        "ReadWriteDirectories"
        "ReadWritePaths"
        "RootDirectory"
        "RootDirectoryStartOnly"
        "RootEphemeral"
        "RootHash"
        "RootImage"
        "RuntimeDirectory"
        "RuntimeDirectoryPreserve"
        "StateDirectory"
        "StateDirectoryMode"
        "TemporaryFileSystem"
        "WorkingDirectory"
      ] "would change what is mounted for the agent; use m3ta.pi-agent.sandbox.readOnlyPaths, readWritePaths, protectedPaths and hiddenPaths.";
      "properties: those between sessions are refused" = propertiesRefused [
        "IPCNamespacePath"
        "JoinsNamespaceOf"
        "KeyringMode"
        "PrivateIPC"
        "PrivatePIDs"
        "PrivateTmp"
        "PrivateTmpEx"
        "PrivateUsers"
        "PrivateUsersEx"
        "UserNamespacePath"
      ] "would let one session reach another, since all agents are one user; leave it out.";
      "properties: those of what runs are refused" = propertiesRefused [
        "ExecCondition"
        "ExecConditionEx"
        "ExecReload"
        "ExecReloadPost"
        "ExecStart"
        "ExecStartEx"
        "ExecStartPost"
        "ExecStartPre"
        "ExecStop"
        "ExecStopPost"
      ] "would run something beside the agent or in its place; leave it out.";
      "properties: those of the environment are refused" = propertiesRefused [
        "Environment"
        "EnvironmentFile"
        "EnvironmentFiles"
        "ExecSearchPath"
        "PassEnvironment"
        "UnsetEnvironment"
      ] "would change the agent's environment; use m3ta.pi-agent.environment, environmentFiles, extraPackages and wrapper.extraEnvironment.";
      "properties: those of credentials are refused" = propertiesRefused [
        "ImportCredential"
        "ImportCredentialEx"
        "LoadCredential"
        "LoadCredentialEncrypted"
        "SetCredential"
        "SetCredentialEncrypted"
      ] "would bring in secrets past the environment; use m3ta.pi-agent.environmentFiles.";
      "properties: those of streams are refused" = propertiesRefused [
        "ExtraFileDescriptors"
        "FileDescriptorName"
        "FileDescriptorStoreMax"
        "FileDescriptorStorePreserve"
        "NonBlocking"
        "OpenFile"
        "Sockets"
        "StandardError"
        "StandardInput"
        "StandardInputData"
        "StandardInputText"
        "StandardOutput"
        "TTYPath"
        "TTYReset"
        "TTYVHangup"
        "USBFunctionStrings"
        "UtmpIdentifier"
        "UtmpMode"
      ] "would take the session's terminal, streams or files; leave it out.";
      "properties: those of supervision are refused" = propertiesRefused [
        "AssertPathExists"
        "BusName"
        "CollectMode"
        "ConditionUser"
        "DefaultDependencies"
        "Delegate"
        "DelegateSubgroup"
        "ExitType"
        "FinalKillSignal"
        "GuessMainPID"
        "KillMode"
        "KillSignal"
        "NotifyAccess"
        "PIDFile"
        "PermissionsStartOnly"
        "RefuseManualStop"
        "ReloadSignal"
        "RemainAfterExit"
        "Restart"
        "RestartForceExitStatus"
        "RestartSec"
        "SendSIGHUP"
        "SendSIGKILL"
        "Slice"
        "StopWhenUnneeded"
        "SuccessExitStatus"
        "SurviveFinalKillSignal"
        "TimeoutSec"
        "TimeoutStopSec"
        "Type"
        "WatchdogSec"
        "WatchdogSignal"
      ] "would change how a session is started, watched and ended; leave it out. For a time limit use RuntimeMaxSec.";
      "properties: those that act on the machine are refused" = propertiesRefused [
        "FailureAction"
        "FailureActionExitStatus"
        "JobRunningTimeoutSec"
        "JobTimeoutAction"
        "RebootArgument"
        "StartLimitAction"
        "SuccessAction"
      ] "would let the end of a session act on the whole machine; leave it out.";
      "properties: those of the journal are refused" = propertiesRefused [
        "LogExtraFields"
        "LogNamespace"
        "SyslogIdentifier"
      ] "would change what the journal says of a session; leave it out.";
      "properties: those of addresses are refused" = propertiesRefused [
        "IPAddressAllow"
        "IPAddressDeny"
      ] "would change which addresses the agent reaches; use m3ta.pi-agent.sandbox.denyAddresses and allowAddresses.";
      "properties: those of the network are refused" = propertiesRefused [
        "NetworkNamespacePath"
        "PrivateNetwork"
      ] "would change the agent's network; use m3ta.pi-agent.sandbox.network.";
      "properties: definitions of several modules merge" =
        case
          [
            "MemoryHigh=4G"
            "SystemCallFilter=@mount"
            "SystemCallFilter=pivot_root"
          ]
          (
            lib.drop 5
              (policyOf (configOf [
                base
                { m3ta.pi-agent.sandbox.properties.SystemCallFilter = [ "@mount" ]; }
                {
                  m3ta.pi-agent.sandbox.properties = {
                    MemoryHigh = "4G";
                    SystemCallFilter = lib.mkAfter [ "pivot_root" ];
                  };
                }
              ])).sandbox.properties
          );

      "the policy's sandbox has no keys but those of its schema" = case [
        "allowAddresses"
        "denyAddresses"
        "hiddenPaths"
        "network"
        "nixDaemon"
        "properties"
        "protectedPaths"
        "readOnlyPaths"
        "readWritePaths"
      ] (attrNames (policyOf plain).sandbox);
    };

  # --- What the host gets ---------------------------------------------------

  several = {
    hostUsers.bob.projectRoots = [ "/srv/x" ];
    projectGroup = "team";
  };
  sudoRule = config: [
    {
      commands = [
        {
          command = builtins.unsafeDiscardStringContext "${config.m3ta.pi-agent.build.runner}/bin/m3ta-pi-agent-runner";
          options = [ "NOPASSWD" ];
        }
      ];
      groups = [ ];
      host = "ALL";
      runAs = "root";
      users = [
        "alice"
        "bob"
      ];
    }
  ];
  withSudoRs = configOf [
    base
    { m3ta.pi-agent = several; }
    {
      security.sudo.enable = false;
      security.sudo-rs.enable = true;
    }
  ];

  hostCases = {
    "the user and the group" =
      let
        config = given several;
      in
      case
        {
          group = "pi-agent";
          user = {
            isSystemUser = true;
            isNormalUser = false;
            group = "pi-agent";
            extraGroups = [ "team" ];
            description = "Isolated Pi agent user";
            home = "/var/lib/pi-agent";
            createHome = true;
            homeMode = "0750";
            shell = builtins.unsafeDiscardStringContext (toString pkgs.bashInteractive);
          };
        }
        {
          group = config.users.groups.pi-agent.name;
          user = userOf config "pi-agent" // {
            shell = builtins.unsafeDiscardStringContext (userOf config "pi-agent").shell;
          };
        };

    "the tmpfiles rules" = case [
      "d /var/lib/pi-agent 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.pi 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.pi/agent 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.pi/agent/sessions 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.project-mounts 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/projects 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.npm 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.npm-global 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.npm-global/bin 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/.npm-global/lib 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/users 0750 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/users/alice 0700 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/users/bob 0700 pi-agent pi-agent - -"
      "d /var/lib/pi-agent/sync 0700 pi-agent pi-agent - -"
      "d /run/pi-agent 0700 root root - -"
    ] (tmpfilesOf (given several));
    "a tmpfiles path with specifiers, spaces and quotes is escaped" =
      case ''d "/srv/a \"b\" %%h\\" 0750 pi-agent pi-agent - -''
        (lib.head (tmpfilesOf (given { stateDir = ''/srv/a "b" %h\''; })));

    "the sudo rule is for the host users and the runner alone" =
      let
        config = given several;
      in
      case (sudoRule config) (sudoOf "sudo" config);
    "sudo does not log the runner's arguments, which may be prompts" =
      let
        config = given several;
      in
      case "Defaults!${(lib.head (lib.head (sudoOf "sudo" config)).commands).command} !log_allowed, !pam_session"
        (lib.head (lib.splitString "\n" config.security.sudo.extraConfig));
    "sudo hands on what describes a terminal, and for the runner alone" =
      let
        config = given several;
        line = builtins.elemAt (lib.splitString "\n" config.security.sudo.extraConfig) 1;
        start = "Defaults!${(lib.head (lib.head (sudoOf "sudo" config)).commands).command} env_keep += \"TERM COLORTERM ";
      in
      case
        [
          true
          true
          false
          false
        ]
        [
          (lib.hasPrefix start line)
          (lib.hasInfix " KITTY_WINDOW_ID " line)
          (lib.hasInfix "#" line)
          (lib.hasInfix "TERMINFO" line)
        ];
    "no rule for sudo-rs while it is off" = case [ ] (sudoOf "sudo-rs" (given several));
    "the same rule for sudo-rs where it is on" = case (sudoRule withSudoRs) (
      sudoOf "sudo-rs" withSudoRs
    );

    "packages by wrapper.enable and wrapper.hideDirectBinary" =
      case
        {
          "true true" = [ "wrapper" ];
          "true false" = [
            "raw"
            "wrapper"
          ];
          "false true" = [ "raw" ];
          "false false" = [ "raw" ];
        }
        (
          lib.listToAttrs (
            concatMap (
              enable:
              map (
                hideDirectBinary:
                nameValuePair "${lib.boolToString enable} ${lib.boolToString hideDirectBinary}" (
                  packagesOf (given {
                    wrapper = {
                      inherit enable hideDirectBinary;
                    };
                  })
                )
              ) [
                true
                false
              ]
            ) [
              true
              false
            ]
          )
        );

    "the programs can be reached while the module is off" =
      case true
        (lib.isDerivation (configOf [ ]).m3ta.pi-agent.build.runner);
    "the programs cannot be set" =
      case fails
        (given { build.runner = sample; }).m3ta.pi-agent.build.runner.drvPath;
    "the policy has no keys but those of its schema" =
      case
        [
          "commandName"
          "environment"
          "environmentFiles"
          "extraEnvironment"
          "extraRunArgs"
          "group"
          "hostUsers"
          "launcher"
          "path"
          "program"
          "projectGroup"
          "sandbox"
          "settings"
          "shell"
          "stateDir"
          "syncConfigFromHost"
          "systemCallFilter"
          "tools"
          "user"
          "version"
        ]
        (attrNames (policyOf plain));
    "the policy is of version 2" = case 2 (policyOf plain).version;
    "the policy's sudo is the host's setuid one" =
      let
        config = plain;
      in
      case "${config.security.wrapperDir}/sudo" (policyOf config).tools.sudo;
    "every tool is an absolute path" =
      case
        [
          "bash"
          "setpriv"
          "setsid"
          "sudo"
          "systemctl"
          "systemd-run"
        ]
        (attrNames (filterAttrs (_: hasPrefix "/") (policyOf plain).tools));

    "definitions of several modules merge" =
      case
        {
          roots = [
            "~/p"
            "/srv/x"
          ];
          settings = {
            a = 1;
            nested = {
              b = 2;
              c = 3;
            };
          };
          args = [ "--forced" ];
          command = "agent";
        }
        (
          let
            policy = policyOf (configOf [
              base
              {
                m3ta.pi-agent = {
                  settings = {
                    a = 1;
                    nested.b = 2;
                  };
                  wrapper.extraRunArgs = [ "--dropped" ];
                  wrapper.commandName = lib.mkDefault "weak";
                };
              }
              (
                { lib, ... }:
                {
                  m3ta.pi-agent = lib.mkMerge [
                    { hostUsers.alice.projectRoots = lib.mkAfter [ "/srv/x" ]; }
                    (lib.mkIf true { settings.nested.c = 3; })
                    (lib.mkIf false { settings.nested.d = 4; })
                    {
                      wrapper.extraRunArgs = mkForce [ "--forced" ];
                      wrapper.commandName = "agent";
                    }
                  ];
                }
              )
            ]);
          in
          {
            roots = policy.hostUsers.alice.projectRoots;
            inherit (policy) settings;
            args = policy.extraRunArgs;
            command = policy.commandName;
          }
        );
    "two values for one string conflict" =
      case fails
        (configOf [
          { m3ta.pi-agent.user = "a"; }
          { m3ta.pi-agent.user = "b"; }
        ]).m3ta.pi-agent.user;
    "an option that does not exist is refused" = 
      case fails
        (given { nosuch = 1; }).m3ta.pi-agent.user;
    "a failed assertion stops the system" =
      case fails
        (given { stateDir = "relative"; }).system.build.toplevel.drvPath;

    "docs/options.md is what the module says (else: make docs)" =
      case true
        (builtins.readFile ../../docs/options.md == import ./options.nix { inherit pkgs; });
  };

  summary =
    config:
    {
      policy = policyOf config;
      tmpfiles = tmpfilesOf config;
      sudo = sudoOf "sudo" config;
      sudo-rs = sudoOf "sudo-rs" config;
      packages = packagesOf config;
      complaints = complaintsOf config;
      groups = filter (name: name == config.m3ta.pi-agent.group) (attrNames config.users.groups);
      users = mapAttrs (name: _: userOf config name) (
        filterAttrs (_: user: user.description == "Isolated Pi agent user") config.users.users
      );
    };
in
{
  cases = optionCases // nameCases // assertionCases // sandboxCases // hostCases;

  summaries = mapAttrs (_: summary) {
    base = plain;
    several = given several;
    sudo-rs = withSudoRs;
    disabled = configOf [ ];
    everything = given {
      user = "robot";
      group = "robots";
      stateDir = "/srv/pi";
      hostUsers.bob = {
        projectRoots = [ "/srv/y" ];
        configPath = "/srv/bob";
      };
      settings.a.b = [
        1
        { c = null; }
      ];
      environment.A = "1";
      environmentFiles = [ "/run/secrets/a" ];
      extraPackages = [
        pkgs.git
        pkgs.coreutils
      ];
      projectGroup = "team";
      sandbox = {
        protectedPaths = [ "a" ];
        hiddenPaths = [ "*/b" ];
        readOnlyPaths = [ "/srv/data" ];
        readWritePaths = [ "/srv/scratch" ];
        properties = someProperties;
        network = "none";
        denyAddresses = [ "any" ];
        allowAddresses = [ "::1" ];
        nixDaemon = false;
        resources = {
          memoryMax = "50%";
          memorySwapMax = "0";
          tasksMax = 100;
          cpuWeight = 1;
        };
      };
      wrapper = {
        commandName = "agent";
        runnerName = "run-agent";
        hideDirectBinary = false;
        syncConfigFromHost = false;
        hostConfigPath = ".p";
        extraRunArgs = [ "-x" ];
        extraEnvironment.B = "2";
      };
    };
  };
}
