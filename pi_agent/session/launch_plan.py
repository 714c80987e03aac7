"""The plan of a launch: everything it will read, write, mount and start, as one value.

`plan` only reads; it changes nothing on the machine. It prepares mounts that nobody else sees and that vanish with
their descriptors. `--sandbox-explain` prints the plan, and `launch.carry_out` does what it says.

Runs as root, for a listed host user. Acts as the host user, or as the owner of the state, wherever one of them or the
agent can change what is there.
"""

from __future__ import annotations

from pi_agent.environment import dotenv_file, env_files, git_identity, variable_layers
from pi_agent.environment.git_identity import GitIdentity
from pi_agent.environment.variable_layers import Layer, Sources
from pi_agent.linux import timing
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.identities import acting_as
from pi_agent.messages import notices
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.records import record
from pi_agent.sandbox import file_access, unit_properties
from pi_agent.sandbox.system_directories import COMPILE_CACHE
from pi_agent.session import host_view, namespace_limits, systemd_run
from pi_agent.session.host_view import View
from pi_agent.session.session_names import Session
from pi_agent.session.systemd_run import Start
from pi_agent.state import home_files, host_config, sync, user_state
from pi_agent.state.home_files import HomeFile, ProjectLink
from pi_agent.state.user_state import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@record
class Request:
    """What the caller asks for.

    project: None for a launch that needs none. command: what runs inside. session: the names of the session. environ:
    the caller's, of which only the terminal's variables are used. terminal: whether input and output are one.
    configured: whether it needs the configuration.
    """

    policy: Policy
    accounts: Accounts
    project: Project | None
    command: tuple[str, ...]
    session: Session
    environ: Mapping[str, str]
    terminal: bool
    configured: bool = True


@record
class Configuration:
    """The configuration of a session.

    sources: of variables. sync: None if nothing is synced. files, link: to make in the agent's home. git_identity: for
    commits made inside.
    """

    sources: Sources
    sync: sync.Plan | None
    files: tuple[HomeFile, ...]
    link: ProjectLink | None
    git_identity: GitIdentity


@record
class Plan:
    """A whole launch.

    state: the user's own tree as it is now. view: what is shown of the host. layers: of the environment. directory:
    where the command starts. properties: the unit's. start: the command that starts the unit. held: what is open for
    the plan; close it when the plan is no longer needed.
    """

    request: Request
    state: Found
    configuration: Configuration
    view: View
    layers: tuple[Layer, ...]
    directory: str
    properties: tuple[str, ...]
    start: Start
    held: Descriptors

    @property
    def notices(self) -> Sequence[str]:
        """Notices for the user, before the session starts."""
        synced = self.configuration.sync
        closed = synced is not None and (synced.closed or self.state.closed)
        home = f"{self.request.policy.state_dir}/users/{self.request.accounts.caller.name}"
        told = [notices.isolated_directory_closed(home)] if closed else []
        return [*(synced.notices if synced is not None else ()), *told, *self.view.notices]


def plan(request: Request) -> Plan:
    """Plan the launch. Changes nothing.

    Raises Refusal: 65 for bad data of the host user's, 69 if systemd, the kernel or the machine fails, 77 for a
    directory that the agent cannot enter, 78 for a broken installation or policy.
    """
    held = Descriptors()
    try:
        return _plan(request, held)
    except BaseException:
        held.close()
        raise


def _plan(request: Request, held: Descriptors) -> Plan:
    policy, accounts = request.policy, request.accounts
    agent = accounts.agent
    state = user_state.look(policy, accounts.owner, accounts.caller.name)
    if state.home is None:
        held.hold(state.nearest)
    timing.mark("state")
    configuration = _configuration(request, state, held)
    view = host_view.plan(policy, accounts, request.project, state.nearest, held)
    timing.mark("mounts")
    layers = _layers(request, configuration.sources, view)
    timing.mark("environment")
    properties = [
        *systemd_run.connected(request.session, view.root.path),
        *unit_properties.properties(policy, agent, view.system),
    ]
    confinement = file_access.confinement(policy, terminal=request.terminal)
    argv = systemd_run.command(policy, request.session, properties, confinement, terminal=request.terminal)
    term = {name: value for name, value in configuration.sources.terminal.items() if name == "TERM"}
    timing.mark("sandbox")
    return Plan(
        request=request,
        state=state,
        configuration=configuration,
        view=view,
        layers=layers,
        directory=agent.home if request.project is None else request.project.directory,
        properties=tuple(properties),
        start=Start(argv, term, request.terminal, namespace_limits.resources(policy)),
        held=held,
    )


def _configuration(request: Request, state: Found, held: Descriptors) -> Configuration:
    policy, caller, owner = request.policy, request.accounts.caller, request.accounts.owner
    terminal = variable_layers.terminal(request.environ)
    secrets = env_files.secret_files(policy)
    if not request.configured:
        timing.mark("environment")
        return Configuration(Sources(terminal, {}, secrets), None, (), None, {})
    with acting_as(caller):
        host = host_config.open_host_config(policy, caller)
        if host is not None:
            held.hold(host.descriptor)
        sources = Sources(terminal, env_files.host_files(host) if host is not None else {}, secrets)
        committer = git_identity.of_host_user(caller.home) if policy.sync_config_from_host else {}
    timing.mark("environment")
    synced = sync.plan(sync.Sides(policy, caller, owner, host), state.home, state.memory)
    timing.mark("sync")
    with acting_as(owner):
        files = (
            dotenv_file.plan(policy, sources.host, state.home),
            git_identity.plan(committer, state.home),
        )
        link = None if request.project is None else home_files.plan_link(state.home, request.project.root)
    timing.mark("environment")
    return Configuration(sources, synced, tuple(each for each in files if each is not None), link, committer)


def _layers(request: Request, sources: Sources, view: View) -> tuple[Layer, ...]:
    policy, agent = request.policy, request.accounts.agent
    compiled = view.system.compile_cache is not None and request.command[0] == policy.program
    around = variable_layers.surroundings(
        request.accounts.caller,
        agent,
        nix_daemon=policy.sandbox.nix_daemon,
        compile_cache=COMPILE_CACHE if compiled else None,
    )
    # If owners are not mapped, the files belong to somebody else, and git must be told to trust them.
    foreign = view.project is not None and not view.project.mapped
    trusted = view.project.target if foreign and view.project is not None else None
    return variable_layers.layers(policy, agent, around, sources, trusted)
