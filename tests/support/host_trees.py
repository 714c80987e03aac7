"""Configurations of a host user, for tests."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pi_agent.state.host_config import HostTree


def host_tree(top: Path, *roots: Path) -> HostTree:
    """The configuration in top, open, of a user with these project roots."""
    return HostTree(str(top), os.open(top, os.O_PATH), lambda: tuple(str(root) for root in roots))


def filled(top: Path) -> Path:
    """A small configuration below top."""
    (top / "conf/skills/one").mkdir(parents=True)
    (top / "conf/skills/one/SKILL.md").write_text("12345")
    (top / "conf/AGENTS.md").write_text("")
    return top / "conf"


def make_special(path: Path | str, kind: str) -> None:
    """Make something that cannot be copied: fifo, socket, device, loop, up, top (links upwards) or dangling."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(os.path.dirname(path))  # the address of a socket must be short
        try:
            socket.socket(socket.AF_UNIX).bind(os.path.basename(path))
        finally:
            os.chdir(here)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind == "loop":
        os.symlink(os.path.basename(path), path)
    elif kind == "up":
        os.symlink("..", path)
    elif kind == "top":
        os.symlink(".", path)
    elif kind == "dangling":
        os.symlink("/nonexistent/x", path)
    else:
        raise ValueError(kind)


def planted_among_secrets(top: Path) -> Path:
    """A configuration inside a project root, `projects`, which the agent can write to, beside the user's secrets."""
    (top / "secret").mkdir()
    (top / "secret/id_ed25519").write_text("private")
    (top / "projects/dotfiles/pi").mkdir(parents=True)
    (top / "projects/inside").write_text("public")
    return top / "projects/dotfiles/pi"
