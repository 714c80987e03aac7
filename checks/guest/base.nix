# m3ta.pi-agent as the test machine has it, before a variant changes anything.
{ pkgs }:
{
  enable = true;
  hostUsers = {
    alice.projectRoots = [
      "~/p/demo"
      "~/p"
      "/srv/shared"
    ];
    bob.projectRoots = [
      "~/p"
      "/srv/shared"
    ];
  };
  # A value that nothing else here sets, so that a test can tell where it came from.
  settings.theme = "light";
  environment.CHECKS_ENVIRONMENT = "from environment";
  environmentFiles = [ "/etc/pi-agent-secrets/base.env" ];
  extraPackages = [ (pkgs.writeShellScriptBin "checks-extra" "echo from extraPackages") ];
}
