"""The environment of a session, in layers. Later layers win.

From first to last: what every session needs, the host user's `.env`, the module's `environment`, its
`environmentFiles`, `wrapper.extraEnvironment`, and what none of them may change.
"""

from __future__ import annotations

import os

from pi_agent.linux.identities import Identity, acting_as
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.shared import TERMINAL_VARIABLES
from pi_agent.python.records import record
from pi_agent.state.user_state import PI_AGENT_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

ENV: Final = ".env"
_TERMINAL_VALUE_AT_MOST: Final = 256

_STORE: Final = "/nix/store"

# Links in a home to what its user has installed with Nix, or with Home Manager on its own.
_PROFILES: Final = (".nix-profile", ".local/state/nix/profile")

# nixpkgs' bash reads /etc/bashrc, and that /etc/profile, which would set another PATH, unless it finds these.
_PROFILE_DONE: Final = {"__ETC_PROFILE_DONE": "1", "__NIXOS_SET_ENVIRONMENT_DONE": "1"}


@record
class Surroundings:
    """Parts of this machine that the environment refers to. path: the PATH candidates that exist.

    compile_cache: where the session sees Node's compile cache; None if it does not, or does not start Pi.
    """

    path: tuple[str, ...]
    nix_daemon: bool
    certificates: str | None
    locales: str | None
    time_zones: str | None
    compile_cache: str | None = None


@record
class Layer:
    """The variables that one source sets. setter: its name for the user; `nix` is the module's `environment`."""

    setter: str
    variables: Mapping[str, str]


def surroundings(
    caller: Identity, agent: Identity, *, nix_daemon: bool, compile_cache: str | None = None
) -> Surroundings:
    """Find these parts on the host. All belong to root, except the caller's profiles, which are read as the caller.

    nix_daemon: whether the sandbox shows the daemon's socket. compile_cache: see Surroundings.
    """
    candidates = (
        f"/etc/profiles/per-user/{caller.name}/bin",
        f"/etc/profiles/per-user/{agent.name}/bin",
        "/nix/var/nix/profiles/default/bin",
        "/run/current-system/sw/bin",
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    )
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    locales = "/run/current-system/sw/lib/locale/locale-archive"
    return Surroundings(
        path=(*_own_profiles(caller), *(directory for directory in candidates if os.path.isdir(directory))),
        nix_daemon=nix_daemon and os.path.exists("/nix/var/nix/daemon-socket/socket"),
        certificates=certificates if os.path.exists(certificates) else None,
        locales=locales if os.path.exists(locales) else None,
        time_zones="/etc/zoneinfo" if os.path.isdir("/etc/zoneinfo") else None,
        compile_cache=compile_cache,
    )


def _own_profiles(caller: Identity) -> tuple[str, ...]:
    """Where the programs of the caller's own Nix profiles are, if those are links into the store: that is what the
    sandbox shows, and nobody can change it during the session."""
    with acting_as(caller):
        profiles = dict.fromkeys(os.path.realpath(f"{caller.home}/{link}") for link in _PROFILES)
        found = (f"{profile}/bin" for profile in profiles if os.path.dirname(profile) == _STORE)
        return tuple(directory for directory in found if os.path.isdir(directory))


def terminal(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of environ that describe the terminal, language and time zone, if short and printable ASCII."""
    return {
        name: value
        for name, value in environ.items()
        if name in TERMINAL_VARIABLES
        and len(value) <= _TERMINAL_VALUE_AT_MOST
        and value.isascii()
        and value.isprintable()
    }


def merged(layers: Iterable[Layer]) -> dict[str, str]:
    """The session's environment: later layers win. A pure function."""
    return {name: value for layer in layers for name, value in layer.variables.items()}


@record
class Sources:
    """The sources of variables, apart from the policy.

    terminal: variables that describe the caller's terminal. host_files, secret_files: path → variables, of the host
    user's env files and of the module's `environmentFiles`.
    """

    terminal: Mapping[str, str]
    host_files: Mapping[str, Mapping[str, str]]
    secret_files: Mapping[str, Mapping[str, str]]

    @property
    def host(self) -> dict[str, str]:
        """The variables of all the host user's files; later files win."""
        return _united(self.host_files)

    @property
    def secrets(self) -> dict[str, str]:
        """The variables of all `environmentFiles`; later files win."""
        return _united(self.secret_files)


def _united(found: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: value for variables in found.values() for name, value in variables.items()}


def layers(
    policy: Policy, agent: Identity, around: Surroundings, sources: Sources, safe_directory: str | None
) -> tuple[Layer, ...]:
    """The layers of the session's environment; later layers win. A pure function.

    safe_directory: a directory that git is to trust although its files do not belong to the agent; None for none.
    """
    chosen = (
        Layer("host .env", sources.host),
        Layer("nix", policy.environment),
        Layer("environmentFiles", sources.secrets),
        Layer("nix (wrapper)", policy.extra_environment),
    )
    return (
        Layer("terminal", sources.terminal),
        Layer("sandbox", _provided(policy, agent, around)),
        Layer("sandbox", _compiled(policy, around, merged(chosen))),
        Layer("git", {} if safe_directory is None else _trusted(safe_directory)),
        *chosen,
        Layer("sandbox", _fixed(policy, agent, around)),
    )


def _provided(policy: Policy, agent: Identity, around: Surroundings) -> dict[str, str]:
    """Values that every session has unless another layer sets them."""
    found = {"NPM_CONFIG_CACHE": f"{agent.home}/.npm", "NPM_CONFIG_PREFIX": f"{agent.home}/.npm-global"}
    found |= _PROFILE_DONE
    if policy.nix_path is not None:
        found["NIX_PATH"] = ":".join(policy.nix_path)
    if around.nix_daemon:
        found["NIX_REMOTE"] = "daemon"
    if around.certificates is not None:
        found |= {"SSL_CERT_FILE": around.certificates, "NIX_SSL_CERT_FILE": around.certificates}
    if around.locales is not None:
        found["LOCALE_ARCHIVE"] = around.locales
    if around.time_zones is not None:
        found["TZDIR"] = around.time_zones
    return found


# How Node compiles: where somebody says so, nothing is added.
_COMPILES: Final = ("NODE_COMPILE_CACHE", "NODE_DISABLE_COMPILE_CACHE", "NODE_OPTIONS")


def _compiled(policy: Policy, around: Surroundings, chosen: Mapping[str, str]) -> dict[str, str]:
    """Variables that give Pi, and nothing that it starts, Node's compile cache. chosen: what others set."""
    if around.compile_cache is None or any(name in chosen for name in _COMPILES):
        return {}
    return {
        "NODE_COMPILE_CACHE": around.compile_cache,
        "NODE_OPTIONS": f"--require={policy.forget_compile_cache}",
    }


def _trusted(directory: str) -> dict[str, str]:
    """Variables that configure git (git-config(1), GIT_CONFIG_COUNT)."""
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": directory,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": f"{directory}/*",
    }


def _fixed(policy: Policy, agent: Identity, around: Surroundings) -> dict[str, str]:
    """Values that nobody may change, except that the administrator may choose another PATH.

    PATH in a host user's `.env` is meant for the host.
    """
    found = {
        "HOME": agent.home,
        "LOGNAME": agent.name,
        "USER": agent.name,
        "SHELL": policy.shell,
        "PI_CODING_AGENT_DIR": f"{agent.home}/{PI_AGENT_DIRECTORY}",
    }
    if "PATH" not in policy.environment and "PATH" not in policy.extra_environment:
        found["PATH"] = ":".join([*policy.path, f"{agent.home}/.npm-global/bin", *around.path])
    return found
