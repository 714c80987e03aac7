"""The environment of a session, as layers of env-file text that systemd parses (systemd.exec(5), EnvironmentFile=).

From first to last, the later wins: what every session needs, the host user's `.env`, the module's `environment`, its
`environmentFiles`, `wrapper.extraEnvironment`, and what no layer may change. Each layer stays a file of its own: an
unfinished quote at the end of one cannot swallow the beginning of the next. Secrets are only ever in these files, in
a directory that root alone can enter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent import files, paths, refusals
from pi_agent.identity import Identity, acting_as
from pi_agent.policy import Policy
from pi_agent.state import PI_AGENT_DIRECTORY, PI_DIRECTORY, State
from pi_agent.tree import HostTree

BYTES_AT_MOST: Final = 1024**2
_ENV: Final = ".env"

# What a terminal program wants to know of its terminal and its user's language; nothing here reaches a shell.
_TERMINAL: Final = frozenset(
    {
        "COLORTERM",
        "FORCE_COLOR",
        "ITERM_SESSION_ID",
        "KITTY_WINDOW_ID",
        "LANG",
        "LANGUAGE",
        "LC_ADDRESS",
        "LC_ALL",
        "LC_COLLATE",
        "LC_CTYPE",
        "LC_IDENTIFICATION",
        "LC_MEASUREMENT",
        "LC_MESSAGES",
        "LC_MONETARY",
        "LC_NAME",
        "LC_NUMERIC",
        "LC_PAPER",
        "LC_TELEPHONE",
        "LC_TIME",
        "NO_COLOR",
        "TERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
        "TZ",
        "WEZTERM_PANE",
        "WT_SESSION",
    }
)
_TERMINAL_VALUE_AT_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What exists on this machine that the environment names. directories: those of PATH candidates that exist."""

    path: tuple[str, ...]
    nix_daemon: bool
    certificates: str | None
    locales: str | None
    time_zones: str | None


def surroundings(caller: Identity, agent: Identity) -> Surroundings:
    """Look around on the host. All places are root's own."""
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
        path=tuple(directory for directory in candidates if os.path.isdir(directory)),
        nix_daemon=os.path.exists("/nix/var/nix/daemon-socket/socket"),
        certificates=certificates if os.path.exists(certificates) else None,
        locales=locales if os.path.exists(locales) else None,
        time_zones="/etc/zoneinfo" if os.path.isdir("/etc/zoneinfo") else None,
    )


def terminal(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of environ that describe the caller's terminal, language and time zone, if harmless."""
    return {
        name: value
        for name, value in environ.items()
        if name in _TERMINAL and len(value) <= _TERMINAL_VALUE_AT_MOST and value.isascii() and value.isprintable()
    }


def host_env(tree: HostTree) -> list[bytes]:
    """The host user's env files, in order: `.env` beside Pi's agent directory (`~/.pi/.env`), `.env` in it.

    Must run as the host user. Raises Refusal (65) for one that cannot be read or is no UTF-8 text.
    """
    places = [f"{tree.path}/{_ENV}"]
    above = os.path.dirname(tree.path)
    if os.path.basename(above) == PI_DIRECTORY:
        places.insert(0, f"{above}/{_ENV}")
    found = []
    for where in places:
        try:
            descriptor = tree.open(where)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refusals.host_env_invalid(where, error.strerror or str(error)) from error
        try:
            found.append(_text(descriptor))
        except (OSError, ValueError) as error:
            raise refusals.host_env_invalid(where, str(error)) from error
        finally:
            os.close(descriptor)
    return found


def secrets(policy: Policy) -> list[bytes]:
    """The contents of `environmentFiles`, read as root.

    Root follows these paths only through directories that root alone can change: elsewhere, whoever can change one
    could have root read any file on the machine. Raises Refusal (78).
    """
    found = []
    for path in policy.environment_files:
        try:
            looked = paths.walk(path, on_directory=_trusted)
            try:
                descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            finally:
                os.close(looked)
            try:
                found.append(_text(descriptor))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refusals.env_file_unusable(path, error.strerror or str(error)) from error
        except ValueError as error:
            raise refusals.env_file_unusable(path, str(error)) from error
    return found


def _trusted(directory: int) -> None:
    if not paths.only_root_changes(directory):
        raise ValueError(f"others than root can change {paths.real_path(directory)}")


def _text(descriptor: int) -> bytes:
    content = files.read(descriptor, BYTES_AT_MOST)
    if b"\0" in content:
        raise ValueError("it has a NUL byte")
    content.decode("utf-8")
    return content


def layers(
    policy: Policy,
    agent: Identity,
    around: Surroundings,
    terminal: Mapping[str, str],
    host: Sequence[bytes],
    secret: Sequence[bytes],
    safe_directory: str | None,
) -> list[bytes]:
    """The session's env files, first to last. A pure function.

    safe_directory: a directory whose files belong to somebody else than the agent, for git to trust.
    """
    base = {
        "NPM_CONFIG_CACHE": f"{agent.home}/.npm",
        "NPM_CONFIG_PREFIX": f"{agent.home}/.npm-global",
        **terminal,
    }
    if around.nix_daemon:
        base["NIX_REMOTE"] = "daemon"
    if around.certificates is not None:
        base |= {"SSL_CERT_FILE": around.certificates, "NIX_SSL_CERT_FILE": around.certificates}
    if around.locales is not None:
        base["LOCALE_ARCHIVE"] = around.locales
    if around.time_zones is not None:
        base["TZDIR"] = around.time_zones
    if safe_directory is not None:
        base |= {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": safe_directory}
        base |= {"GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": f"{safe_directory}/*"}
    # Only the administrator may choose another PATH; a host `.env` that sets one means the host's PATH.
    chosen = {**policy.environment, **policy.extra_environment}
    fixed = {
        "HOME": agent.home,
        "LOGNAME": agent.name,
        "USER": agent.name,
        "SHELL": policy.shell,
        "PI_CODING_AGENT_DIR": f"{agent.home}/{PI_AGENT_DIRECTORY}",
    }
    if "PATH" not in chosen:
        fixed["PATH"] = ":".join([*policy.path, f"{agent.home}/.npm-global/bin", *around.path])
    return [
        rendered(base),
        *host,
        rendered(policy.environment),
        *secret,
        rendered(policy.extra_environment),
        rendered(fixed),
    ]


def rendered(variables: Mapping[str, str]) -> bytes:
    """variables as an env file: each value in double quotes, with what is special in them escaped."""
    lines = []
    for name, value in variables.items():
        escaped = "".join(f"\\{char}" if char in '\\"`$' else char for char in value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines).encode("utf-8", "surrogateescape")


def write_dotenv(policy: Policy, agent: Identity, state: State, host: Sequence[bytes]) -> None:
    """Keep `.pi/.env` in the isolated tree: the host's values, then the module's. Secrets are not written down.

    Raises Refusal (69) when the tree cannot be written.
    """
    parts = [*host, b"# m3ta.pi-agent.environment\n", rendered(policy.environment)]
    for path in policy.environment_files:
        parts.append(f"# {refusals.shown(path)} is read at each start and not written here\n".encode())
    content = b"".join(part if part.endswith(b"\n") or not part else part + b"\n" for part in parts)
    with acting_as(agent):
        try:
            directory = files.ensure_path(state.home, PI_DIRECTORY)
            try:
                files.keep(directory, _ENV, content)
            finally:
                os.close(directory)
        except OSError as error:
            raise refusals.state_not_writable(f"{PI_DIRECTORY}/{_ENV}", error.strerror or str(error)) from error
