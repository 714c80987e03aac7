# How much of the machine one session can use.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  # As in systemd.resource-control(5).
  memory =
    types.strMatching "[0-9]+([.][0-9]+)?[KMGTPE]?|(100|[1-9]?[0-9]([.][0-9]{1,2})?)%|infinity"
    // {
      description = ''amount of memory: bytes as in "8G", a percentage as in "75%", or "infinity"'';
    };
  memoryAboveZero =
    types.addCheck memory (amount: builtins.match "[0.]+[KMGTPE%]?" amount == null)
    // {
      description = ''amount of memory above zero: bytes as in "8G", a percentage as in "75%", or "infinity"'';
    };
in
{
  options.m3ta.pi-agent.sandbox.resources = {
    memoryMax = mkOption {
      type = memoryAboveZero;
      default = "75%";
      example = "8G";
      description = ''
        Memory limit of one session, with all its processes and its
        {file}`/tmp`: bytes, optionally with `K`, `M`, `G`, `T`, `P` or `E` for
        powers of 1024; a percentage of the machine's memory; or `"infinity"`. A
        session that exceeds the limit is killed. To limit all sessions together,
        set `systemd.slices.pi-agent.sliceConfig.MemoryMax`.
      '';
    };

    memorySwapMax = mkOption {
      type = memory;
      default = "1G";
      example = "0";
      description = ''
        Swap limit of one session, on top of its memory, written like
        {option}`m3ta.pi-agent.sandbox.resources.memoryMax`. `"0"` disables swap
        for the session.
      '';
    };

    tasksMax = mkOption {
      type = types.ints.between 16 4194304;
      default = 4096;
      example = 512;
      description = ''
        Maximum number of processes and threads of one session. At the limit no
        new ones start, so a fork bomb does not affect the host.
      '';
    };

    cpuWeight = mkOption {
      type = types.ints.between 1 10000;
      default = 100;
      example = 20;
      description = ''
        CPU share of one session while other services compete for the
        processors. `100` is the default share of any service.
      '';
    };
  };
}
