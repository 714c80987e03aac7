"""Covering again, with stand-ins for the machine: what is done if a part of it fails. The machine shows the rest."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pi_agent.linux import inotify, mount_namespaces, processes
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.sandbox import protection
from pi_agent.sandbox.covers import Cover, Kind
from pi_agent.sandbox.protection import Means
from pi_agent.session import audit, control_group, descriptor_holders, host_view, renewal, session_names
from pi_agent.session.audit import Known
from pi_agent.session.renewal import Covered, Renewal

_SECRET, _CONFIG = Cover(".netrc", Kind.HIDE, None), Cover(".git/config", Kind.PROTECT, None)


class Machine:
    """A session whose project has a secret and a configuration, both bare.

    done: what was done to it. checked: what was looked for in the session's hands. faults: what watching answers, one
    at a time.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.told: list[str] = []
        self.checked: list[str] = []
        self.faults: list[OSError] = []
        self.bare = [_SECRET, _CONFIG]
        self._top = top
        (top / ".git").mkdir()
        for path in (_SECRET.path, _CONFIG.path):
            (top / path).touch()
        stand_ins: dict[tuple[Any, str], Any] = {
            (policy_file, "load"): lambda _: None,
            (accounts, "through_sudo"): lambda *_: None,
            (accounts, "of"): lambda *_: SimpleNamespace(agent=None, caller=None),
            (host_view, "viewer_of"): lambda *_: None,
            (host_view, "find_covers"): lambda *_: SimpleNamespace(covers=[_SECRET, _CONFIG]),
            (renewal, "acting_as"): _nobody_else,
            (mount_namespaces, "entered"): _nobody_else,
            (protection, "bare"): lambda *_: [*self.bare],
            (protection, "mount"): self._mount,
            (protection, "watch_empty"): self._watch,
            (audit, "uncovered"): lambda _, path: self.told.append(path),
            (control_group, "freeze"): lambda _, frozen: self.done.append("frozen" if frozen else "thawed"),
            (control_group, "await_frozen"): lambda *_: None,
            (control_group, "is_gone"): lambda _: False,
            (control_group, "kill"): lambda _: self.done.append("killed"),
            (processes, "has_ended"): lambda _: False,
            (descriptor_holders, "held"): lambda _: None,
            (descriptor_holders, "can_change"): self._can_change,
        }
        for (place, name), stand_in in stand_ins.items():
            monkeypatch.setattr(place, name, stand_in)

    def _mount(self, _ground: object, covers: list[Cover], _means: object) -> list[str]:
        self.done.append(f"covered {len(covers)}")
        self.bare = []
        return []

    def _watch(self, *_: object) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def _can_change(self, _held: object, here: int, *, linked: bool) -> bool:
        self.checked.append(os.path.relpath(os.readlink(f"/proc/self/fd/{here}"), self._top))
        return False

    def look(self) -> list[str]:
        """Have something happened, and look. Returns the hidden paths that are to be told in the end."""
        session = session_names.called(str(self._top), "pi-agent-alice-0")
        os.makedirs(session.directory)
        tree, queue = os.open(self._top, os.O_PATH), inotify.opened()
        covers = {_SECRET.path: int(_SECRET.kind), _CONFIG.path: int(_CONFIG.kind)}
        try:
            covered = Covered(-1, tree, str(self._top), True, str(self._top), Means(-1, -1, queue), covers, [], [])
            kept = Renewal(session, Known("/policy.json"), covered)
            kept._unsettled = True
            kept.look()
            return [*renewal.exposed(session.exposed)]
        finally:
            os.close(tree)
            os.close(queue)


@contextmanager
def _nobody_else(_: object) -> Iterator[None]:
    yield


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


_BOTH = [_SECRET.path, _CONFIG.path]


def test_what_is_bare_is_told_covered_and_looked_for_in_the_sessions_hands(machine: Machine, tmp_path: Path) -> None:
    assert machine.look() == [f"{tmp_path}/.netrc"]
    assert machine.told == [f"{tmp_path}/{path}" for path in _BOTH]
    assert machine.done == ["frozen", "covered 2", "thawed"]
    assert machine.checked == [_CONFIG.path]


def test_a_change_of_the_project_meanwhile_hides_nothing_of_that(machine: Machine, tmp_path: Path) -> None:
    """Everything was covered before the fault: the second try finds nothing bare."""
    machine.faults = [OSError(errno.ELOOP, "a link")]
    assert machine.look() == [f"{tmp_path}/.netrc"]
    assert machine.told == [f"{tmp_path}/{path}" for path in _BOTH]
    assert machine.done == ["frozen", "covered 2", "covered 0", "thawed"]
    assert machine.checked == [_CONFIG.path]


@pytest.mark.parametrize(
    "faults", [[OSError(errno.ENOSPC, "no watches")], [OSError(errno.ELOOP, "a link")] * 5], ids=["machine", "endless"]
)
def test_where_that_is_not_possible_the_session_is_ended_frozen(machine: Machine, faults: list[OSError]) -> None:
    machine.faults = [*faults]
    with pytest.raises(Refusal) as refused:
        machine.look()
    assert refused.value.status == EX_UNAVAILABLE
    assert machine.done[-1] == "killed" and "thawed" not in machine.done
