# The test machine as a NixOS configuration: its people, and the module.
{
  imports = [ ./side-by-side.nix ];

  # These put the packages' completions in the system path; those for bash are always there.
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
      # Has an account but is not a host user.
      carol = person 1002 [ ] // {
        home = "/home/carol";
      };
    };
}
