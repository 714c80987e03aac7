"""Whole launches in a temporary directory: alice in her project, her agent's state, stand-ins for systemd and mounts.

Planning and carrying out are real; only systemd, the kernel's mounts and journald are not. alice and the agent are both
the user who runs the tests. Carrying out needs root, because a staging directory must belong to root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from pi_agent.cli import launch_request
from pi_agent.linux import identities, journald
from pi_agent.linux.identities import Identity
from pi_agent.policy import accounts, project_roots
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.shared import TERMINAL_VARIABLES
from pi_agent.python.records import record, values
from pi_agent.session import launch, launch_plan, provenance, request_file, session_directory, session_names
from pi_agent.session.attachment import Attachment
from pi_agent.session.audit import Known
from pi_agent.session.launch_plan import Plan, Request
from pi_agent.state import user_state
from tests.support import people, policies
from tests.support.fakes import Bin, Kernel, Namespace, no_limits, waits
from tests.support.limits import close_queues
from tests.support.policies import USER, replaced

# A unit, as systemd-run would run it: launch.bash waits, and then what its directory holds is kept.
_UNIT: Final = """
for word; do
  case $word in --property=OpenFile=*:report:append)
    report=${word#--property=OpenFile=}
    report=${report%:report:append}
  esac
done
"""
_KEEP: Final = """
rm -rf "KEPT"
cp -R "${report%/*}" "KEPT"
"""


class Launching:
    """A policy with the overrides, and everything that it names.

    host: alice's `.pi/agent`. root: her project root; directory: her directory in it. state: the state directory; tree:
    the agent's home; isolated: its `.pi/agent`; memory: sync's own directory. staging: where sessions have their
    directories. namespace: the unit's. journal: the entries received. agent: its identity, if it is not the user who
    runs the tests.
    """

    def __init__(
        self, top: Path, monkeypatch: pytest.MonkeyPatch, agent: Identity | None = None, **overrides: Any
    ) -> None:
        self.top = top
        self.bin = Bin(top / "bin")
        self.kernel = Kernel(top / "kernel.log", monkeypatch)
        self.namespace = Namespace(top, self.kernel, monkeypatch)
        self.limited = no_limits(monkeypatch)
        self.home = top / "home"
        self.host = self.home / ".pi/agent"
        self.root = self.home / "projects"
        self.directory = self.root / "demo"
        self.state = top / "state"
        self.tree = self.state / "users" / USER
        self.isolated = self.tree / ".pi/agent"
        self.memory = top / "state-sync" / USER / "memory.json"
        self.staging = top / "staging"
        self.journal: list[dict[str, str]] = []
        for place in (self.host, self.directory, self.state):
            place.mkdir(parents=True, exist_ok=True)
        self.caller: Identity = people.alice(self.home)
        self.agent: Identity = people.agent(self.state) if agent is None else replaced(agent, home=str(self.state))
        self.owner: Identity = replaced(self.agent, name="pi-agent")
        os.chown(self.state, self.owner.uid, self.owner.gid)
        self._overrides = {"stateDir": str(self.state), "tools": self._tools(), **overrides}
        self.policy: Policy = policies.frozen(**self._overrides)
        self.unit()
        monkeypatch.setattr(session_names, "STAGING", str(self.staging))
        monkeypatch.setattr(journald, "send", lambda entry: self.journal.append(dict(entry)))
        monkeypatch.setattr(accounts, "of", lambda policy, caller: self.accounts)
        monkeypatch.setattr(accounts, "owner", lambda policy: self.owner)
        # What the end of a session asks for again.
        monkeypatch.setattr(accounts, "through_sudo", lambda policy, environ: self.caller)
        monkeypatch.setattr(provenance, "policy_file", SimpleNamespace(load=lambda path: self.policy))
        # pytest works below /tmp, which the sandbox provides itself.
        monkeypatch.setattr(project_roots, "RESERVED", tuple(each for each in project_roots.RESERVED if each != "/tmp"))
        if os.geteuid() != 0:
            monkeypatch.setattr(identities, "root", lambda: people.agent("/root"))
        for name in TERMINAL_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(self.directory)

    @property
    def accounts(self) -> Accounts:
        """The accounts of alice's launches."""
        return Accounts(self.caller, self.agent, self.owner)

    def _tools(self) -> dict[str, str]:
        made = self.bin.tools()
        named = dict(zip(type(made)._fields, values(made), strict=True))  # type: ignore[attr-defined]
        return {name.replace("_", "-"): path for name, path in named.items()}

    def unit(self, body: str = "", status: int = 0, *, starts: bool = True) -> None:
        """Make units run body (POSIX shell) as Pi from now on, which then ends with status.

        starts: whether the unit gets as far as running Pi.
        """
        let_in = f"{waits('${report%/*}')} || exit 99\n"
        kept = _KEEP.replace("KEPT", str(self.kept))
        reports = f'{let_in}{kept}echo started >"$report"\n{body}\necho ended {status} >"$report"\n' if starts else body
        self.bin.script("systemd_run", f"{_UNIT}\n{reports}\nexit {status}")

    def policy_file(self) -> Path:
        """The policy as the module would write it."""
        return policies.written(self.top, **self._overrides)

    @property
    def kept(self) -> Path:
        """What the directory of the last session held when Pi started."""
        return self.top / "kept"

    def request(self, *arguments: str) -> Request:
        """The request of `pi` with these arguments."""
        return launch_request.for_pi(self.policy, self.caller, arguments)

    def plan(self, *arguments: str) -> Plan:
        """The plan of that request."""
        return launch_plan.plan(self.request(*arguments))

    def launch(self, *arguments: str) -> int:
        """Plan it, carry it out, and return the exit status."""
        return self.carry_out(self.plan(*arguments))

    def carry_out(self, plan: Plan) -> int:
        """Carry out a plan, and return the exit status."""
        session, project = plan.request.session, plan.request.project
        root = None if project is None else project.root
        try:
            return launch.carry_out(plan, Known("/policy.json").of_user(USER).in_root(root).of_unit(session.unit))
        finally:
            close_queues()

    def attach(self, plan: Plan) -> Sequence[str]:
        """Attach everything as planned, without a unit, and return the notices."""
        process = os.pidfd_open(os.getpid())
        try:
            return self.attach_in(process, plan)
        finally:
            os.close(process)

    def attach_in(self, process: int, plan: Plan) -> Sequence[str]:
        """The same in the mount namespace of the process."""
        os.makedirs(plan.request.session.directory, 0o700, exist_ok=True)
        state = user_state.prepare(self.policy, self.owner, USER, plan.state)
        attachment = Attachment(plan, state)
        try:
            return attachment.attach(process)
        finally:
            attachment.close()
            close_queues()

    def asked_by(self, plan: Plan) -> Asked:
        """The request of the plan, as launch.bash reads it. Nothing else of it is carried out."""
        os.makedirs(plan.request.session.directory, 0o700, exist_ok=True)
        session_directory.fill(plan.request.session, b"")
        request_file.write(plan)
        return asked_in(Path(plan.request.session.request))

    def asked(self) -> Asked:
        """The request of the last session, as launch.bash reads it."""
        return asked_in(self.kept / "request")

    def events(self) -> list[str]:
        """The entries in the journal, in short."""
        return [entry["PI_AGENT_EVENT"] for entry in self.journal]


@record
class Asked:
    """What launch.bash is asked to do. refusal: what it says if it cannot enter the directory."""

    refusal: str
    directory: str
    variables: Mapping[str, str]
    command: tuple[str, ...]


def asked_in(path: Path) -> Asked:
    """The request in a file."""
    content = path.read_bytes()
    assert content.endswith(b"\0")
    refusal, directory, *rest = [os.fsdecode(word) for word in content[:-1].split(b"\0")]
    end = rest.index("")
    pairs = [each.split("=", 1) for each in rest[:end]]
    return Asked(refusal, directory, {name: value for name, value in pairs}, tuple(rest[end + 1 :]))
