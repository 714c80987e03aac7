# One store path with everything that `activate` applies to the Debian guest.
{
  # Which of the two runs the scenarios: "sudo" or "sudo-rs".
  sudo ? "sudo",
}:
let
  nixpkgs = builtins.getFlake "path:${toString ../nixpkgs}";
  system = builtins.currentSystem;
  pkgs = nixpkgs.legacyPackages.${system};

  evaluate =
    modules:
    (nixpkgs.lib.nixosSystem {
      inherit system modules;
      specialArgs = { inherit evaluate; };
    }).config;
  config = evaluate [
    ./configuration.nix
    {
      environment.systemPackages = [ pkgs.nodejs ];
      security.sudo-rs.enable = sudo == "sudo-rs";
    }
  ];

  manifest = {
    inherit (config.users) users groups;
    tmpfiles = config.systemd.tmpfiles.rules;
    services = builtins.mapAttrs (
      _: service: import ./unit.nix { inherit (nixpkgs) lib; } service
    ) config.systemd.services;
    # What sudo is, for tmpfiles.d(5), and its sudoers(5).
    wrapper = "L+ ${config.security.wrapperDir}/sudo - - - - /usr/bin/${sudo}";
    sudoers = config.security.${sudo}.configFile;
    inherit (config.checks) facts;
  };
in
pkgs.runCommandLocal "machine"
  {
    manifest = builtins.toJSON manifest;
    passAsFile = [ "manifest" ];
  }
  ''
    mkdir $out
    cp "$manifestPath" $out/manifest.json
    # A failed assertion stops the build here.
    ln -s ${config.system.build.toplevel}/sw $out/sw
  ''
