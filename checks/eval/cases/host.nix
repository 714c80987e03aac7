# What the host gets: the account, directories, sudo rules and packages.
{
  ask,
  case,
  configs,
  lib,
  pkgs,
  ...
}:
let
  inherit (configs) several sudo-rs;
  inherit (lib)
    hasInfix
    hasPrefix
    head
    splitString
    ;

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
  # The settings for the runner alone.
  sudoDefaults = kind: config: lib.filter (hasPrefix "Defaults!RUNNER ") (ask.sudoLines kind config);
  variables = splitString " " (
    head (builtins.match ".* env_keep \\+= \"(.*)\"" (lib.last (sudoDefaults "sudo" several)))
  );
  isRule = line: !hasPrefix "Defaults" line && line != "";
  # What sudo takes for a user: the last rule that has their name, shortened.
  lastRule =
    kind: config: name:
    builtins.replaceStrings [ (ask.command config) ] [ "RUNNER" ] (
      lib.last (
        lib.filter (line: isRule line && hasPrefix "${name} " line) (ask.sudoers kind config)
      )
    );
in
{
  "the user and the group" =
    case
      {
        group = "pi-agent";
        user = {
          isSystemUser = true;
          isNormalUser = false;
          group = "pi-agent";
          extraGroups = [ ];
          description = "Isolated Pi agent user";
          home = "/var/lib/pi-agent";
          createHome = true;
          homeMode = "0750";
          expires = null;
          shell = builtins.unsafeDiscardStringContext (toString pkgs.bashInteractive);
        };
      }
      {
        group = several.users.groups.pi-agent.name;
        user = ask.user "pi-agent" several;
      };

  # Were their home made for each, every activation would give it to each in turn.
  "each agent has an account and a group of its own, and no home is made for it" =
    case
      (lib.genAttrs [ "pi-agent-alice" "pi-agent-bob" ] (name: {
        isSystemUser = true;
        isNormalUser = false;
        group = name;
        extraGroups = [ "team" ];
        description = "Isolated Pi agent user";
        home = "/var/lib/pi-agent";
        createHome = false;
        homeMode = "700";
        expires = "2000-01-01";
        shell = builtins.unsafeDiscardStringContext (toString pkgs.bashInteractive);
      }))
      (
        lib.genAttrs [ "pi-agent-alice" "pi-agent-bob" ] (
          name:
          assert several.users.groups ? ${name};
          ask.user name several
        )
      );
  "an only host user's agent can be the owner of the state" =
    case
      {
        complaints = [ ];
        group = "pi-agent";
        accounts = [ "pi-agent" ];
        extraGroups = [ "team" ];
        createHome = true;
        expires = "2000-01-01";
      }
      {
        complaints = ask.complaints configs.alone;
        group = configs.alone.m3ta.pi-agent.hostUsers.alice.agentGroup;
        accounts = lib.filter (hasPrefix "pi-agent") (lib.attrNames configs.alone.users.users);
        inherit (ask.user "pi-agent" configs.alone) extraGroups createHome expires;
      };

  "a session can go on using a name service that is restarted, unless an administrator sees to that" =
    let
      kept = config: config.systemd.services.nscd.serviceConfig.RuntimeDirectoryPreserve or null;
    in
    case
      {
        several = "yes";
        disabled = null;
        without-service = null;
        overridden = "restart";
      }
      {
        several = kept several;
        disabled = kept configs.disabled;
        without-service = kept configs.without-wrapper;
        overridden = kept configs.without-user;
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
    "d /var/lib/pi-agent-sync 0700 root root - -"
    "d /run/pi-agent 0700 root root - -"
  ] (ask.tmpfiles several);
  # A path with a quote is refused, but its rule must still be well-formed.
  "a tmpfiles path with specifiers, spaces and quotes is escaped" = case true (
    lib.any (hasPrefix ''d "/srv/a \"b\" %%h\\" 0750 '') (
      lib.concatMap (config: config.systemd.tmpfiles.rules) (
        lib.attrValues (lib.filterAttrs (name: _: hasPrefix "refused-" name) configs)
      )
    )
  );

  "the sudo rule is for the host users and the runner alone" =
    case (sudoRule several) (ask.sudo "sudo" several);
  "an administrator's rule does not come after ours, in whatever order the modules are" =
    case
      {
        sudo = [
          "alice ALL=(root) NOPASSWD: RUNNER"
          "bob ALL=(root) NOPASSWD: RUNNER"
          "carol ALL=(root) NOPASSWD: RUNNER"
        ];
        sudo-rs = [
          "alice ALL=(root) NOPASSWD: RUNNER"
          "bob ALL=(root) NOPASSWD: RUNNER"
        ];
      }
      {
        sudo = map (lastRule "sudo" configs.unhidden) [
          "alice"
          "bob"
          "carol"
        ];
        sudo-rs = map (lastRule "sudo-rs" configs.without-user) [
          "alice"
          "bob"
        ];
      };
  "sudo does not log the runner's arguments, which may be prompts" =
    case "Defaults!RUNNER !log_allowed, !pam_session"
      (head (sudoDefaults "sudo" several));
  "sudo-rs gets the settings that its version knows, and no other" =
    case
      {
        new = [
          (lib.last (sudoDefaults "sudo" several))
          "Defaults!RUNNER !log_allowed"
        ];
        middle = [ (lib.last (sudoDefaults "sudo" several)) ];
        old = [ ];
      }
      {
        new = sudoDefaults "sudo-rs" configs.without-user;
        middle = sudoDefaults "sudo-rs" sudo-rs;
        old = sudoDefaults "sudo-rs" configs.merged;
      };
  "that the journal keeps arguments with sudo-rs, of whatever version, is warned about" =
    case
      [
        true
        true
        true
        false
      ]
      (
        map (config: lib.any (hasInfix "keeps the arguments") (ask.warnings config)) [
          sudo-rs
          configs.merged
          configs.without-user
          several
        ]
      );
  "nothing of ours is in sudoers without the wrapper, or without host users" =
    case
      [
        [ ]
        [ ]
        [ ]
      ]
      [
        (ask.sudoLines "sudo" configs.without-wrapper)
        (ask.sudo "sudo" configs.nobody)
        # Other modules of NixOS have settings there.
        (lib.filter (hasInfix "Defaults!") (splitString "\n" configs.nobody.security.sudo.extraConfig))
      ];
  "sudo keeps the variables that describe a terminal, for the runner alone" =
    case
      {
        kept = [
          "TERM"
          "COLORTERM"
          "KITTY_WINDOW_ID"
        ];
        others = [ ];
      }
      {
        kept = lib.filter (name: lib.elem name variables) [
          "TERM"
          "COLORTERM"
          "KITTY_WINDOW_ID"
          # It names a directory of files that the terminal library of a root process would read.
          "TERMINFO"
        ];
        others = lib.filter (name: builtins.match "[A-Z_]+" name == null) variables;
      };
  "no rule for sudo-rs while it is off" = case [ ] (ask.sudo "sudo-rs" several);
  "the same rule for sudo-rs where it is on" = case (sudoRule sudo-rs) (ask.sudo "sudo-rs" sudo-rs);

  "a package of a host user's own that hides the command is warned about" =
    case
      [
        "alice"
        "bob"
      ]
      (
        lib.concatMap (builtins.match "m3ta[.]pi-agent[.]hostUsers[.]([a-z]+): a package.*") (
          ask.warnings configs.unhidden
        )
      );
  "there is no other warning" =
    case
      [ [ ] [ ] [ ] ]
      (map ask.warnings [
        several
        configs.everything
        configs.disabled
      ]);

  "the wrapper alone is installed" = case [ "wrapper" ] (ask.packages several);
  "the programs can be built while the module is off" =
    case true
      (lib.isDerivation configs.bare.m3ta.pi-agent.build.runner);
}
