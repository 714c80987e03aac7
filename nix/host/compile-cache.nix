# Node's compile cache of Pi's package, made once at boot and after each change of the package. Sessions get it read-only.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.m3ta.pi-agent;
  agents = map (agent: agent.user) ((import ../agents.nix { inherit lib; }).of cfg);
  # Not pi-agent-…: that is how sessions are named.
  name = "m3ta-pi-agent-compile-cache";
in
{
  config.systemd.services =
    lib.mkIf (cfg.enable && cfg.wrapper.enable && cfg.hostUsers != { })
      {
        ${name} = {
          description = "Node's compile cache for Pi";
          wantedBy = [ "multi-user.target" ];
          after = [ "nss-user-lookup.target" ];
          path = [
            pkgs.coreutils
            pkgs.util-linux
          ];
          environment.SHELL = lib.getExe pkgs.bash;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            # The package's path is in it, so the service runs again when that changes.
            ExecStart = lib.escapeShellArgs (
              [
                (lib.getExe pkgs.bash)
                "-p"
                "${../../pi_agent/session/fill_compile_cache.bash}"
                "${cfg.build.program}/bin/pi"
                (baseNameOf "${cfg.build.program}")
                "${../../pi_agent/session/forget_compile_cache.cjs}"
              ]
              ++ agents
            );
            # It ends by itself before that, whatever the package does.
            TimeoutStartSec = 600;
            Nice = 19;

            # Its owner is nobody else's, and only root gets to it on the host.
            DynamicUser = true;
            CacheDirectory = "pi-agent-compile-cache";
            UMask = "0022";

            PrivateNetwork = true;
            IPAddressDeny = "any";
            RestrictAddressFamilies = [
              "AF_UNIX"
              "AF_INET"
              "AF_INET6"
              "AF_NETLINK"
            ];
            CapabilityBoundingSet = "";
            NoNewPrivileges = true;
            ProtectSystem = "strict";
            ProtectHome = "tmpfs";
            # Without the sockets of the host's services, except for the names of users.
            TemporaryFileSystem = "/run:ro";
            BindReadOnlyPaths = [
              "-/run/current-system"
              "-/run/nscd"
            ];
            PrivateTmp = true;
            PrivateDevices = true;
            PrivateUsers = true;
            PrivateIPC = true;
            ProtectProc = "invisible";
            ProtectClock = true;
            ProtectControlGroups = true;
            ProtectHostname = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            RestrictNamespaces = true;
            RestrictRealtime = true;
            RestrictSUIDSGID = true;
            LockPersonality = true;
            LimitCORE = 1;
            KeyringMode = "private";
            RemoveIPC = true;
            SystemCallArchitectures = "native";
            SystemCallFilter = [
              "@system-service"
              "~@privileged @resources"
              "~io_uring_setup io_uring_enter io_uring_register"
            ];
            SystemCallErrorNumber = "EPERM";
            MemoryMax = "2G";
            TasksMax = 256;
          };
        };
      };
}
