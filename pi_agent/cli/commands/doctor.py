"""`--sandbox-doctor`: what the installation lacks, a line for each thing, and what to do about it.

In the wrapper it asks the runner, which sees the most; where that cannot be reached it says why, and what a user can
see. As root it leaves nothing: what it tries to mount is attached nowhere, and the one unit that it tries has no name
of ours and ends at once. Of files it tells that they can be used, never what is in them.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent.cli import entry_point, output
from pi_agent.cli.call import Call
from pi_agent.cli.parsing import Invocation
from pi_agent.environment import env_files
from pi_agent.linux import directories, journald, processes
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.policy import accounts, project_roots
from pi_agent.policy.policy_file import Policy, Tools
from pi_agent.python import records
from pi_agent.sandbox import mounts
from pi_agent.session import host_view, running_sessions, session_directory, session_names
from pi_agent.state import documents, host_config

SYSTEMD: Final = 257
KERNEL: Final = (5, 12)  # mount_setattr(2), MOUNT_ATTR_IDMAP
_OK, _WARN, _FAIL = "ok", "warn", "FAIL"
_REBUILD: Final = "Rebuild the system configuration (nixos-rebuild switch)."
_SECOND_LOOK: Final = 0.5  # seconds
_NAMES_AT_MOST: Final = 5
_SEND: Final = "echo >/dev/udp/127.0.0.1/9 && echo sent"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. grade: `ok`, `warn` or `FAIL`; name: what was looked at; remedy: for what is not ok; status: of a
    failure."""

    grade: str
    name: str
    what: str
    remedy: str = ""
    status: int = EX_CONFIG

    def __str__(self) -> str:
        line = f"{self.grade:<4}  {self.name:<14} {self.what}"
        rest = [f"{'':<21}{row}" for row in self.remedy.split("\n")] if self.grade != _OK else []
        return "\n".join([line, *rest]).rstrip()


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at. user: who asks, None for nobody that may; as_root: whether we can see everything."""

    policy: Policy
    user: Identity | None
    as_root: bool


Check = Callable[[Patient], Iterable[Finding]]


def asking(policy: Policy, _invocation: Invocation, argv: Sequence[str]) -> int:
    """As the user: the runner's findings, or ours where it cannot be asked. argv: asks it. Returns the exit status."""
    findings: list[Finding] = []
    user = None
    try:
        user = accounts.by_uid(policy, os.getuid())
    except Refusal as refusal:
        findings.append(_failed("caller", refusal))
    else:
        answer = _answer(argv)
        if isinstance(answer, processes.Finished):
            output.lines([answer.output])
            return answer.status
        findings += [answer, _caller(user)]
    return _told([*findings, *examined(Patient(policy, user, os.geteuid() == 0))])


def run(call: Call) -> int:
    """As root: all that there is to find."""
    reached = Finding(_OK, "sudo", "lets the caller start the runner")
    found = examined(Patient(call.policy, call.caller, as_root=True))
    return _told([reached, _caller(call.caller), *found])


def _told(findings: Sequence[Finding]) -> int:
    output.lines([str(finding) for finding in findings])
    failures = {finding.status for finding in findings if finding.grade == _FAIL}
    return 0 if not failures else EX_UNAVAILABLE if failures == {EX_UNAVAILABLE} else EX_CONFIG


def _answer(argv: Sequence[str]) -> processes.Finished | Finding:
    """The runner's answer, or why there is none."""
    try:
        finished = processes.run(argv, accept=range(256))
    except Refusal as refusal:
        return _failed("sudo", refusals.sudo_unavailable(argv[0], refusal.what.rpartition(": ")[2]))
    if finished.output.startswith(f"{_OK:<4}  sudo"):
        return finished
    first = escaped(finished.output.partition("\n")[0]) or f"exit status {finished.status}"
    if finished.status >= EX_UNAVAILABLE:  # one of ours; sudo's own is 1
        return Finding(_FAIL, "runner", f"does not answer: {first}", "See what fails below.", finished.status)
    remedy = f"Its rule must let you run {escaped(argv[-2])} as root without a password.\n{_REBUILD}"
    return Finding(_FAIL, "sudo", f"does not start the runner: {first}", remedy, EX_UNAVAILABLE)


def _failed(name: str, refusal: Refusal) -> Finding:
    status = EX_UNAVAILABLE if refusal.status == EX_UNAVAILABLE else EX_CONFIG
    return Finding(_FAIL, name, refusal.what, refusal.remedy, status)


