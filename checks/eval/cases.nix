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

  policyOf =
    config:
    builtins.fromJSON (builtins.unsafeDiscardStringContext config.m3ta.pi-agent.build.policy.text);

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
          "settings"
          "shell"
          "stateDir"
          "syncConfigFromHost"
          "tools"
          "user"
          "version"
        ]
        (attrNames (policyOf plain));
    "the policy is of version 1" = case 1 (policyOf plain).version;
    "the policy's sudo is the host's setuid one" =
      let
        config = plain;
      in
      case "${config.security.wrapperDir}/sudo" (policyOf config).tools.sudo;
    "every tool is an absolute path" =
      case
        [
          "bash"
          "mount"
          "setsid"
          "sudo"
          "systemctl"
          "systemd-run"
          "tini"
          "umount"
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
  cases = optionCases // nameCases // assertionCases // hostCases;

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
