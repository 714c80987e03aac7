"""A project that a session changes, and what the look at its end reports. Git is the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.sandbox.self_running import look
from pi_agent.sandbox.self_running.judgement import Item
from pi_agent.sandbox.self_running.report import Report
from tests.support import people, policies


def real_policy(**overrides: Any) -> Policy:
    """A policy whose tools that read git's configuration are those of this machine."""
    found = {name: shutil.which(name) or "" for name in ("git", "setpriv")}
    sandbox = policies.sandbox(protectedPaths=[".own/place"], **overrides)
    return policies.frozen(tools=policies.tools(**found), sandbox=sandbox)


class Left:
    """A project in a directory that exists. root: its path."""

    def __init__(self, root: Path, **overrides: Any) -> None:
        self.root = root
        self.policy = real_policy(**overrides)
        self.caller = people.alice(root)
        self.project = Project(str(root), os.open(root, os.O_PATH), str(root))

    def before(self) -> bytes:
        """The record of the project as it is."""
        return look.before(self.policy, self.caller, self.project)

    def after(self, before: bytes) -> Report | None:
        """What is reported about it now."""
        return look.after(before, self.policy, self.caller, self.project)

    def report(self, act: Callable[[], object]) -> Report:
        """What is reported after a session that ran act, an empty report if nothing is."""
        open_before = os.listdir("/proc/self/fd")
        before = self.before()
        act()
        found = self.after(before)
        assert os.listdir("/proc/self/fd") == open_before
        return Report((), ()) if found is None else found

    def items(self, act: Callable[[], object]) -> list[Item]:
        """The items of such a report, when everything could be seen."""
        found = self.report(act)
        assert found.unseen == ()
        return list(found.items)

    def news(self, act: Callable[[], object]) -> dict[str, tuple[str, ...]]:
        """Path → what is said of it, in the order told."""
        return {item.path: item.what for item in self.items(act)}


def git(directory: Path, *arguments: str) -> None:
    """Run git in the directory, which is made, without the configuration of this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/"}
    named = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run(["git", "-C", str(directory), *named, *arguments], env=environ, check=True, capture_output=True)
