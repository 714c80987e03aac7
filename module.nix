# The NixOS module: options and the checks of their values, the frozen policy, and what the host gets.
{
  imports = [
    ./nix/options/agent.nix
    ./nix/options/build.nix
    ./nix/options/configuration.nix
    ./nix/options/host-users.nix
    ./nix/options/identity.nix
    ./nix/options/network.nix
    ./nix/options/paths.nix
    ./nix/options/properties.nix
    ./nix/options/resources.nix
    ./nix/options/wrapper.nix
    ./nix/assertions.nix
    ./nix/policy.nix
    ./nix/warnings.nix
    ./nix/host/compile-cache.nix
    ./nix/host/directories.nix
    ./nix/host/name-service.nix
    ./nix/host/packages.nix
    ./nix/host/prepared-root.nix
    ./nix/host/sudo.nix
    ./nix/host/users.nix
  ];
}
