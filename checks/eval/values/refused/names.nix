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
in
{
  single = {
    user = {
      "valid account name" = bad;
      "an ID" = [ "0" ];
      "root's rights" = [ "root" ];
    };
    group = {
      "valid account name" = bad;
      "root's rights" = [ "root" ];
    };
    projectGroup."valid account name" = bad;
    binaryName."valid program name" = bad;
    "wrapper.commandName"."valid program name" = bad;
    "wrapper.runnerName"."valid program name" = bad;
  };

  key.hostUsers = {
    "valid account name" = [
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
