"""Fills a session's staging directory as planned: files, mounts, and covers over the project.

Runs as root, in a directory that only root can enter. Mounts prepared as open descriptors are attached under names of
our own, so no path is resolved that somebody else could change.
"""

from __future__ import annotations

import os
import stat
import time

from pi_agent.environment import env_file_syntax, variable_layers
from pi_agent.linux import timing
from pi_agent.linux.errors import reason
from pi_agent.messages import notices, refusals
from pi_agent.sandbox import mounts, protection
from pi_agent.sandbox.mounts import Mount
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.session import host_view, running_sessions, session_directory, systemd_run
from pi_agent.session.launch_plan import Plan
from pi_agent.session.namespace_limits import divided
from pi_agent.session.session_names import Session
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_TERMINALS: Final = 128  # pseudo-terminals


def fill(plan: Plan, state: State) -> Sequence[str]:
    """Fill the session's staging directory, and return notices of paths that vanished before they could be protected.

    Raises Refusal: 69; 78 for a state tree on a file system of its own that cannot map owners.
    """
    request, session, view = plan.request, plan.request.session, plan.view
    root = None if request.project is None else request.project.root
    early, late = variable_layers.parted(variable_layers.merged(plan.layers))
    _write_files(session, _request_of(plan, late), running_sessions.describe(time.time(), root, plan.directory))
    _link(session, view.system.links)
    _stage_state(plan, state)
    mounts.stage_terminals(session.terminals, divided(_TERMINALS, session_directory.others(session)))
    told: Sequence[str] = ()
    if view.project is not None:
        mounts.stage(view.project.tree, session.project, view.project.bind.target)
        told = _cover(plan, view.project)
    for extra in view.extras:
        _stage_extra(extra)
    timing.mark("mounts")
    _write_environment(session, early)
    timing.mark("environment")
    return told


def _request_of(plan: Plan, variables: Mapping[str, str]) -> list[str]:
    """The request for launch.bash: the refusal if it cannot enter the directory, directory, variables, command."""
    policy, command = plan.request.policy, plan.request.command
    if plan.start.terminal:
        command = tuple(systemd_run.owning_terminal(policy.tools, command))
    refusal = refusals.directory_closed_to_agent(plan.directory)
    what, *remedy = (refusal.what, *refusal.remedy.split("\n"))
    text = "\n".join([f"{policy.command_name}: {what}", *(f"    {line}" for line in remedy)])
    return [text, plan.directory, *(f"{name}={value}" for name, value in variables.items()), "", *command]


def _write_files(session: Session, request: Sequence[str], about: bytes) -> None:
    """Make the staging directory's content, but for links, mounts and the env file. Raises Refusal (69).

    about: see running_sessions.describe.
    """
    empty_directory, empty_file = session.empty
    try:
        for directory in (session.project, session.state, session.terminals, session.extras, session.root):
            os.mkdir(directory, 0o755)
        os.mkdir(empty_directory, 0o555)
        _write(empty_file, b"", 0o444)
        _write(session.argv, b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in request))
        _write(session.about, about)
        os.mkfifo(session.report, 0o600)
    except OSError as error:
        raise refusals.staging_failed(session.directory, reason(error)) from error


def _link(session: Session, links: Sequence[tuple[str, str]]) -> None:
    """Make the symbolic links, (path, target), of the sandbox's root. Raises Refusal (69)."""
    try:
        for path, target in links:
            where = f"{session.root}{path}"
            os.makedirs(os.path.dirname(where), 0o755, exist_ok=True)
            os.symlink(target, where)
    except OSError as error:
        raise refusals.staging_failed(session.directory, reason(error)) from error


def _write_environment(session: Session, variables: Mapping[str, str]) -> None:
    """Write the session's env file. Raises Refusal (69)."""
    try:
        _write(session.environment, env_file_syntax.rendered(variables))
    except OSError as error:
        raise refusals.staging_failed(session.directory, reason(error)) from error


def _write(path: str, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)


def _stage_state(plan: Plan, state: State) -> None:
    """Mount the state tree, as the agent's. Raises Refusal: 69, 78."""
    tree, _ = mounts.prepared_state(state.home, plan.view.owners.state, plan.request.accounts)
    try:
        mounts.stage(tree, plan.request.session.state, "The state tree")
    finally:
        os.close(tree)


def _cover(plan: Plan, project: Mount) -> Sequence[str]:
    """Protect and hide paths in the staged project, and return notices of those that vanished.

    If something is not where the plan found it, a session that runs in the same project has moved it: then what to
    cover is searched once more. Raises Refusal (69): nothing may start without its protection.
    """
    request, session = plan.request, plan.request.session
    opened: list[int] = []
    try:
        for path in (session.project, *session.empty):
            opened.append(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        accounts = request.accounts
        viewer = host_view.viewer_of(opened[0], accounts.agent if project.mapped else accounts.caller)
        ground = ProjectView(opened[0], project.bind.target, viewer)
        displaced = protection.mount(ground, plan.view.covers, opened[1], opened[2])
        if not displaced:
            return []
        again = host_view.find_covers(request.policy, accounts.caller, ground, plan.directory).covers
        known = {cover.path for cover in again}
        vanished = [path for path in displaced if path not in known]
        vanished += protection.mount(ground, again, opened[1], opened[2])
        return [notices.protected_path_vanished(path) for path in vanished]
    except OSError as error:
        raise host_view.unprotected(error) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _stage_extra(extra: Mount) -> None:
    try:
        if stat.S_ISDIR(os.fstat(extra.tree).st_mode):
            os.mkdir(extra.bind.source, 0o755)
        else:
            _write(extra.bind.source, b"")
    except OSError as error:
        raise refusals.staging_failed(extra.bind.target, reason(error)) from error
    mounts.stage(extra.tree, extra.bind.source, extra.bind.target)
