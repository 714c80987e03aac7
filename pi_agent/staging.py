"""From all that is known of a launch to a session ready to start: files and mounts in place, the command composed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence

from pi_agent import covers, envfile, environment, identity, live, mounts, paths, refusals, sandbox, unit
from pi_agent.configuration import Configured
from pi_agent.covers import Ground
from pi_agent.identity import Identity
from pi_agent.mounts import Bind
from pi_agent.policy import Policy
from pi_agent.project import Project
from pi_agent.session import Session
from pi_agent.state import State, link_project
from pi_agent.tree import Notice
from pi_agent.unit import Start


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
) -> Start:
    """Fill the launch's staging directory and return how to start it.

    command: what runs inside. project None: nothing of the host is mounted and it starts in the agent's home. Raises
    Refusal: 69, and 78 for a path of the policy that cannot be shown.
    """
    tools = policy.tools
    terminal = unit.on_terminal()
    system = sandbox.system(nix_daemon=policy.sandbox.nix_daemon, network=policy.sandbox.network != "none")
    directory = agent.home if project is None else project.directory
    owned = unit.owning_terminal(tools, command) if terminal else command
    about = live.described(time.time(), None if project is None else project.root, directory)
    _prepare(launch, [policy.command_name, directory, *owned], about, system.links)

    mounts.stage_state(state.home, launch.state)
    mounts.stage_terminals(launch.terminals)
    binds = [Bind(launch.state, agent.home), Bind(launch.terminals, "/dev/pts")]
    foreign = None
    if project is not None:
        link_project(state, agent, project.root)
        mapped = mounts.stage_mapped(caller, agent, project.descriptor, launch.project)
        if not mapped:
            foreign = project.root
            notice(refusals.notice_foreign_file_system(project.root))
        _cover(policy, launch, caller, agent if mapped else caller, project, notice)
        binds.append(Bind(launch.project, project.root))
        binds += _stage_extras(policy, launch, caller, agent, notice)

    described = environment.terminal(os.environ)
    variables = environment.variables(
        policy,
        agent,
        environment.surroundings(caller, agent, nix_daemon=policy.sandbox.nix_daemon),
        described,
        configured.host_env,
        configured.secrets,
        foreign,
    )
    _prepare_environment(launch, variables)
    properties = sandbox.properties(policy, agent, system, launch, binds)
    argv = unit.command(policy, launch, properties, terminal=terminal)
    return Start(argv, {name: described[name] for name in ("TERM",) if name in described}, terminal)


def _cover(
    policy: Policy, launch: Session, caller: Identity, viewer: Identity, project: Project, notice: Notice
) -> None:
    """Protect and hide what lies in the staged project. Raises Refusal (69): without it nothing may start."""
    opened: list[int] = []
    try:
        for path in (launch.project, *launch.empty):
            opened.append(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        ground = Ground(opened[0], project.root, _viewer(opened[0], viewer))
        home = os.path.realpath(caller.home)
        hidden = [f"{home}/{path}" for path in policy.sandbox.hidden_paths]
        plan = covers.plan(ground, project.directory, policy.sandbox.protected_paths, hidden, notice)
        for path in covers.lay(ground, plan, opened[1], opened[2]):
            notice(refusals.notice_not_covered(path))
    except OSError as error:
        raise refusals.staging_failed("The protection of the project", error.strerror or str(error)) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _viewer(root: int, otherwise: Identity) -> Identity:
    """Who looks for what is to be covered: root, from whom no directory can be closed off, unless the file system
    keeps even root out (as NFS may), then otherwise. No link is followed out of the project either way."""
    try:
        os.close(paths.reopen(root, os.O_RDONLY | os.O_DIRECTORY))
        return identity.root()
    except PermissionError:
        return otherwise


def _stage_extras(policy: Policy, launch: Session, caller: Identity, agent: Identity, notice: Notice) -> list[Bind]:
    """Stage the policy's further paths, each by descriptor. Raises Refusal: 69, 78."""
    binds = []
    wanted = [(path, False) for path in policy.sandbox.read_only_paths]
    wanted += [(path, True) for path in policy.sandbox.read_write_paths]
    for number, (path, writable) in enumerate(wanted):
        try:
            found = paths.walk(path, on_link=_only_roots_links)
        except OSError as error:
            raise refusals.extra_path_unusable(path, error.strerror or str(error)) from error
        try:
            target = f"{launch.extras}/{number}"
            if stat.S_ISDIR(os.fstat(found).st_mode):
                os.mkdir(target, 0o755)
            else:
                _write(target, b"")
            if not mounts.stage_mapped(caller, agent, found, target):
                notice(refusals.notice_foreign_file_system(path))
        finally:
            os.close(found)
        binds.append(Bind(target, path, writable))
    return binds


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
        _write(session.environment, envfile.rendered(variables))
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _write(path: str, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