def examined(patient: Patient) -> list[Finding]:
    """All findings, in the order in which things depend on each other."""
    found: list[Finding] = []
    for name, check, needs_root in _CHECKS:
        if needs_root and not patient.as_root:
            continue
        try:
            found += check(patient)
        except Refusal as refusal:
            found.append(_failed(name, refusal))
        except OSError as error:
            found.append(_failed(name, entry_point.as_refusal(error)))
    return found


def _caller(user: Identity) -> Finding:
    return Finding(_OK, "caller", f"{escaped(user.name)} is a listed host user")


# -- who


def _identities(patient: Patient) -> Iterator[Finding]:
    policy = patient.policy
    agent = accounts.agent(policy)
    primary = pwd.getpwnam(policy.user).pw_gid
    remedy = f"Make {policy.user} a system user of its own, with the primary group {policy.group}.\n{_REBUILD}"
    if agent.uid == 0 or agent.gid == 0:
        yield Finding(_FAIL, "user", f"{policy.user} or {policy.group} has root's id", remedy)
    elif patient.user is not None and patient.user.uid == agent.uid:
        yield Finding(_FAIL, "user", f"{policy.user} has the caller's uid", remedy)
    elif primary != agent.gid:
        yield Finding(_FAIL, "user", f"the primary group of {policy.user} is not {policy.group}", remedy)
    else:
        yield Finding(_OK, "user", f"{policy.user} ({agent.uid}) of {policy.group} ({agent.gid})")


def _project_group(patient: Patient) -> Iterator[Finding]:
    name = patient.policy.project_group
    if name is None:
        return
    try:
        entry = grp.getgrnam(name)
    except KeyError:
        yield Finding(_FAIL, "projectGroup", f"there is no group {escaped(name)}", f"Create it, or: {_REBUILD}")
        return
    if patient.user is not None and entry.gr_gid not in patient.user.groups:
        remedy = f"Add {escaped(patient.user.name)} to it: users.users.<name>.extraGroups. Then log in anew."
        yield Finding(_WARN, "projectGroup", f"the caller is not in {escaped(name)}", remedy)
    else:
        yield Finding(_OK, "projectGroup", f"{escaped(name)} ({entry.gr_gid})")


# -- programs and the system


def _package(patient: Patient) -> Iterator[Finding]:
    yield from _executable("package", [patient.policy.program], "Set m3ta.pi-agent.package to one that is there.")


def _tools(patient: Patient) -> Iterator[Finding]:
    policy = patient.policy
    yield from _executable("tools", [*records.values(policy.tools), policy.shell], _REBUILD)
    for path in (policy.launcher, policy.system_call_filter):
        if not os.path.isfile(path):
            yield Finding(_FAIL, "tools", f"{escaped(path)} is not there", _REBUILD)


def _executable(name: str, programs: Sequence[str], remedy: str) -> Iterator[Finding]:
    bad = [path for path in programs if not (os.path.isfile(path) and _can_execute(path))]
    for path in bad:
        yield Finding(_FAIL, name, f"{escaped(path)} is not there or not executable", remedy)
    if not bad:
        what = escaped(os.path.realpath(programs[0])) if len(programs) == 1 else f"all {len(programs)} are there"
        yield Finding(_OK, name, what)


def _can_execute(path: str) -> bool:
    """Whether everybody may execute it: the agent has no rights that others have not. sudo may be root's alone."""
    return os.stat(path).st_mode & stat.S_IXOTH != 0


def _systemd(patient: Patient) -> Iterator[Finding]:
    tools = patient.policy.tools
    # A caller who is no user of the machine's D-Bus yet gets an answer as well.
    said = processes.run([tools.systemctl, "show", "--property=Version", "--value"], accept=range(256))
    number = re.match(r"[0-9]+", said.output)
    if said.status != 0 or number is None:
        remedy = "See to it that the machine runs systemd and D-Bus: systemctl status dbus"
        yield Finding(_FAIL, "systemd", f"cannot be asked: {escaped(said.output)}", remedy, EX_UNAVAILABLE)
    elif int(number[0]) < SYSTEMD:
        remedy = f"Use a NixOS release with systemd {SYSTEMD} or later."
        yield Finding(_FAIL, "systemd", f"is {escaped(said.output)}", remedy, EX_UNAVAILABLE)
    else:
        yield Finding(_OK, "systemd", f"{escaped(said.output)}, at least {SYSTEMD} is needed")


