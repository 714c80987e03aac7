# The configuration that `nix build .#runner` and `.#wrapper` are built for.
{
  m3ta.pi-agent = {
    enable = true;
    hostUsers.alice.projectRoots = [ "~/projects" ];
  };
}
