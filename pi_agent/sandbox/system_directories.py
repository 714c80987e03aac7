"""The host's system directories that every session sees, read-only, as far as this machine has them."""

from __future__ import annotations

import os

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NIX_DAEMON: Final = "/nix/var/nix/daemon-socket"
_RESOLVERS: Final = ("/run/nscd", "/run/systemd/resolve")
# Programs and data of the system. Those that exist are shown read-only; a link is shown as a link.
_SYSTEM: Final = (
    "/nix/store",
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/run/current-system",
    "/nix/var/nix/profiles",
    _NIX_DAEMON,
    *_RESOLVERS,
)
# Files that may be links out of /etc: NixOS can keep those of accounts in /var/lib/nixos, and the resolver's in /run.
_ACCOUNTS: Final = ("/etc/passwd", "/etc/group")
_RESOLV_CONF: Final = "/etc/resolv.conf"


# Where a session sees Node's compile cache.
COMPILE_CACHE: Final = "/run/pi-agent-compile-cache"


@record
class System:
    """The system directories that exist: paths to bind read-only, and links (path → target) to recreate.

    compile_cache: Node's compile cache of Pi's package on the host, to bind read-only at COMPILE_CACHE; None for none.
    """

    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    compile_cache: str | None = None


def look(*, nix_daemon: bool, network: bool, compile_cache: str | None = None) -> System:
    """Find the system directories that this machine has. All belong to root.

    nix_daemon: whether to show the socket of the Nix daemon. network: whether to show the name resolvers; without a
    network, they would still carry queries out. compile_cache: where the service that makes the cache leaves it.
    """
    links = tuple((path, os.readlink(path)) for path in ("/bin", "/sbin", "/lib", "/lib64") if os.path.islink(path))
    linked = {path for path, _ in links}
    wanted = [path for path in _SYSTEM if path not in linked and (nix_daemon or path != _NIX_DAEMON)]
    wanted = [path for path in wanted if network or path not in _RESOLVERS]
    binds = [path for path in wanted if os.path.exists(path)]
    for file in (*_ACCOUNTS, *((_RESOLV_CONF,) if network else ())):
        real = os.path.realpath(file)
        if os.path.exists(real) and not any(f"{real}/".startswith(f"{path}/") for path in binds):
            binds.append(real)
    made = compile_cache if compile_cache is not None and os.path.exists(compile_cache) else None
    return System(tuple(binds), (*links, ("/var/run", "/run")), made)
