"""The wrapper's short way: where a launch is plainly allowed, it becomes sudo at once.

Runs as the host user and enforces nothing: the runner checks everything again. It refuses nothing either. Whatever is
not plain is left to `handover`, which looks closer and has the messages. So a launch imports next to nothing here.
"""

from __future__ import annotations

import os
import pwd

from pi_agent.cli import command_line
from pi_agent.python import json_reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

_INTERRUPTED = 128 + 2


def take(policy: str, runner: str) -> None:
    """Become `sudo runner` if the launch is plainly allowed. Otherwise return, whatever the reason is.

    policy: the path of the frozen policy. runner: the runner's path.
    """
    try:
        arguments = command_line.arguments()
        frozen = _parsed(policy)
        if _is_plain(frozen, arguments):
            become(frozen["tools"]["sudo"], runner, arguments)
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    except Exception:  # handover meets it again, and tells it
        return


def become(sudo: str, runner: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by sudo, which runs the runner. Raises OSError."""
    os.execv(sudo, [sudo, "-n", "--", runner, *arguments])


def _is_plain(frozen: dict[str, Any], arguments: Sequence[str]) -> bool:
    """Whether a listed user wants to launch Pi where that needs no closer look."""
    uid = os.getuid()
    if uid == 0 or (arguments and arguments[0].startswith(command_line.SANDBOX_PREFIX)):
        return False
    entry = pwd.getpwuid(uid)
    if entry.pw_name not in frozen["hostUsers"]:
        return False
    if command_line.needs_no_project(arguments, frozen["extraRunArgs"]):
        return True
    # The kernel's path of the directory has no links in it. So a root that it starts with is no link either, and is
    # the directory of that name (getcwd(2)).
    here = os.getcwd()
    roots = _parsed(frozen["hostUsers"][entry.pw_name])["projectRoots"]
    return any(f"{here}/".startswith(f"{_expanded(root, entry.pw_dir)}/") for root in roots)


def _expanded(root: str, home: str) -> str:
    """As project_roots.expanded, which takes long to import."""
    return home + root[1:] if root == "~" or root.startswith("~/") else root


def _parsed(path: str) -> Any:
    with open(path, "rb", buffering=0) as file:
        return json_reader.loads(file.read())
