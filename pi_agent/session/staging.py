"""From all that is known of a launch to a session ready to start: files and mounts in place, the command composed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from pi_agent.cli import entry_point
from pi_agent.environment import env_file_syntax
from pi_agent.environment import variable_layers
from pi_agent.environment.variable_layers import Layer
from pi_agent.linux import identities
from pi_agent.linux import paths
from pi_agent.linux import terminals
from pi_agent.linux.identities import Identity
from pi_agent.messages import notices
from pi_agent.messages import refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.records import record
from pi_agent.sandbox import mounts
from pi_agent.sandbox import protection
from pi_agent.sandbox import system_directories
from pi_agent.sandbox import unit_properties
from pi_agent.sandbox.mounts import Bind
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.protection import Cover
from pi_agent.sandbox.system_directories import System
from pi_agent.session import running_sessions
from pi_agent.session import systemd_run
from pi_agent.session.configuration import Configured
from pi_agent.session.session_directory import Session
from pi_agent.session.systemd_run import Start
from pi_agent.state.scans import Notice
from pi_agent.state.user_state import State
from pi_agent.state.user_state import link_project


@record
class Mount:
    """What of the host's is to be mounted: tree, prepared and not attached anywhere; bind: where it goes; mapped:
    whether its owners are."""

    tree: int
    bind: Bind
    mapped: bool


@record
class Plan:
    """A session before anything of it is made. The same plan is carried out by a launch and told by an explanation.

    project: None where nothing of the host's is mounted. covers: laid over it. directory: where the command starts.
    system: what of the host's is shown inside. extras: the policy's further paths. layers: of the environment.
    properties: the unit's. terminal: whether the session is on one.
    """

    project: Mount | None
    covers: Sequence[Cover]
    directory: str
    system: System
    extras: Sequence[Mount]
    binds: Sequence[Bind]
    described: Mapping[str, str]
    layers: Sequence[Layer]
    properties: Sequence[str]
    terminal: bool


@contextmanager
def planned(
    policy: Policy,
    launch: Session,
    caller: Identity,
    agent: Identity,
    project: Project | None,
    configured: Configured,
    notice: Notice,
    lap: entry_point.Lap = entry_point.untimed,
) -> Iterator[Plan]:
    """Plan the launch, changing nothing: what is mounted already nobody else sees, and it is gone on the way out,
    unless it was attached. launch: only its names are used.

    project None: nothing of the host is mounted and it starts in the agent's home. Raises Refusal: 69, and 78 for a
    path of the policy that cannot be shown.
    """
    system = system_directories.look(nix_daemon=policy.sandbox.nix_daemon, network=policy.sandbox.network != "none")
    binds = [Bind(launch.state, agent.home), Bind(launch.terminals, "/dev/pts")]
    root, covered, extras = None, list[Cover](), list[Mount]()
    with ExitStack() as opened:
        if project is not None:
            bind = Bind(launch.project, project.root)
            root = _mount(opened, caller, agent, project.descriptor, project.root, bind, notice)
            covered = _covers(policy, caller, agent if root.mapped else caller, project, root.tree, notice)
            extras = _extras(opened, policy, launch, caller, agent, notice)
            binds += [bind, *(extra.bind for extra in extras)]
        lap("mounts")
        described = variable_layers.terminal(os.environ)
        layers = variable_layers.layers(
            policy,
            agent,
            variable_layers.surroundings(caller, agent, nix_daemon=policy.sandbox.nix_daemon),
            described,
            configured.host_env,
            configured.secrets,
            root.bind.target if root is not None and not root.mapped else None,
        )
        lap("environment")
        plan = Plan(
            project=root,
            covers=covered,
            directory=agent.home if project is None else project.directory,
            system=system,
            extras=extras,
            binds=binds,
            described=described,
            layers=layers,
            properties=unit_properties.properties(policy, agent, system, launch, binds),
            terminal=terminals.present(),
        )
        lap("sandbox")
        yield plan


def stage(
    policy: Policy,
    launch: Session,
    caller: Identity,
    agent: Identity,
    state: State,
    project: Project | None,
    configured: Configured,
    command: Sequence[str],
    notice: Notice,
    lap: entry_point.Lap = entry_point.untimed,
) -> Start:
    """Fill the launch's staging directory as planned and return how to start it.

    command: what runs inside. project: see `planned`. Raises Refusal: 69, 78.
    """
    with planned(policy, launch, caller, agent, project, configured, notice, lap) as plan:
        owned = systemd_run.owning_terminal(policy.tools, command) if plan.terminal else command
        about = running_sessions.describe(time.time(), None if project is None else project.root, plan.directory)
        _prepare(launch, [policy.command_name, plan.directory, *owned], about, plan.system.links)
        mounts.stage_state(state.home, launch.state)
        mounts.stage_terminals(launch.terminals)
        if plan.project is not None:
            link_project(state, agent, plan.project.bind.target)
            mounts.stage(plan.project.tree, launch.project, plan.project.bind.target)
            _cover(launch, plan.project, caller, agent, plan.covers, notice)
        for extra in plan.extras:
            _stage_extra(extra)
        lap("mounts")
        _prepare_environment(launch, variable_layers.merged(plan.layers))
        lap("environment")
        argv = systemd_run.command(policy, launch, plan.properties, terminal=plan.terminal)
        known = {name: plan.described[name] for name in ("TERM",) if name in plan.described}
        return Start(argv, known, plan.terminal)


def _mount(
    opened: ExitStack, caller: Identity, agent: Identity, descriptor: int, path: str, bind: Bind, notice: Notice
) -> Mount:
    tree, mapped = mounts.prepared(caller, agent, descriptor)
    opened.callback(os.close, tree)
    if not mapped:
        notice(notices.owners_not_mapped(path))
    return Mount(tree, bind, mapped)


def _covers(
    policy: Policy, caller: Identity, viewer: Identity, project: Project, tree: int, notice: Notice
) -> list[Cover]:
    """What is to be protected and hidden in the prepared mount of the project. Raises Refusal (69)."""
    try:
        ground = ProjectView(tree, project.root, _viewer(tree, viewer))
        home = os.path.realpath(caller.home)
        hidden = [f"{home}/{path}" for path in policy.sandbox.hidden_paths]
        return protection.plan(ground, project.directory, policy.sandbox.protected_paths, hidden, notice)
    except OSError as error:
        raise _unprotected(error) from error


def _cover(
    launch: Session, project: Mount, caller: Identity, agent: Identity, planned: Sequence[Cover], notice: Notice
) -> None:
    """Protect and hide what lies in the staged project. Raises Refusal (69): without it nothing may start."""
    opened: list[int] = []
    try:
        for path in (launch.project, *launch.empty):
            opened.append(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        viewer = _viewer(opened[0], agent if project.mapped else caller)
        ground = ProjectView(opened[0], project.bind.target, viewer)
        for path in protection.mount(ground, planned, opened[1], opened[2]):
            notice(notices.protected_path_vanished(path))
    except OSError as error:
        raise _unprotected(error) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _unprotected(error: OSError) -> Refusal:
    return refusals.staging_failed("The protection of the project", error.strerror or str(error))


def _viewer(root: int, otherwise: Identity) -> Identity:
    """Who looks for what is to be covered: root, from whom no directory can be closed off, unless the file system
    keeps even root out (as NFS may), then otherwise. No link is followed out of the project either way."""
    try:
        os.close(paths.reopen(root, os.O_RDONLY | os.O_DIRECTORY))
        return identities.root()
    except PermissionError:
        return otherwise


def _extras(
    opened: ExitStack, policy: Policy, launch: Session, caller: Identity, agent: Identity, notice: Notice
) -> list[Mount]:
    """The policy's further paths, each by descriptor. Raises Refusal: 69, 78."""
    found = []
    wanted = [(path, False) for path in policy.sandbox.read_only_paths]
    wanted += [(path, True) for path in policy.sandbox.read_write_paths]
    for number, (path, writable) in enumerate(wanted):
        looked = open_extra(path)
        try:
            bind = Bind(f"{launch.extras}/{number}", path, writable)
            found.append(_mount(opened, caller, agent, looked, path, bind, notice))
        finally:
            os.close(looked)
    return found


