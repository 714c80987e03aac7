# Values that no check refuses, laid out like the tables in refused/.
let
  names = [
    "Some_name-2.x"
    "a-name-of-31-characters-as-most"
  ];
in
{
  single = {
    user = names;
    group = names;
    projectGroup = names;
    binaryName = names;
    "wrapper.commandName" = names;
    "wrapper.runnerName" = names;
    stateDir = [ "/srv/pi agent" ];
    "hostUsers.alice.configPath" = [ "/etc/pi" ];
    # Of these, the second is also what the longest user needs.
    "hostUsers.alice.agentUser" = [
      "7-agents_of.Alice"
      "another-name-of-31-characters-x"
    ];
    "hostUsers.alice.agentGroup" = [
      "7-agents_of.Alice"
      "another-name-of-31-characters-x"
    ];
    "sandbox.resources.memorySwapMax" = [ "0" ];
  };

  # Set together with the lists.
  text = {
    "hostUsers.carol@corp.example.agentUser" = "pi-agent-carol";
    "hostUsers.carol@corp.example.agentGroup" = "pi-agent-carol";
  };

  list = {
    "hostUsers.alice.projectRoots" = [
      "~"
      "~/with space/ü"
      "/srv/x"
      "/srv/x"
      "/home/alice/p"
      "/tmpfs/x"
      "/var/lib/pi-agent-projects"
      "/srv/alice's \"work\" \\"
    ];
    "hostUsers.carol@corp.example.projectRoots" = [ "/srv/x..y/.hidden" ];
    "hostUsers.svc-1_.projectRoots" = [ "/srv/x" ];
    "sandbox.protectedPaths" = [
      ".git/hooks"
      "a/*/b"
      "*.x"
      "~bob"
      "with space/ü'\"\\"
      "..."
      "app/[id]"
    ];
    "sandbox.hiddenPaths" = [ "documents/*.kdbx" ];
    "sandbox.readOnlyPaths" = [
      "/srv/data"
      "/opt/with space/ü%h:x"
      "/run/postgresql/.s.PGSQL.5432"
      "/home/alice/data"
      "/var/lib/pi-agent-data"
      "/var/cache/x"
      "/srv/x..y"
      "/srv/a\"b'c\\d"
    ];
    # Below a path that is read-only.
    "sandbox.readWritePaths" = [ "/srv/data/scratch" ];
    "sandbox.denyAddresses" = [
      "any"
      "localhost"
      "link-local"
      "multicast"
      "0.0.0.0/0"
      "10.0.0.0/8"
      "192.0.2.10"
      "255.255.255.255/32"
      "::"
      "::/0"
      "::1"
      "1::"
      "2001:DB8::1:0/64"
      "1:2:3:4:5:6:7:8/128"
      "1:2:3:4:5:6::8"
    ];
    "sandbox.allowAddresses" = [ "10.20.0.0/16" ];
  };

  value = {
    environment.GOOD = "tab\tand = \"quotes\" $x %h ü";
    "wrapper.extraEnvironment".EMPTY = "";
    # These loosen the sandbox or tighten it.
    "sandbox.properties" = {
      CPUQuota = "50%";
      DeviceAllow = "/dev/kvm rw";
      IPIngressFilterPath = "/sys/fs/bpf/x";
      LimitNOFILE = 4096;
      Nice = -5;
      # Every spelling of true.
      NoNewPrivileges = [
        "1"
        "on"
        "t"
        "true"
        "y"
        "yes"
      ];
      PrivateDevices = false;
      ProtectKernelTunables = false;
      RestrictNamespaces = "user";
      RestrictSUIDSGID = 1;
      RuntimeMaxSec = "8h";
      SystemCallFilter = [
        "@mount"
        ""
        "pivot_root"
      ];
      UMask = "0077";
    };
  };
}
