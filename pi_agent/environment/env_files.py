"""Reads env files: the host user's, as that user, and the module's `environmentFiles`, as root."""

from __future__ import annotations

import os

from pi_agent.environment import env_file_syntax
from pi_agent.environment.variable_layers import ENV
from pi_agent.linux import files, paths
from pi_agent.messages import installation_refusals, reasons, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.state.host_config import HostTree
from pi_agent.state.user_state import PI_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BYTES_AT_MOST: Final = 1024**2
# systemd's first process compares every variable of an env file with every other, and does nothing else meanwhile.
VARIABLES_AT_MOST: Final = 2000


def host_files(tree: HostTree) -> dict[str, dict[str, str]]:
    """The host user's existing env files and the variables that each sets.

    They are `.env` beside Pi's agent directory (`~/.pi/.env`), then `.env` in it. Must run as the host user. Raises
    Refusal (65) for a file that cannot be read or parsed; it names the line.
    """
    places = [f"{tree.path}/{ENV}"]
    above = os.path.dirname(tree.path)
    if os.path.basename(above) == PI_DIRECTORY:
        places.insert(0, f"{above}/{ENV}")
    found: dict[str, dict[str, str]] = {}
    for place in places:
        try:
            descriptor = tree.open(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refusals.host_env_invalid(place, error.strerror or str(error)) from error
        try:
            found[place] = env_file_syntax.parse(files.read(descriptor, BYTES_AT_MOST))
            if len({name for each in found.values() for name in each}) > VARIABLES_AT_MOST:
                raise ValueError(reasons.more_variables_than(VARIABLES_AT_MOST))
        except (OSError, ValueError) as error:
            raise refusals.host_env_invalid(place, _reason(error)) from error
        finally:
            os.close(descriptor)
    return found


def _reason(error: OSError | ValueError) -> str:
    """Why a file cannot be used, without quoting its content: a UnicodeDecodeError would quote it."""
    if isinstance(error, UnicodeDecodeError):
        return reasons.NOT_UTF8
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def secret_files(policy: Policy) -> dict[str, dict[str, str]]:
    """The `environmentFiles` and the variables that each sets, read as root.

    Root follows these paths only through directories that root alone can change. Otherwise, whoever can change such a
    directory could make root read any file on the machine. Raises Refusal (78); it names the line that cannot be
    parsed.
    """
    return {path: variables_in(path) for path in policy.environment_files}


def variables_in(path: str) -> dict[str, str]:
    """The variables that one of the `environmentFiles` sets. See `secret_files`."""
    try:
        looked = paths.walk(path, on_directory=_trusted)
        try:
            descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(looked)
        try:
            return env_file_syntax.parse(files.read(descriptor, BYTES_AT_MOST))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise installation_refusals.env_file_unusable(path, _reason(error)) from error


def _trusted(directory: int) -> None:
    if not paths.only_root_changes(directory):
        raise ValueError(reasons.changed_by_others(paths.real_path(directory)))
