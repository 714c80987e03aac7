# Properties of the session's unit that are refused, by what the message points to.
{ lib }:
let
  # The value does not matter.
  each = names: lib.genAttrs (lib.splitString " " names) (_: "x");
in
{
  key."sandbox.properties"."valid property name" = [
    ""
    "A=B"
    "Memory\nMax"
    "Memory Max"
  ];

  value."sandbox.properties" = {
    "newline" = {
      MemoryMax = "1G\nUser=root";
      SystemCallFilter = [
        "@mount"
        "a\tb"
      ];
    };
    "always on" = {
      NoNewPrivileges = false;
      RestrictSUIDSGID = [
        "yes"
        "no"
      ];
    };
    "m3ta.pi-agent.user" =
      each "DynamicUser Group PAMName SetLoginEnvironment SupplementaryGroups"
      // {
        User = [ ];
      };
    "root's rights" = each "AmbientCapabilities CapabilityBoundingSet SecureBits";
    "sandbox.readOnlyPaths" =
      each "BindLogSockets BindPaths BindReadOnlyPaths CacheDirectory ConfigurationDirectory"
      // each "ExecPaths NoExecPaths ExtensionDirectories ExtensionImages InaccessibleDirectories InaccessiblePaths"
      // each "LogsDirectory MountAPIVFS MountFlags MountImages ProtectHome ProtectHomeEx"
      // each "ProtectSystem ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories ReadWritePaths"
      // each "RootDirectory RootDirectoryStartOnly RootEphemeral RootHash RootImage"
      // each "RuntimeDirectory RuntimeDirectoryPreserve StateDirectory StateDirectoryMode"
      // each "TemporaryFileSystem WorkingDirectory"
      // {
        PrivateMounts = true;
      };
    "reach another" =
      each "IPCNamespacePath JoinsNamespaceOf KeyringMode PrivateIPC PrivatePIDs PrivateTmp"
      // each "PrivateTmpEx PrivateUsers PrivateUsersEx UserNamespacePath";
    "beside the agent" =
      each "ExecCondition ExecConditionEx ExecReload ExecReloadPost ExecStart ExecStartEx"
      // each "ExecStartPost ExecStartPre ExecStop ExecStopPost";
    "wrapper.extraEnvironment" =
      each "Environment EnvironmentFile EnvironmentFiles ExecSearchPath PassEnvironment UnsetEnvironment";
    "crashes" = each "CoredumpReceive LimitCORE LimitCORESoft";
    "secrets" =
      each "ImportCredential ImportCredentialEx LoadCredential LoadCredentialEncrypted"
      // each "SetCredential SetCredentialEncrypted";
    "terminal" =
      each "ExtraFileDescriptors FileDescriptorName FileDescriptorStoreMax"
      // each "FileDescriptorStorePreserve NonBlocking OpenFile Sockets StandardError StandardInput"
      // each "StandardInputData StandardInputText StandardOutput TTYPath TTYReset TTYVHangup"
      // each "USBFunctionStrings UtmpIdentifier UtmpMode";
    "RuntimeMaxSec" =
      each "AssertPathExists BusName CollectMode ConditionUser DefaultDependencies Delegate"
      // each "DelegateSubgroup ExitType FinalKillSignal GuessMainPID KillMode KillSignal"
      // each "NotifyAccess PIDFile PermissionsStartOnly RefuseManualStop ReloadSignal"
      // each "RemainAfterExit Restart RestartForceExitStatus RestartSec SendSIGHUP SendSIGKILL"
      // each "Slice StopWhenUnneeded SuccessExitStatus SurviveFinalKillSignal TimeoutSec"
      // each "TimeoutStopSec Type WatchdogSec WatchdogSignal";
    "whole machine" =
      each "FailureAction FailureActionExitStatus JobRunningTimeoutSec JobTimeoutAction"
      // each "RebootArgument StartLimitAction SuccessAction";
    "journal" = each "LogExtraFields LogNamespace SyslogIdentifier";
    "sandbox.denyAddresses" = each "IPAddressAllow IPAddressDeny";
    "sandbox.network" = each "NetworkNamespacePath PrivateNetwork";
  };
}
