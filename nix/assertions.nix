# The values that are refused, with a message that names the option, the value and the remedy.
{ config, lib, ... }:
let
  inherit (lib)
    attrNames
    concatLists
    concatMap
    elem
    filter
    mapAttrsToList
    optional
    optionals
    ;

  cfg = config.m3ta.pi-agent;
  inherit (cfg) sandbox;

  accounts = import ./accounts.nix { inherit lib; };
  agents = (import ./agents.nix { inherit lib; }).of cfg;
  agentMistakes = import ./mistakes/agents.nix { inherit lib; };
  names = import ./mistakes/names.nix;
  paths = import ./mistakes/paths.nix { inherit lib; };
  sandboxPaths = import ./mistakes/sandbox-paths.nix { inherit lib; };
  variables = import ./mistakes/variables.nix { inherit lib; };
  addresses = import ./mistakes/addresses.nix { inherit lib; };
  properties = import ./mistakes/properties.nix { inherit lib; };

  # mistake: a function of the value that returns the end of a sentence, or null.
  check =
    option: mistake: value:
    let
      problem = mistake value;
    in
    optional (problem != null) "m3ta.pi-agent.${option}: ${builtins.toJSON value} ${problem}";

  checkAll = option: mistake: concatMap (check option mistake);

  checkUnlessNull =
    option: mistake: value:
    optionals (value != null) (check option mistake value);

  # mistake: a function of an attribute's name and its value.
  checkEach =
    option: mistake: set:
    concatLists (mapAttrsToList (name: check "${option}.${name}" (mistake name)) set);

  checkVariables =
    option: set:
    checkAll option variables.name (attrNames set) ++ checkEach option (_: variables.value) set;

  checkHostUser =
    name: user:
    checkAll "hostUsers.${name}.projectRoots" (paths.projectRoot cfg.stateDir) user.projectRoots
    ++ checkUnlessNull "hostUsers.${name}.configPath" paths.configPath user.configPath;

  # Of the host users that this configuration makes. Where one is an agent by mistake, that is said already.
  primaryGroups = lib.filterAttrs (_: group: group != "") (
    lib.mapAttrs (
      name: _:
      let
        account = accounts.named config.users.users name;
      in
      if account == null || lib.any (agent: agent.user == name) agents then "" else account.group
    ) cfg.hostUsers
  );

  checkAgent =
    agent:
    check "hostUsers.${agent.hostUser}.agentUser" (_: agentMistakes.user cfg agents agent) agent.user
    ++ check "hostUsers.${agent.hostUser}.agentGroup" (
      _: agentMistakes.group cfg agents primaryGroups agent
    ) agent.group;

  sudo = if config.security.sudo-rs.enable then "sudo-rs" else "sudo";
  # Of the host users that this configuration makes; what groups the others are in is not known here.
  outsideWheel = filter (
    name:
    let
      account = accounts.named config.users.users name;
    in
    account != null
    && account.group != "wheel"
    && !elem "wheel" account.extraGroups
    && !elem name config.users.groups.wheel.members or [ ]
  ) (attrNames cfg.hostUsers);

  messages =
    check "binaryName" names.program cfg.binaryName
    ++ check "user" names.account cfg.user
    ++ check "group" names.account cfg.group
    ++ checkUnlessNull "projectGroup" names.account cfg.projectGroup
    ++ check "stateDir" paths.stateDir cfg.stateDir
    ++ checkAll "hostUsers" (names.hostUser cfg.user) (attrNames cfg.hostUsers)
    ++ concatLists (mapAttrsToList checkHostUser cfg.hostUsers)
    ++ concatMap checkAgent agents
    ++ checkVariables "environment" cfg.environment
    ++ checkAll "environmentFiles" paths.environmentFile cfg.environmentFiles
    ++ check "wrapper.commandName" names.program cfg.wrapper.commandName
    ++ check "wrapper.runnerName" names.program cfg.wrapper.runnerName
    ++ check "wrapper.hostConfigPath" paths.configPath cfg.wrapper.hostConfigPath
    ++ checkVariables "wrapper.extraEnvironment" cfg.wrapper.extraEnvironment
    ++ checkAll "sandbox.protectedPaths" (sandboxPaths.pattern "the project root") sandbox.protectedPaths
    ++ checkAll "sandbox.hiddenPaths" (sandboxPaths.pattern "the user's home") sandbox.hiddenPaths
    ++ checkAll "sandbox.readOnlyPaths" (sandboxPaths.extraPath cfg.stateDir) sandbox.readOnlyPaths
    ++ checkAll "sandbox.readWritePaths" (sandboxPaths.readWritePath {
      inherit (cfg) stateDir;
      inherit (sandbox) readOnlyPaths;
    }) sandbox.readWritePaths
    ++ checkAll "sandbox.denyAddresses" addresses.address sandbox.denyAddresses
    ++ checkAll "sandbox.allowAddresses" addresses.address sandbox.allowAddresses
    ++ checkAll "sandbox.properties" properties.name (attrNames sandbox.properties)
    ++ checkEach "sandbox.properties" properties.value sandbox.properties;
in
{
  config = lib.mkIf cfg.enable {
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
      {
        assertion = cfg.wrapper.enable -> config.security.enableWrappers;
        message = "m3ta.pi-agent.wrapper.enable needs a setuid sudo to start the runner; set security.enableWrappers.";
      }
    ]
    ++ map (name: {
      assertion = false;
      message = "m3ta.pi-agent.hostUsers.${name} cannot run sudo: security.${sudo}.execWheelOnly lets only members of wheel do that. Add `wheel` to users.users.${name}.extraGroups, or unset execWheelOnly.";
    }) (optionals (cfg.wrapper.enable && config.security.${sudo}.execWheelOnly) outsideWheel)
    ++ mapAttrsToList (name: user: {
      assertion = user.projectRoots != [ ];
      message = "m3ta.pi-agent.hostUsers.${name}.projectRoots must not be empty.";
    }) cfg.hostUsers
    ++ map (message: {
      assertion = false;
      inherit message;
    }) messages;
  };
}