def _kernel(_patient: Patient) -> Iterator[Finding]:
    release = os.uname().release
    needed = ".".join(map(str, KERNEL))
    number = re.match(r"([0-9]+)\.([0-9]+)", release)
    if number is None or tuple(map(int, number.groups())) < KERNEL:
        remedy = f"Boot Linux {needed} or later: boot.kernelPackages."
        yield Finding(_FAIL, "kernel", f"is {release}", remedy, EX_UNAVAILABLE)
        return
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
        allowed = int(file.read())
    if allowed == 0:
        remedy = 'Allow some: boot.kernel.sysctl."user.max_user_namespaces".'
        yield Finding(_FAIL, "kernel", "user namespaces are switched off", remedy, EX_UNAVAILABLE)
    else:
        yield Finding(_OK, "kernel", f"{release}, at least {needed} is needed")


def _journal(_patient: Patient) -> Iterator[Finding]:
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
            journal.connect(journald.SOCKET)
    except OSError as error:
        remedy = "Sessions go on, but nobody can look them up. See: systemctl status systemd-journald.socket"
        what = f"{journald.SOCKET} cannot be reached: {error.strerror}"
        yield Finding(_FAIL, "journal", what, remedy, EX_UNAVAILABLE)
    else:
        yield Finding(_OK, "journal", "takes entries: journalctl -t pi-agent")


def _addresses(patient: Patient) -> Iterator[Finding]:
    if patient.policy.sandbox.network == "none":
        yield Finding(_OK, "denyAddresses", "there is no network inside")
        return
    if not patient.policy.sandbox.deny_addresses:
        yield Finding(_OK, "denyAddresses", "none are denied")
        return
    found = _datagram(patient.policy.tools)
    if found == "denied":
        yield Finding(_OK, "denyAddresses", "are enforced")
        return
    why = "are not enforced here" if found == "sent" else f"nobody knows whether they are enforced: {escaped(found)}"
    remedy = 'It takes cgroup v2 and BPF for cgroups. Without: m3ta.pi-agent.sandbox.network = "none".'
    yield Finding(_WARN, "denyAddresses", why, remedy)


def _datagram(tools: Tools) -> str:
    """What becomes of a datagram to nobody from a unit that may reach nothing: `denied`, `sent`, or why that cannot be
    told. systemd says nothing where it cannot deny, and what it can is not always what we can: so it is asked to."""
    words = ("--quiet", "--wait", "--pipe", "--collect", "--setenv=LC_ALL=C", "--property=IPAddressDeny=any")
    finished = processes.run([tools.systemd_run, *words, "--", tools.bash, "-c", _SEND], accept=range(256))
    if finished.status == 0 and finished.output == "sent":
        return "sent"
    return "denied" if "Operation not permitted" in finished.output else finished.output or str(finished.status)


# -- what is on disk


def _roots(patient: Patient) -> Iterator[Finding]:
    if patient.user is None:
        return
    for root in project_roots.survey(patient.policy, patient.user):
        name = escaped(root.configured)
        if root.descriptor is None or root.why is not None:
            remedy = "Create it or correct it, or change m3ta.pi-agent.hostUsers.<user>.projectRoots."
            yield Finding(_FAIL, "root", f"{name}: {root.why}", remedy)
        elif not patient.as_root:
            yield Finding(_OK, "root", name)
        elif _mapped(patient, patient.user, root.descriptor):
            yield Finding(_OK, "root", f"{name}, where owners can be mapped")
        else:
            remedy = "There the agent has what its user and projectGroup may do. Use ext4, xfs, btrfs or the like."
            yield Finding(_WARN, "root", f"{name}: the file system or the kernel cannot map owners", remedy)
        if root.descriptor is not None:
            os.close(root.descriptor)


def _mapped(patient: Patient, user: Identity, descriptor: int) -> bool:
    tree, mapped = mounts.prepared(user, accounts.agent(patient.policy), descriptor)
    os.close(tree)
    return mapped


def _further_paths(patient: Patient) -> Iterator[Finding]:
    options = patient.policy.sandbox
    for path in (*options.read_only_paths, *options.read_write_paths):
        try:
            os.close(host_view.open_extra(path))
        except Refusal as refusal:
            remedy = f"{refusal.remedy}\nThe options are m3ta.pi-agent.sandbox.readOnlyPaths and readWritePaths."
            yield Finding(_FAIL, "shown path", refusal.what, remedy)
        else:
            yield Finding(_OK, "shown path", escaped(path))


