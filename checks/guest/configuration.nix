# The test machine as a NixOS configuration: who is on it, and what the module does for them.
{
  imports = [ ./side-by-side.nix ];

  # These bring the completions of packages into the system's path; for bash they are there.
  programs.fish.enable = true;
  programs.zsh.enable = true;

  users.groups.team.gid = 2000;
  users.users =
    let
      person = uid: extraGroups: {
        isNormalUser = true;
        group = "users";
        createHome = true;
        homeMode = "0700";
        inherit uid extraGroups;
      };
    in
    {
      alice = person 1000 [ "team" ] // {
        home = "/home/alice";
      };
      bob = person 1001 [ "team" ] // {
        home = "/home/bob";
      };
      # Has an account, and is not among the module's host users.
      carol = person 1002 [ ] // {
        home = "/home/carol";
      };
    };
}
