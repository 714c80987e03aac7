"""A running session, as far as its end needs it: what the runner keeps while Pi runs, in memory or in a file.

The file lies in the session's directory, which only root can enter. Descriptors in it are those that the process keeps
when it becomes another program (execve(2)).
"""

from __future__ import annotations

from pi_agent.linux.terminals import Terminal
from pi_agent.policy.policy_file import Tools
from pi_agent.policy.project_roots import Project
from pi_agent.python import json_reader
from pi_agent.python.records import record, values
from pi_agent.sandbox.protection import Means
from pi_agent.session.audit import Known
from pi_agent.session.guard import Guard
from pi_agent.session.renewal import Covered
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@record
class Client:
    """systemd-run, which carries a session's streams. process: the process (pidfd_open(2)).

    alive: the end of a pipe whose other end it alone has.
    """

    process: int
    alive: int


@record
class Unfinished:
    """A session that runs.

    command: what our command is called. report: of launch.bash, its reading end. memory: what is remembered for the
    host user, open. kept: locks, to hold until the end. above: what started the runner. terminal: the session's own,
    None if it has none. project: what to look at afterwards, None if nothing. covered: what is watched while the
    session runs, None if nothing.
    """

    tools: Tools
    session: Session
    command: str
    known: Known
    client: Client
    guard: Guard
    report: int
    memory: int
    kept: tuple[int, ...]
    above: Above
    terminal: Terminal | None
    project: Project | None
    covered: Covered | None

    def descriptors(self) -> Iterator[int]:
        """All that must stay open."""
        yield from (self.client.process, self.client.alive, self.guard.tell, self.report, self.memory, *self.kept)
        if self.above.front is not None:
            yield self.above.front
        if self.covered is not None:
            yield from self.covered.descriptors
        yield from (each.descriptor for each in (self.terminal, self.above.terminal, self.project) if each is not None)


def write(unfinished: Unfinished) -> None:
    """Write it to its file. Raises OSError."""
    import json  # a launch that ends soon needs none

    with open(unfinished.session.unfinished, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump([_plain(value) for value in values(unfinished)], file, ensure_ascii=False)


def read(session: Session) -> Unfinished:
    """Read it back. Raises OSError."""
    with open(session.unfinished, "rb") as file:
        found = json_reader.loads(file.read().decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass"))
    tools, _, command, known, client, guard, report, memory, kept, above, terminal, project, covered = found
    return Unfinished(
        Tools(*tools),
        session,
        command,
        Known(*known),
        Client(*client),
        Guard(*guard),
        report,
        memory,
        tuple(kept),
        Above(above[0], _terminal(above[1]), above[2]),
        _terminal(terminal),
        None if project is None else Project(*project),
        _covered(covered),
    )


def _plain(value: Any) -> Any:
    """A value as JSON has it. Terminal modes hold single bytes (termios.tcgetattr)."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _covered(found: Any) -> Covered | None:
    if found is None:
        return None
    process, tree, root, mapped, directory, means, *rest = found
    return Covered(process, tree, root, mapped, directory, Means(*means), *rest)


def _terminal(found: Any) -> Terminal | None:
    if found is None:
        return None
    descriptor, modes, reset = found
    if modes is not None:
        modes[-1] = [each.encode("latin-1") if isinstance(each, str) else each for each in modes[-1]]
    return Terminal(descriptor, modes, reset.encode("latin-1"))
