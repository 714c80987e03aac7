# Properties of the session's unit that the configuration must not set, and why. `X*` matches every name that
# begins with X.
[
  {
    why = "would change the agent's identity; use m3ta.pi-agent.user, m3ta.pi-agent.group and m3ta.pi-agent.projectGroup.";
    names = [
      "DynamicUser"
      "Group"
      "PAMName"
      "SetLoginEnvironment"
      "SupplementaryGroups"
      "User"
    ];
  }
  {
    why = "would give the agent root's rights, which no session has; remove it.";
    names = [
      "AmbientCapabilities"
      "CapabilityBoundingSet"
      "SecureBits"
    ];
  }
  {
    why = "would change what is mounted for the agent; use m3ta.pi-agent.sandbox.readOnlyPaths, readWritePaths, protectedPaths and hiddenPaths.";
    names = [
      "BindLogSockets"
      "BindPaths"
      "BindReadOnlyPaths"
      "CacheDirectory*"
      "ConfigurationDirectory*"
      "ExecPaths"
      "Extension*"
      "Inaccessible*"
      "LogsDirectory*"
      "Mount*"
      "NoExecPaths"
      "PrivateMounts"
      "ProtectHome"
      "ProtectSystem"
      "ReadOnly*"
      "ReadWrite*"
      "Root*"
      "RuntimeDirectory*"
      "StateDirectory*"
      "TemporaryFileSystem"
      "WorkingDirectory"
    ];
  }
  {
    why = "would let one session reach another, because all sessions of a host user run as one account; remove it.";
    names = [
      "IPCNamespacePath"
      "JoinsNamespaceOf"
      "KeyringMode"
      "PrivateIPC"
      "PrivatePIDs"
      "PrivateTmp"
      "PrivateUsers"
      "UserNamespacePath"
    ];
  }
  {
    why = "would run something beside the agent or in its place; remove it.";
    names = [
      "ExecCondition"
      "ExecReload*"
      "ExecStart*"
      "ExecStop*"
    ];
  }
  {
    why = "would write the agent's memory and environment, secrets included, to the host or its journal when a program crashes; remove it.";
    names = [
      "CoredumpReceive"
      "LimitCORE*"
    ];
  }
  {
    why = "would change the agent's environment; use m3ta.pi-agent.environment, environmentFiles, extraPackages and wrapper.extraEnvironment.";
    names = [
      "Environment*"
      "ExecSearchPath"
      "PassEnvironment"
      "UnsetEnvironment"
    ];
  }
  {
    why = "would pass secrets to the agent outside its environment; use m3ta.pi-agent.environmentFiles.";
    names = [
      "ImportCredential*"
      "LoadCredential*"
      "SetCredential*"
    ];
  }
  {
    why = "would redirect the session's terminal, streams or files; remove it.";
    names = [
      "ExtraFileDescriptors"
      "FileDescriptor*"
      "NonBlocking"
      "OpenFile"
      "Sockets"
      "Standard*"
      "TTY*"
      "USBFunction*"
      "Utmp*"
    ];
  }
  {
    why = "would change how a session is started, supervised or ended; remove it. For a time limit, use RuntimeMaxSec.";
    names = [
      "Assert*"
      "BusName"
      "CollectMode"
      "Condition*"
      "DefaultDependencies"
      "Delegate*"
      "ExitType"
      "FinalKillSignal"
      "GuessMainPID"
      "KillMode"
      "KillSignal"
      "NotifyAccess"
      "PIDFile"
      "PermissionsStartOnly"
      "RefuseManual*"
      "ReloadSignal"
      "RemainAfterExit"
      "Restart*"
      "SendSIG*"
      "Slice"
      "StopWhenUnneeded"
      "SuccessExitStatus"
      "SurviveFinalKillSignal"
      "Timeout*"
      "Type"
      "Watchdog*"
    ];
  }
  {
    why = "would let the end of a session affect the whole machine; remove it.";
    names = [
      "FailureAction*"
      "JobRunningTimeout*"
      "JobTimeout*"
      "RebootArgument"
      "StartLimit*"
      "SuccessAction*"
    ];
  }
  {
    why = "would change what the journal records about a session; remove it.";
    names = [
      "LogExtraFields"
      "LogNamespace"
      "SyslogIdentifier"
    ];
  }
  {
    why = "would change which addresses the agent can reach; use m3ta.pi-agent.sandbox.denyAddresses and allowAddresses.";
    names = [
      "IPAddressAllow"
      "IPAddressDeny"
    ];
  }
  {
    why = "would change the agent's network; use m3ta.pi-agent.sandbox.network.";
    names = [
      "NetworkNamespacePath"
      "PrivateNetwork"
    ];
  }
]
