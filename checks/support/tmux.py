"""A terminal as a person has one: tmux draws a program's output, answers its queries, and types the keys.

To test the bytes themselves, a scenario uses `terminals` instead.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.commands import Word, login, on_machine
from support.waiting import PATIENCE, until

_PROMPT: Final = "ready$ "
# The prompt of `shell`, last on the screen.
AT_PROMPT: Final = r"^ready\$\n*\Z"
# The state of a terminal before a program has changed it. See FORMATS in tmux(1).
SANE: Final = {
    "alternate_on": "0",
    "cursor_flag": "1",
    "insert_flag": "0",
    "keypad_cursor_flag": "0",
    "keypad_flag": "0",
    "mouse_any_flag": "0",
    "mouse_sgr_flag": "0",
    "origin_flag": "0",
    "wrap_flag": "1",
}
_NAME: Final = "pi-agent-checks"


class Screen:
    """A tmux server with one window. Close it after use."""

    def __init__(self, argv: list[Word], width: int, height: int) -> None:
        # Without any user's settings.
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), *argv)
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        # Support kitty's or xterm's key reporting, for programs that request it.
        self._tmux("set-option", "-s", "extended-keys", "on")

    def close(self) -> None:
        """Take the terminal away."""
        subprocess.run(["tmux", "-L", _NAME, "kill-server"], capture_output=True, check=False, cwd="/")

    def _tmux(self, *words: Word, stdin: bytes = b"") -> str:
        done = on_machine("tmux", "-L", _NAME, *words, stdin=stdin)
        return done.ok().stdout.decode("utf-8", "replace")

    def text(self) -> str:
        """The content of the screen."""
        return self._tmux("capture-pane", "-p")

    def shows(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait until a regular expression matches the screen, and return the screen's content."""
        seen = ""

        def matches() -> bool:
            nonlocal seen
            seen = self.text()
            return re.search(pattern, seen, re.MULTILINE) is not None

        try:
            until(matches, pattern, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; on the screen:\n{seen}") from error
        return seen

    def type(self, text: str) -> None:
        """Type this text."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press these keys, by their tmux names: C-c, Enter, Escape."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Type a line."""
        self.type(line)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """Paste text, bracketed if the program requested that."""
        self._tmux("load-buffer", "-", stdin=text.encode())
        self._tmux("paste-buffer", "-p", "-r")

    def resize(self, width: int, height: int) -> None:
        """Resize the terminal."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def tells(self, name: str) -> str:
        """The value of a tmux format."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").rstrip("\n")

    def modes(self) -> dict[str, str]:
        """The terminal's modes. See SANE."""
        values = self._tmux("display-message", "-p", " ".join(f"#{{{name}}}" for name in SANE)).split()
        return dict(zip(SANE, values, strict=True))


@contextmanager
def screen(
    user: str, *argv: Word, cwd: Path | str | None = None, width: int = 100, height: int = 30
) -> Iterator[Screen]:
    """Log user in on a new terminal, and run argv there."""
    # The leader of a terminal's session must die with the terminal. See `terminals`.
    made = Screen(["sh", "-c", '"$@"; exit $?', "leader", *map(os.fsdecode, login(user, argv, cwd))], width, height)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def shell(user: str = "alice", cwd: Path | str | None = None, width: int = 100, height: int = 30) -> Iterator[Screen]:
    """The user's interactive shell, at its prompt."""
    words = ("env", f"PS1={_PROMPT}", "PROMPT_COMMAND=", "HISTFILE=", "bash", "--norc", "-i")
    with screen(user, *words, cwd=cwd, width=width, height=height) as made:
        made.shows(AT_PROMPT)
        yield made
