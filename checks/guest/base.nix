# The test machine's m3ta.pi-agent, without the changes of a variant.
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
  # Nothing else sets this value, so a test can tell where it came from.
  settings.theme = "light";
  environment.CHECKS_ENVIRONMENT = "from environment";
  environmentFiles = [ "/etc/pi-agent-secrets/base.env" ];
  extraPackages = [ (pkgs.writeShellScriptBin "checks-extra" "echo from extraPackages") ];
}
