# What a session can reach over the network and through the Nix daemon.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  shared = import ../shared.nix;
in
{
  options.m3ta.pi-agent.sandbox = {
    network = mkOption {
      type = types.enum shared.networks;
      default = "full";
      example = "none";
      description = ''
        Network of a session. `"full"` is the host's network without the
        addresses in {option}`m3ta.pi-agent.sandbox.denyAddresses`. `"none"` is
        a private loopback and nothing else. No other machine and no server on
        the host can be reached then, so a model must run inside the session or
        behind a socket in {option}`m3ta.pi-agent.sandbox.readOnlyPaths`.
      '';
    };

    denyAddresses = mkOption {
      type = types.listOf types.str;
      default = import ../defaults/denied-addresses.nix;
      example = [ "any" ];
      description = ''
        Addresses that a session can neither send to nor receive from: IP
        addresses, prefixes, or systemd's names `any`, `localhost`, `link-local`
        and `multicast`. The default covers link-local addresses and the
        metadata services of clouds, which hand out the machine's credentials to
        anyone who asks. A value replaces the default. With `[ "any" ]` only the
        addresses in {option}`m3ta.pi-agent.sandbox.allowAddresses` are
        reachable; the loopback is not among them by default.

        On some clouds, such as Google's and Azure, the resolver has one of these
        addresses. Names are still resolved through the host's name service
        (`services.nscd`). For programs that query the resolver directly, allow
        its address.
      '';
    };

    allowAddresses = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "localhost"
        "10.20.0.0/16"
      ];
      description = ''
        Exceptions to {option}`m3ta.pi-agent.sandbox.denyAddresses`, written the
        same way. An address in both lists is reachable.
      '';
    };

    nixDaemon = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the socket of the Nix daemon is visible in the sandbox, so that
        the agent can build packages and enter development shells. The daemon
        runs outside the sandbox and has its own network:
        {option}`m3ta.pi-agent.sandbox.network` does not restrict what the agent
        asks it to build or fetch. If `false`, the agent can still read the
        store.
      '';
    };
  };
}