def open_extra(path: str) -> int:
    """Open (O_PATH) one of the policy's further paths. Raises Refusal (78)."""
    try:
        return paths.walk(path, on_link=_only_roots_links)
    except OSError as error:
        raise refusals.extra_path_unusable(path, error.strerror or str(error)) from error


def _stage_extra(extra: Mount) -> None:
    try:
        if stat.S_ISDIR(os.fstat(extra.tree).st_mode):
            os.mkdir(extra.bind.source, 0o755)
        else:
            _write(extra.bind.source, b"")
    except OSError as error:
        raise refusals.staging_failed(extra.bind.target, error.strerror or str(error)) from error
    mounts.stage(extra.tree, extra.bind.source, extra.bind.target)


def _only_roots_links(directory: int, name: str) -> None:
    if not paths.only_root_changes(directory):
        raise OSError(errno.ELOOP, f"others than root can redirect the link {name}")


def _prepare(session: Session, argv: Sequence[str], about: bytes, links: Sequence[tuple[str, str]]) -> None:
    """Make the staging directory's inside.

    argv: what launch.bash is to read. about: what live.py is to read. links: (path, target) of the symbolic links in
    the sandbox's root. Raises Refusal (69).
    """
    empty_directory, empty_file = session.empty
    try:
        for directory in (session.project, session.state, session.terminals, session.extras, session.root):
            os.mkdir(directory, 0o755)
        os.mkdir(empty_directory, 0o555)
        _write(empty_file, b"", 0o444)
        for path, target in links:
            where = f"{session.root}{path}"
            os.makedirs(os.path.dirname(where), 0o755, exist_ok=True)
            os.symlink(target, where)
        _write(session.argv, b"".join(os.fsencode(word) + b"\0" for word in argv))
        _write(session.about, about)
        os.mkfifo(session.report, 0o600)
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _prepare_environment(session: Session, variables: Mapping[str, str]) -> None:
    """Write the session's env file. Raises Refusal (69)."""
    try:
        _write(session.environment, env_file_syntax.rendered(variables))
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _write(path: str, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
