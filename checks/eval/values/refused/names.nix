# Names of accounts, programs and host users that are refused.
let
  bad = [
    "a/b"
    "a b"
    ""
    "-a"
    ".."
    "a\nb"
  ];
  badAccounts = bad ++ [
    "a@b"
    "a$"
    "ü"
  ];
  long = "a-name-of-thirty-two-characters-";
in
{
  single = {
    user = {
      "valid account name" = badAccounts;
      "longer than 31" = [ long ];
      "an ID" = [ "0" ];
      "root's rights" = [ "root" ];
    };
    group = {
      "valid account name" = badAccounts;
      "longer than 31" = [ long ];
      "root's rights" = [ "root" ];
    };
    projectGroup."valid account name" = badAccounts;
    binaryName."valid program name" = bad;
    "wrapper.commandName"."valid program name" = bad;
    "wrapper.runnerName"."valid program name" = bad;
  };

  key.hostUsers = {
    "longer than 31" = [ long ];
    "valid account name" = [
      "a$"
      "a@b@c"
      "a@"
      "@b"
      "%wheel"
      ".."
      "a/b"
    ];
    "an ID" = [ "1000" ];
    "every user" = [ "ALL" ];
    "m3ta.pi-agent.user" = [ "pi-agent" ];
    "belong to root" = [ "root" ];
  };
}
