# What works, but not as somebody may expect.
{ config, lib, ... }:
let
  inherit (lib) any attrNames concatMap optional;

  cfg = config.m3ta.pi-agent;
  inherit (config.security) sudo-rs;
  accounts = import ./accounts.nix { inherit lib; };

  # Packages that come before the system's on a person's PATH, Home Manager's too.
  ownPackages =
    name:
    let
      account = accounts.named config.users.users name;
    in
    lib.optionals (account != null) account.packages
    ++ config.home-manager.users.${name}.home.packages or [ ];

  # Whether a package has the command's name in its bin, as far as that is known without building it.
  isRaw =
    package:
    toString package == toString cfg.package
    || (package.meta.mainProgram or (lib.getName package)) == cfg.wrapper.commandName;

  hidden = name: any isRaw (ownPackages name);
in
{
  config.warnings = lib.mkIf (cfg.enable && cfg.wrapper.enable) (
    concatMap (
      name:
      optional (hidden name)
        "m3ta.pi-agent.hostUsers.${name}: a package of this user's own has a program `${cfg.wrapper.commandName}`, which comes first on their PATH, so they would start it outside the sandbox. Remove it from users.users.${name}.packages and home.packages, or choose another m3ta.pi-agent.wrapper.commandName."
    ) (attrNames cfg.hostUsers)
    # From 0.2.15 on it can be told to log none, but PAM's messages about its session stay, and the journal keeps its
    # command line with each of them.
    ++ optional sudo-rs.enable
      "m3ta.pi-agent: with sudo-rs, the journal keeps the arguments of every launch, and prompts among them. With security.sudo, it does not."
  );
}
