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
  # Not more than of the others: each takes an evaluation.
  badAccounts = [
    "a@b"
    "a$"
    "ü"
    "a:b"
    "-a"
    ""
  ];
  long = "a-name-of-thirty-two-characters-";
in
{
  single = {
    user = {
      "valid account name" = bad;
      "an ID" = [ "0" ];
      "root's rights" = [ "root" ];
    };
    group = {
      "valid account name" = badAccounts;
      "longer than 31" = [ long ];
      "root's rights" = [ "root" ];
    };
    "hostUsers.alice.agentUser" = {
      "valid account name" = badAccounts;
      "longer than 31" = [ long ];
      "root's rights" = [ "root" ];
      "a host user" = [ "alice" ];
    };
    "hostUsers.alice.agentGroup" = {
      "valid account name" = badAccounts;
    };
    projectGroup."valid account name" = bad;
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
