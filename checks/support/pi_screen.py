"""The real Pi on a screen that tmux draws, inside and outside the sandbox."""

from __future__ import annotations

from typing import Final

from support.installed import policy
from support.tmux import Screen

# On the screen once Pi has started: the model's name.
UP: Final = "scripted-1$"
UNWRAPPED: Final = policy()["program"]


def started(screen: Screen, command: str = "pi") -> str:
    """Start Pi with a command in a shell on the screen, and return the screen's content once Pi is up."""
    screen.enter(f"clear; {command}; echo status=$?")
    return screen.shows(UP)
