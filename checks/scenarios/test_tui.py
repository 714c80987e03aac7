"""The interface of the real Pi in a real terminal, compared with the same Pi without a wrapper."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Final

import pexpect
import pytest
from support import tmux
from support.commands import as_user
from support.installed import agent, demo, home, pi_package, policy
from support.pi_screen import UNWRAPPED, started
from support.processes import processes
from support.terminals import ended, terminal, written
from support.tmux import AT_PROMPT, SANE, Screen
from support.waiting import until


@pytest.fixture(autouse=True)
def same_settings() -> None:
    """Settings that Nix makes in the wrapped Pi, and the host in the other one."""
    path = home("alice") / ".pi/agent/settings.json"
    settings = {**json.loads(path.read_text()), **policy()["settings"]}
    as_user("alice", "sh", "-c", 'cat >"$1"', "sh", path, stdin=json.dumps(settings).encode()).ok()


def plain(screen_text: str) -> list[str]:
    """The lines without the command. Pi writes ~ for its own home, which differs inside."""
    text = screen_text.replace("~/p/demo", str(demo("alice")))
    return [line.rstrip() for line in text.splitlines() if "status=" not in line]


def settled(screen: Screen, command: str) -> list[str]:
    """Pi's first screen, once it no longer changes."""
    started(screen, command)
    seen = [plain(screen.text())]

    def stays() -> bool:
        time.sleep(0.3)
        seen.append(plain(screen.text()))
        return seen[-1] == seen[-2]

    until(stays, "Pi has drawn its first screen")
    return seen[-1]


def test_the_first_screen_and_the_title_are_those_of_the_unwrapped_pi() -> None:
    with tmux.shell() as screen:
        expected = settled(screen, UNWRAPPED)
        title = screen.tells("pane_title")
        screen.press("C-d")
        screen.shows("status=0")
        assert settled(screen, "pi") == expected
        assert screen.tells("pane_title") == title
        screen.press("C-d")
        screen.shows("status=0")


