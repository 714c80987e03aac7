"""The interface of the real Pi on a screen that tmux draws, with and without the sandbox around it."""

from __future__ import annotations

from typing import Final

from support.installed import policy
from support.tmux import Screen

UP: Final = "scripted-1$"
UNWRAPPED: Final = policy()["program"]


def started(screen: Screen, command: str = "pi") -> str:
    screen.enter(f"clear; {command}; echo status=$?")
    return screen.shows(UP)
