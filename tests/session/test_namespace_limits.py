"""Limits in the user namespace of a session. What they do to a session is shown in the machine."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pi_agent.linux import mount_api
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.python.records import values
from pi_agent.session import control_group, namespace_limits
from pi_agent.session.namespace_limits import Limiter, Machine
from tests.support import policies
from tests.support.control_groups import groups, unit
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import frozen

_INOTIFY = ("fs/inotify/max_user_instances", "fs/inotify/max_user_watches")


def machine(top: Path, **limits: int) -> Machine:
    for name, limit in limits.items():
        path = top / "sysctl/fs/inotify" / f"max_user_{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    return Machine(str(top / "sysctl"))


# -- how many


def test_a_session_has_a_part_of_what_the_machine_has_and_never_more_than_it_needs(tmp_path: Path) -> None:
    found = namespace_limits.chosen(0, machine(tmp_path, instances=524288, watches=524288))
    assert (found["max_inotify_instances"], found["max_inotify_watches"]) == (512, 16384)
    found = namespace_limits.chosen(0, machine(tmp_path, instances=128, watches=65536))
    assert (found["max_inotify_instances"], found["max_inotify_watches"]) == (8, 4096)


def test_many_sessions_together_leave_the_machine_something() -> None:
    for shared, least in namespace_limits.wanted().items():
        assert shared in _INOTIFY
        assert least <= 524288 / 2, "NixOS has 524,288 of both"


def test_a_host_user_with_many_sessions_gets_less_for_each_and_never_all_that_the_machine_has(tmp_path: Path) -> None:
    """In whatever order they start and end: one that started with n others alive has at least n alive before it."""
    for limit in (128, 65536, 524288):
        there = machine(tmp_path, instances=limit, watches=limit)
        each = [namespace_limits.chosen(others, there) for others in range(2000)]
        for name in ("max_inotify_instances", "max_inotify_watches"):
            parts = [limits[name] for limits in each]
            assert parts == sorted(parts, reverse=True)
            assert set(parts[:8]) == {parts[0]} and parts[8] == parts[0] // 4
            assert sum(parts) < limit * 14 / 16
    assert sum(namespace_limits.divided(1024, others) for others in range(2000)) < 14 * 1024


def test_each_kind_of_namespace_is_limited() -> None:
    kinds = {path.name for path in Path("/proc/sys/user").glob("max_*_namespaces")}
    assert kinds <= namespace_limits.chosen(0).keys()


def test_what_this_kernel_lacks_is_left_out(tmp_path: Path) -> None:
    assert not any("inotify" in name for name in namespace_limits.chosen(0, machine(tmp_path)))
    assert namespace_limits.machine_limit("fs/none") is None


@pytest.mark.parametrize("name", ["LimitSIGPENDING", "LimitSIGPENDINGSoft"])
def test_resources_are_limited_unless_the_administrator_says_how(name: str) -> None:
    assert namespace_limits.resources(frozen()) == {11: 1024, 12: 32768, resource.RLIMIT_MEMLOCK: 262144}
    policy = frozen(sandbox=policies.sandbox(properties=[f"{name}=5", "TasksMax=5"]))
    assert namespace_limits.resources(policy) == {12: 32768, resource.RLIMIT_MEMLOCK: 262144}


# -- set


@contextmanager
def in_a_namespace() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a user namespace of its own."""
    script = "echo ready; read -r word; cat /proc/sys/user/*"
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


@needs_root
def test_the_limits_are_set_in_the_units_namespace_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in Path("/proc/sys/user").iterdir())
    before = {name: Path(f"/proc/sys/user/{name}").read_text() for name in names}
    with in_a_namespace() as process:
        unit(tmp_path, process.pid)
        there = groups(tmp_path)
        monkeypatch.setattr(control_group.process_of, "__defaults__", (there,))
        monkeypatch.setattr(namespace_limits, "_SHARED", {_INOTIFY[0]: ("max_inotify_instances", 3)})
        monkeypatch.setattr(namespace_limits, "_NAMESPACES", 7)
        opened = open_descriptors()
        with Limiter("u.service", {11: 77, resource.RLIMIT_MEMLOCK: 4096}, 7) as limiter:
            limiter.begin()
            limiter.finish()
        assert resource.prlimit(process.pid, 11) == (77, 77)
        assert resource.prlimit(process.pid, resource.RLIMIT_MEMLOCK) == (4096, 4096)
        assert open_descriptors() == opened
        output, _ = process.communicate(b"\n", 20)
    found = dict(zip(names, output.split(), strict=True))
    assert found["max_inotify_instances"] == b"3"
    assert {found[name] for name in names if name.endswith("_namespaces")} == {b"7"}
    assert {name: Path(f"/proc/sys/user/{name}").read_text() for name in names} == before


@needs_root
def test_who_cannot_be_limited_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own namespace cannot be joined, and a unit that is gone has none."""
    monkeypatch.setattr(control_group.process_of, "__defaults__", (groups(tmp_path),))
    opened = open_descriptors()
    for processes in ((), (os.getpid(),)):
        unit(tmp_path, *processes)
        with Limiter("u.service", {}, 0) as limiter, pytest.raises(Refusal) as caught:
            limiter.begin()
            limiter.finish()
        assert caught.value.status == EX_UNAVAILABLE
    assert open_descriptors() == opened


@pytest.mark.parametrize("what", ["fork", "pipe"])
def test_a_child_that_cannot_be_made_is_told_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def fail() -> None:
        raise BlockingIOError(errno.EAGAIN, "none left")

    opened = open_descriptors()
    monkeypatch.setattr(os, what, fail)
    with Limiter("u.service", {}, 0) as limiter, pytest.raises(Refusal) as caught:
        limiter.begin()
        limiter.finish()
    assert os.strerror(errno.EAGAIN) in caught.value.what
    assert open_descriptors() == opened


@needs_root
def test_a_child_that_is_not_needed_ends() -> None:
    with Limiter("u.service", {}, 0) as limiter:
        child = limiter._child
        assert Path(f"/proc/{child}").exists()
    assert not Path(f"/proc/{child}").exists()


def test_the_real_machine_is_the_default() -> None:
    assert values(namespace_limits.MACHINE) == ("/proc/sys",)
    assert mount_api.RDONLY == 1