# What a terminal reports about itself. Pi decides about colours, images and links by it.
TERMINALS: Final[dict[str, dict[str, str]]] = {
    "plain": {"TERM": "xterm"},
    "kitty": {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"},
    "tmux": {"TERM": "tmux-256color", "TMUX": "/tmp/none,1,0", "TERM_PROGRAM": "tmux", "COLORTERM": "truecolor"},
}
# Modes, key reporting, queries, titles and colours; not cursor movement or held-back output.
SEQUENCES: Final = re.compile(rb"\x1b\[[?>=<][0-9;]*[a-zA-Z]|\x1b\][0-9]+;[^\x07\x1b]*|\x1b\[[0-9;]*m|\x1b\[c")
HELD_BACK: Final = {b"\x1b[?2026h", b"\x1b[?2026l"}


def at_start(command: str, environment: dict[str, str]) -> list[bytes]:
    """Every such sequence before Pi's first screen is complete, once each, in order."""
    words = [f"{name}={value}" for name, value in environment.items()]
    screen: pexpect.spawn = terminal("alice", "env", *words, command)
    screen.expect_exact(b"scripted-1")
    # The last sequence at a start: Pi queries the keyboard protocol before it draws the first screen.
    found = SEQUENCES.findall(screen.before)
    screen.send(b"\x04")
    assert ended(screen) == 0
    return [each for each in dict.fromkeys(found) if each not in HELD_BACK]


@pytest.mark.parametrize("kind", TERMINALS)
def test_colours_and_protocols_are_those_of_the_unwrapped_pi(kind: str) -> None:
    expected = at_start(UNWRAPPED, TERMINALS[kind])
    assert {b"\x1b[?2004h", b"\x1b[?u"} <= set(expected)
    assert any(b"38;2;" in each for each in expected) == (kind != "plain")
    assert at_start("pi", TERMINALS[kind]) == expected


# Read by Pi's interface, but not for us to pass on.
NOT_HANDED_ON: Final = {
    "COLUMNS": "the size is the terminal's",
    "LINES": "the size is the terminal's",
    "TERMUX_VERSION": "Android",
    "SSH_CONNECTION": "SSH_TTY says as much, and not who is there",
    "SSH_CLIENT": "SSH_TTY says as much, and not who is there",
    "PI_TUI_DEBUG": "names a place to write to",
    "PI_TUI_DEBUG_REDRAW": "names a place to write to",
    "PI_TUI_WRITE_LOG": "names a place to write to",
    "DISPLAY": "there is none inside, so that Pi copies by way of the terminal",
    "HOME": "the agent has its own",
}


def test_all_that_pis_interface_reads_of_a_terminal_reaches_it() -> None:
    top = pi_package()
    read: set[str] = set()
    for path in top.glob("**/pi-tui/dist/*.js"):
        read |= set(re.findall(r"\benv\.([A-Z][A-Z0-9_]+)", path.read_text()))
    names = read - NOT_HANDED_ON.keys()
    assert {"TERM_PROGRAM", "KITTY_WINDOW_ID", "WT_SESSION"} <= names
    # setsid(1) and login shells see TERM. For the others, any value will do.
    words = [f"{name}=checks" for name in sorted(names)]
    seen = as_user("alice", "env", *words, "pi-probe", "exec", "env").ok().text.splitlines()
    assert {word.split("=")[0] for word in words} == {line.split("=")[0] for line in seen if line.endswith("=checks")}


def test_it_is_drawn_anew_for_each_new_size() -> None:
    with tmux.shell(width=100) as screen:
        started(screen)
        for width in (60, 110):
            screen.resize(width, 20)
            screen.shows(f"^─{{{width}}}$")
            text = screen.text()
            assert max(len(line) for line in text.splitlines()) <= width
        screen.press("C-d")
        screen.shows("status=0")
        screen.shows(AT_PROMPT)


def running(word: str) -> bool:
    return any(word in process.words and process.uid == agent().pw_uid for process in processes())


def answers(screen: Screen) -> bool:
    """Whether Pi accepts keys. Some of those that arrive while it leaves and resumes its interface are lost."""
    screen.press("C-u")
    screen.type("still here")
    time.sleep(0.5)
    return re.search("^still here", screen.text(), re.MULTILINE) is not None


def test_keys_do_what_they_do_in_pi() -> None:
    with tmux.shell() as screen:
        started(screen)
        screen.type("never sent")
        screen.shows("^never sent")
        screen.press("C-c")
        until(lambda: "never sent" not in screen.text(), "what was typed is gone")
        # Pi leaves its interface and waits to be continued.
        for _ in range(2):
            screen.press("C-z")
            until(lambda: answers(screen), "Pi has been continued")
            screen.press("C-u")
            until(lambda: "still here" not in screen.text(), "what was typed is gone")
        # Escape ends a turn and what it runs, but not Pi.
        screen.enter("run: sleep 4321")
        until(lambda: running("4321"), "the tool runs")
        screen.press("Escape")
        screen.shows("(?i)abort")
        until(lambda: not running("4321"), "the tool is gone")
        # Several lines are one paste, and one message.
        screen.paste("first line\nsecond line\nthird line")
        screen.shows("^third line")
        assert "echo: first" not in screen.text()
        screen.press("Enter")
        screen.shows(r"echo: first line\s+second line\s+third line")
        screen.press("C-c", "C-c")
        screen.shows("status=0")
        screen.shows(AT_PROMPT)
        assert screen.modes() == SANE


def test_brackets_around_what_is_pasted_arrive() -> None:
    with tmux.shell() as screen:
        script = "stty raw -echo; printf '\\033[?2004hgo\\r\\n'; head -c 15 | od -An -c; printf '\\033[?2004l'"
        screen.enter(f'pi-probe exec bash -c "{script}"')
        screen.shows("^ *go$")
        screen.paste("a\nb")
        screen.shows(r"033\s+\[\s+2\s+0\s+0\s+~\s+a\s+\\n\s+b\s+033\s+\[\s+2\s+0\s+1\s+~")


IMAGE: Final = base64.b64encode(bytes(range(256)) * 12)
PROTOCOLS: Final = {
    "kitty": b"\x1b_Ga=T,f=100,q=2,m=1;" + IMAGE + b"\x1b\\\x1b_Gm=0;" + IMAGE + b"\x1b\\",
    "iTerm2": b"\x1b]1337;File=inline=1;size=3072:" + IMAGE + b"\x07",
    "sixel": b"\x1bPq#0;2;0;0;0#0~~@@vv@@~~@@~~$\x1b\\",
    "link": b"\x1b]8;;https://machine.invalid/\x1b\\link\x1b]8;;\x1b\\",
}


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_images_and_links_reach_the_terminal_to_the_byte(kind: str) -> None:
    path = demo("alice") / "image"
    as_user("alice", "sh", "-c", 'cat >"$1"', "sh", path, stdin=PROTOCOLS[kind]).ok()
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", 'stty -echo; cat "$1"; read -r', "bash", path)
    screen.expect_exact(PROTOCOLS[kind])
    assert screen.before == b""
    screen.send(b"\n")
    assert ended(screen) == 0
    # Since version 258 or so, systemd-run ends a last line that has no end.
    assert written(screen) in (b"", b"\r\n")
