"""The environment of a session: who sets which variable, and who has the last word.

From first to last, the later wins: what every session needs, the host user's `.env`, the module's `environment`, its
`environmentFiles`, `wrapper.extraEnvironment`, and what none of them may change. The result is one file that systemd
reads (systemd.exec(5), EnvironmentFile=), in a directory that root alone can enter: secrets are nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pi_agent import envfile, files, paths, refusals
from pi_agent.identity import Identity, acting_as
from pi_agent.policy import Policy
from pi_agent.records import record
from pi_agent.shared import TERMINAL_VARIABLES
from pi_agent.state import PI_AGENT_DIRECTORY, PI_DIRECTORY, State
from pi_agent.tree import HostTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BYTES_AT_MOST: Final = 1024**2
# systemd's first process compares every variable of an env file with every other, and does nothing else meanwhile.
VARIABLES_AT_MOST: Final = 2000
_ENV: Final = ".env"

TERMINAL: Final = TERMINAL_VARIABLES
_TERMINAL_VALUE_AT_MOST: Final = 256


@record
class Surroundings:
    """What exists on this machine that the environment names. directories: those of PATH candidates that exist."""

    path: tuple[str, ...]
    nix_daemon: bool
    certificates: str | None
    locales: str | None
    time_zones: str | None


@record
class Layer:
    """What one place sets. setter: its name for the user; `nix` is the module's `environment`."""

    setter: str
    variables: Mapping[str, str]


def surroundings(caller: Identity, agent: Identity, *, nix_daemon: bool) -> Surroundings:
    """Look around on the host. All places are root's own. nix_daemon: whether the sandbox shows its socket."""
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
        nix_daemon=nix_daemon and os.path.exists("/nix/var/nix/daemon-socket/socket"),
        certificates=certificates if os.path.exists(certificates) else None,
        locales=locales if os.path.exists(locales) else None,
        time_zones="/etc/zoneinfo" if os.path.isdir("/etc/zoneinfo") else None,
    )


def terminal(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of environ that describe the caller's terminal, language and time zone, if harmless."""
    return {
        name: value
        for name, value in environ.items()
        if name in TERMINAL and len(value) <= _TERMINAL_VALUE_AT_MOST and value.isascii() and value.isprintable()
    }


def host_files(tree: HostTree) -> dict[str, dict[str, str]]:
    """The host user's env files and what each sets: `.env` beside Pi's agent directory (`~/.pi/.env`), then `.env` in
    it; those that are there.

    Must run as the host user. Raises Refusal (65) for one that cannot be read or understood, naming the line.
    """
    places = [f"{tree.path}/{_ENV}"]
    above = os.path.dirname(tree.path)
    if os.path.basename(above) == PI_DIRECTORY:
        places.insert(0, f"{above}/{_ENV}")
    found: dict[str, dict[str, str]] = {}
    for place in places:
        try:
            descriptor = tree.open(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refusals.host_env_invalid(place, error.strerror or str(error)) from error
        try:
            found[place] = envfile.parse(files.read(descriptor, BYTES_AT_MOST))
            if len({name for each in found.values() for name in each}) > VARIABLES_AT_MOST:
                raise ValueError(f"there are more than {VARIABLES_AT_MOST} variables")
        except (OSError, ValueError) as error:
            raise refusals.host_env_invalid(place, _reason(error)) from error
        finally:
            os.close(descriptor)
    return found


def _reason(error: OSError | ValueError) -> str:
    """Why a file cannot be used, without a word of what it says: a UnicodeDecodeError would quote it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def secrets(policy: Policy) -> dict[str, str]:
    """What the `environmentFiles` set, read as root.

    Root follows these paths only through directories that root alone can change: elsewhere, whoever can change one
    could have root read any file on the machine. Raises Refusal (78), naming the line where one is not understood.
    """
    return {name: value for path in policy.environment_files for name, value in secrets_in(path).items()}


def secrets_in(path: str) -> dict[str, str]:
    """What one of the `environmentFiles` sets; see `secrets`."""
    try:
        looked = paths.walk(path, on_directory=_trusted)
        try:
            descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(looked)
        try:
            return envfile.parse(files.read(descriptor, BYTES_AT_MOST))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise refusals.env_file_unusable(path, _reason(error)) from error


def _trusted(directory: int) -> None:
    if not paths.only_root_changes(directory):
        raise ValueError(f"others than root can change {paths.real_path(directory)}")


def merged(layers: Iterable[Layer]) -> dict[str, str]:
    """The session's environment: the later layer wins. A pure function."""
    return {name: value for layer in layers for name, value in layer.variables.items()}


def layers(
    policy: Policy,
    agent: Identity,
    around: Surroundings,
    terminal: Mapping[str, str],
    host: Mapping[str, str],
    secret: Mapping[str, str],
    safe_directory: str | None,
) -> list[Layer]:
    """Who sets what in the session's environment, the later wins. A pure function.

    safe_directory: a directory whose files belong to somebody else than the agent, for git to trust.
    """
    base = {
        "NPM_CONFIG_CACHE": f"{agent.home}/.npm",
        "NPM_CONFIG_PREFIX": f"{agent.home}/.npm-global",
    }
    git: dict[str, str] = {}
    if around.nix_daemon:
        base["NIX_REMOTE"] = "daemon"
    if around.certificates is not None:
        base |= {"SSL_CERT_FILE": around.certificates, "NIX_SSL_CERT_FILE": around.certificates}
    if around.locales is not None:
        base["LOCALE_ARCHIVE"] = around.locales
    if around.time_zones is not None:
        base["TZDIR"] = around.time_zones
    if safe_directory is not None:
        git = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": safe_directory}
        git |= {"GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": f"{safe_directory}/*"}
    fixed = {
        "HOME": agent.home,
        "LOGNAME": agent.name,
        "USER": agent.name,
        "SHELL": policy.shell,
        "PI_CODING_AGENT_DIR": f"{agent.home}/{PI_AGENT_DIRECTORY}",
    }
    # Only the administrator may choose another PATH; a host `.env` that sets one means the host's PATH.
    if "PATH" not in policy.environment and "PATH" not in policy.extra_environment:
        fixed["PATH"] = ":".join([*policy.path, f"{agent.home}/.npm-global/bin", *around.path])
    return [
        Layer("terminal", terminal),
        Layer("sandbox", base),
        Layer("git", git),
        Layer("host .env", host),
        Layer("nix", policy.environment),
        Layer("environmentFiles", secret),
        Layer("nix (wrapper)", policy.extra_environment),
        Layer("sandbox", fixed),
    ]


def dotenv(policy: Policy, host: Mapping[str, str]) -> bytes:
    """What `.pi/.env` in the isolated tree says: the host's values, then the module's. Secrets are not written down."""
    content = envfile.rendered(host) + b"# m3ta.pi-agent.environment\n" + envfile.rendered(policy.environment)
    for path in policy.environment_files:
        content += f"# {refusals.shown(path)} is read at each start and not written here\n".encode()
    return content


def write_dotenv(policy: Policy, agent: Identity, state: State, host: Mapping[str, str]) -> None:
    """Keep `.pi/.env` in the isolated tree. Raises Refusal (69) when the tree cannot be written."""
    with acting_as(agent):
        try:
            directory = files.ensure_path(state.home, PI_DIRECTORY)
            try:
                files.keep(directory, _ENV, dotenv(policy, host))
            finally:
                os.close(directory)
        except OSError as error:
            raise refusals.state_not_writable(f"{PI_DIRECTORY}/{_ENV}", error) from error
