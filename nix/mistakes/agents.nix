# What is wrong with the account of a host user's agent: each function returns the end of a sentence, or null.
{ lib }:
let
  inherit (lib) filter findFirst;
  names = import ./names.nix;

  # A name that nobody chose is mended by choosing one, or by mending what it is made of.
  invalid =
    cfg: agent: name:
    let
      problem = names.account name;
      isMade = name == "${cfg.user}-${agent.hostUser}";
      isSaid = names.account cfg.user != null || names.hostUser cfg.user agent.hostUser != null;
    in
    if problem == null || !isMade then
      problem
    else if isSaid then
      null
    else
      "${problem} It is made of m3ta.pi-agent.user and the host user's name; set this option to another one.";

  other = agents: agent: same: findFirst same null (filter (each: each.hostUser != agent.hostUser) agents);
in
{
  # agents: of ../agents.nix. agent: one of them.
  user =
    cfg: agents: agent:
    let
      shared = other agents agent (each: each.user == agent.user);
      problem = invalid cfg agent agent.user;
    in
    if problem != null then
      problem
    else if shared != null then
      "is the account of ${shared.hostUser}'s agent too, so each could reach what is the other's; use an account for each."
    else if cfg.hostUsers ? ${agent.user} then
      "is a host user, whose files and processes the agent would own; use an account of the agent's own."
    else if agent.user == cfg.user && builtins.length agents > 1 then
      "owns the state of every host user (m3ta.pi-agent.user); with more than one host user, use an account of the agent's own."
    else
      null;

  # primaryGroups: host user's name -> their primary group, as far as this configuration knows them.
  group =
    cfg: agents: primaryGroups: agent:
    let
      shared = other agents agent (each: each.group == agent.group);
      ofPerson = findFirst (name: primaryGroups.${name} == agent.group) null (lib.attrNames primaryGroups);
      problem = invalid cfg agent agent.group;
    in
    if problem != null then
      problem
    else if shared != null then
      "is the primary group of ${shared.hostUser}'s agent too, so each could reach what is the other's; use a group for each."
    else if ofPerson != null then
      "is the primary group of the host user ${ofPerson}; use a group of the agent's own."
    else if agent.user == cfg.user && agent.group != cfg.group then
      "is not the group of ${cfg.user} (m3ta.pi-agent.group); leave this option unset."
    else if agent.user != cfg.user && agent.group == cfg.group then
      "is the group of the account that owns all state (m3ta.pi-agent.group); use a group of the agent's own."
    else
      null;
}
