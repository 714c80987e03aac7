# Modules that each define a part of what the others define, with mkIf, mkMerge and priorities.
[
  (
    { lib, options, ... }:
    {
      m3ta.pi-agent = {
        settings = {
          a = 1;
          nested.b = 2;
        };
        sandbox.protectedPaths = options.m3ta.pi-agent.sandbox.protectedPaths.default ++ [ "more" ];
        sandbox.properties.SystemCallFilter = [ "@mount" ];
        wrapper.extraRunArgs = [ "--dropped" ];
        wrapper.commandName = lib.mkDefault "weak";
      };
    }
  )
  (
    { lib, options, ... }:
    {
      m3ta.pi-agent = lib.mkMerge [
        { hostUsers.alice.projectRoots = lib.mkAfter [ "/srv/x" ]; }
        (lib.mkIf true { settings.nested.c = 3; })
        (lib.mkIf false { settings.nested.d = 4; })
        {
          sandbox.hiddenPaths = options.m3ta.pi-agent.sandbox.hiddenPaths.default ++ [ "more" ];
          sandbox.properties = {
            SystemCallFilter = lib.mkAfter [ "pivot_root" ];
            # After the module's own.
            TasksMax = "infinity";
          };
          wrapper.extraRunArgs = lib.mkForce [ "--forced" ];
          wrapper.commandName = "agent";
        }
      ];
    }
  )
]
