# One store path with everything that `activate` applies to the Debian guest.
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
    { environment.systemPackages = [ pkgs.nodejs ]; }
  ];

  manifest = {
    inherit (config.users) users groups;
    tmpfiles = config.systemd.tmpfiles.rules;
    sudo = config.security.sudo.extraRules;
    sudoConfig = config.security.sudo.extraConfig;
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
