"""What of the host's system a session sees besides the prepared root, read-only: this depends on the policy."""

from __future__ import annotations

import os

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NIX_DAEMON: Final = "/nix/var/nix/daemon-socket"
_RESOLVERS: Final = ("/run/nscd", "/run/systemd/resolve")
# Files that may be links out of /etc: NixOS can keep those of accounts in /var/lib/nixos, and the resolver's in /run.
_ACCOUNTS: Final = ("/etc/passwd", "/etc/group")
_RESOLV_CONF: Final = "/etc/resolv.conf"
_SHOWN_ALREADY: Final = ("/etc/", "/nix/store/", "/usr/")
# Where a session sees Node's compile cache.
COMPILE_CACHE: Final = "/run/pi-agent-compile-cache"


@record
class System:
    """What of the host's system to show, as far as this machine has it. paths: at their own paths.

    compile_cache: Node's compile cache of Pi's package on the host, to show at COMPILE_CACHE; None for none.
    """

    paths: tuple[str, ...]
    compile_cache: str | None = None


def look(*, nix_daemon: bool, network: bool, compile_cache: str | None = None) -> System:
    """What of the system to show. All of it belongs to root.

    nix_daemon: whether to show the socket of the Nix daemon. network: whether to show the name resolvers; without a
    network, they would still carry queries out. compile_cache: where the service that makes the cache leaves it.
    """
    wanted = (*((_NIX_DAEMON,) if nix_daemon else ()), *(_RESOLVERS if network else ()))
    found = [path for path in wanted if os.path.exists(path)]
    for file in (*_ACCOUNTS, *((_RESOLV_CONF,) if network else ())):
        real = os.path.realpath(file)
        shown = (*_SHOWN_ALREADY, *(f"{path}/" for path in found))
        if real not in found and not real.startswith(shown) and os.path.exists(real):
            found.append(real)
    made = compile_cache if compile_cache is not None and os.path.exists(compile_cache) else None
    return System(tuple(found), made)