def _state(patient: Patient) -> Iterator[Finding]:
    policy = patient.policy
    agent = accounts.agent(policy)
    bad = []
    with acting_as(agent):
        top = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for path, allowed in _trees(patient):
                try:
                    directory = directories.peek_path(top, path)
                except FileNotFoundError:
                    continue  # made by a launch
                except OSError as error:
                    bad.append(f"{path or '.'}: {error.strerror}")
                    continue
                status = os.fstat(directory)
                os.close(directory)
                if (status.st_uid, status.st_gid) != (agent.uid, agent.gid):
                    bad.append(f"{path or '.'} is not {agent.name}'s and its group's")
                elif stat.S_IMODE(status.st_mode) & ~allowed:
                    bad.append(f"{path or '.'} has mode {stat.S_IMODE(status.st_mode):04o}, at most {allowed:04o}")
        finally:
            os.close(top)
    remedy = f"systemd-tmpfiles --create corrects it; what is below belongs to {policy.user}:{policy.group}."
    for why in bad:
        yield Finding(_FAIL, "state", f"{escaped(policy.state_dir)}, {escaped(why)}", remedy)
    if not bad:
        yield Finding(_OK, "state", escaped(policy.state_dir))


def _trees(patient: Patient) -> Iterator[tuple[str, int]]:
    """Directories of the state, and the most that their modes may allow."""
    yield from (("", 0o750), ("users", 0o750), ("sync", 0o700))
    if patient.user is not None:
        yield from ((f"users/{patient.user.name}", 0o700), (f"sync/{patient.user.name}", 0o700))


def _staging(_patient: Patient) -> Iterator[Finding]:
    session_directory.check_private(session_names.STAGING)
    yield Finding(_OK, "staging", f"{session_names.STAGING} is root's alone")


def _env_files(patient: Patient) -> Iterator[Finding]:
    for path in patient.policy.environment_files:
        try:
            env_files.variables_in(path)
        except Refusal as refusal:
            yield _failed("env file", refusal)
        else:
            yield Finding(_OK, "env file", escaped(path))


def _host_configuration(patient: Patient) -> Iterator[Finding]:
    if patient.user is None:
        return
    with acting_as(patient.user):
        host = host_config.open_host_config(patient.policy, patient.user)
        if host is not None:
            try:
                env_files.host_files(host)
                for kind in (documents.SETTINGS, documents.AUTH):
                    documents.read_host(host, kind.name)
            finally:
                os.close(host.descriptor)
    yield Finding(_OK, "configuration", escaped(host.path) if host is not None else "nothing of the host's is used")


def _leftovers(patient: Patient) -> Iterator[Finding]:
    first = _abandoned(patient.policy)
    if first:
        time.sleep(_SECOND_LOOK)  # a session that ends just now is none
    names = sorted(first & _abandoned(patient.policy)) if first else []
    if not names:
        yield Finding(_OK, "leftovers", "none")
        return
    more = f" and {len(names) - _NAMES_AT_MOST} more" if len(names) > _NAMES_AT_MOST else ""
    remedy = "The next launch of the same user removes what is staged; for a unit: systemctl stop UNIT"
    what = f"of dead sessions: {', '.join(escaped(name) for name in names[:_NAMES_AT_MOST])}{more}"
    yield Finding(_FAIL, "leftovers", what, remedy, EX_UNAVAILABLE)


def _abandoned(policy: Policy) -> set[str]:
    """The units of sessions that nobody takes care of, whether they are staged or run."""
    attended, unattended = running_sessions.attended_and_abandoned()
    words = ("list-units", "--all", "--plain", "--no-legend", "--full", session_names.UNITS)
    listed = processes.run([policy.tools.systemctl, *words]).output
    units = {line.split()[0] for line in listed.splitlines() if line.strip()}
    attended |= running_sessions.attended_and_abandoned()[0]  # those that began meanwhile
    return unattended | (units - attended)


_CHECKS: Final[Sequence[tuple[str, Check, bool]]] = (
    ("user", _identities, False),
    ("projectGroup", _project_group, False),
    ("package", _package, False),
    ("tools", _tools, False),
    ("systemd", _systemd, False),
    ("kernel", _kernel, False),
    ("journal", _journal, False),
    ("denyAddresses", _addresses, True),
    ("state", _state, True),
    ("staging", _staging, True),
    ("leftovers", _leftovers, True),
    ("env file", _env_files, True),
    ("shown path", _further_paths, True),
    ("root", _roots, False),
    ("configuration", _host_configuration, False),
)
