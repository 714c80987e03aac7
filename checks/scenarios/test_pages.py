"""Tab completion in real shells, and the manual page in man(1), as the module installs them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pexpect
import pytest
from support.commands import as_user, on_machine
from support.installed import home
from support.waiting import PATIENCE

from pi_agent.cli import command_table, installed_pages
from pi_agent.cli.command_table import Argument, Command

_SYSTEM: Final = Path("/run/current-system/sw/share")
_SHELLS: Final = ("bash", "zsh", "fish")
_NAMES: Final = [command.name for command in command_table.COMMANDS]
# Has every feature of a command. `sandbox` is a command of its own, so that no installed one is loaded.
_MANY: Final = Command(
    "--sandbox-many",
    "it's [a]: «b»",
    (Argument("--json", "it's [a]: «b»"), Argument("SESSION", "x"), Argument("DIR", "y")),
)
_BEGIN: Final[Mapping[str, str]] = {
    # The same file, at Debian's path and at that of NixOS.
    "bash": "for f in /usr/share/bash-completion/bash_completion {share}/bash-completion/bash_completion; do "
    "[ -e $f ] && . $f; done; PS1='rea''dy> '; bind 'set enable-bracketed-paste off'; ",
    "zsh": "fpath=({share}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D; PS1='rea''dy> '; ",
}
_ARGV: Final[Mapping[str, list[str]]] = {"bash": ["bash", "--norc", "--noprofile"], "zsh": ["zsh", "-f"]}


def _environment(share: Path, place: Path) -> dict[str, str]:
    dirs = ":".join([str(share), "/usr/local/share", "/usr/share"])
    return {"PATH": os.environ["PATH"], "HOME": str(place), "XDG_DATA_DIRS": dirs, "LANG": "C.UTF-8", "TERM": "dumb"}


def _completed(shell: str, line: str, place: Path, share: Path = _SYSTEM) -> str:
    """The arguments on the line, in brackets, after somebody types it in the directory and presses tab."""
    env = _environment(share, place)
    program, *words = line.split(" ")
    if shell == "fish":
        # It completes only existing files, and also offers names that merely contain the letters.
        script = f"function {program}; end; complete -C $argv[1]"
        offered = on_machine("env", "-C", place, "fish", "-c", script, line, env=env).ok().text.splitlines()
        likely = [entry for entry in (found.partition("\t")[0] for found in offered) if entry.startswith(words[-1])]
        if len(likely) == 1:
            words[-1] = likely[0]
        return "".join(f"<{word.rstrip('/')}>" for word in words)
    screen = pexpect.spawn(
        _ARGV[shell][0],
        _ARGV[shell][1:],
        env=env,
        cwd=str(place),
        timeout=PATIENCE,
        encoding="utf-8",
        dimensions=(50, 200),
    )
    screen.sendline(
        _BEGIN[shell].format(share=share) + f"{program}() {{ printf 'g''ot:'; printf '<%s>' \"$@\"; echo :end; }}"
    )
    screen.expect("ready> ")
    screen.send(f"{line}\t\r")
    screen.expect(r"got:(.*?):end")
    assert screen.match is not None
    found = str(screen.match.group(1))
    screen.close(force=True)
    # Shells differ in whether a directory's slash stays.
    return found.replace("/>", ">")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a file and a directory in it."""
    (tmp_path / "some-file").touch()
    (tmp_path / "some-dir").mkdir()
    return tmp_path


@pytest.mark.parametrize("shell", _SHELLS)
def test_every_command_can_be_completed_and_so_can_its_flags(shell: str, place: Path) -> None:
    for command in command_table.COMMANDS:
        others = [name for name in _NAMES if name != command.name]
        shortest = next(
            command.name[:end]
            for end in range(len("--sandbox-"), len(command.name) + 1)
            if not any(name.startswith(command.name[:end]) for name in others)
        )
        assert _completed(shell, f"pi {shortest}", place) == f"<{command.name}>"
        if command.before_pi:  # the rest belongs to Pi
            assert _completed(shell, f"pi {command.name} some-f", place) == f"<{command.name}><some-file>"
            continue
        for flag in [argument.name for argument in command.arguments if not argument.positional] + ["--help"]:
            typed = f"pi {command.name} {flag[:-1]}"
            assert _completed(shell, typed, place) == f"<{command.name}><{flag}>"


@pytest.mark.parametrize("shell", _SHELLS)
def test_what_is_pis_own_is_completed_by_files_as_ever(shell: str, place: Path) -> None:
    assert _completed(shell, "pi some-f", place) == "<some-file>"
    assert _completed(shell, "pi -p some-d", place) == "<-p><some-dir>"
    # A command counts only if it comes first.
    assert _completed(shell, "pi -p --sandbox-sh", place) == "<-p><--sandbox-sh>"


@pytest.mark.parametrize("shell", _SHELLS)
def test_a_directory_is_completed_by_directories_and_what_has_no_names_by_nothing(
    shell: str, place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_table, "COMMANDS", (*command_table.COMMANDS, _MANY))
    other = tmp_path_factory.mktemp("pages")
    installed_pages.main(["box", str(other)])
    share = other / "share"
    assert _completed(shell, "box --sandbox-many some-d", place, share) == "<--sandbox-many><some-d>"
    assert _completed(shell, "box --sandbox-many x some-d", place, share) == "<--sandbox-many><x><some-dir>"
    assert _completed(shell, "box --sandbox-many x some-f", place, share) == "<--sandbox-many><x><some-f>"
    assert _completed(shell, "box --sandbox-many --js", place, share) == "<--sandbox-many><--json>"


def test_fish_lists_all_with_what_they_do(place: Path) -> None:
    env = _environment(_SYSTEM, place)
    shown = on_machine("fish", "-c", "complete -C 'pi --sandbox-'", env=env).ok().text.splitlines()
    assert sorted(shown) == sorted(f"{command.name}\t{command.summary}" for command in command_table.COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_others_list_all_where_there_is_a_choice(shell: str, place: Path) -> None:
    screen = pexpect.spawn(
        _ARGV[shell][0],
        _ARGV[shell][1:],
        env=_environment(_SYSTEM, place),
        cwd=str(place),
        timeout=PATIENCE,
        encoding="utf-8",
        dimensions=(50, 200),
    )
    screen.sendline(_BEGIN[shell].format(share=_SYSTEM))
    screen.expect("ready> ")
    screen.send("pi --sandbox-\t\t")
    missing = sorted(_NAMES)
    while missing:  # in columns, not in order
        missing.pop(screen.expect_exact(missing))
    screen.close(force=True)


def test_the_manual_page_is_found_and_has_no_warnings() -> None:
    page = _SYSTEM / "man/man1/pi-sandbox.1"
    shown = as_user("alice", "env", "MANWIDTH=100", "man", "--warnings", "-l", page, cwd=home("alice")).ok()
    assert shown.complaint == ""
    text = re.sub(".\b", "", shown.text)
    for command in command_table.COMMANDS:
        assert f"pi {command.name}" in text
    assert (_SYSTEM / "doc/pi-agent/options.md").read_text(encoding="utf-8").startswith("# Options")
    by_name = as_user("alice", "env", f"MANPATH={_SYSTEM}/man", "man", "-w", "pi-sandbox", cwd=home("alice")).ok().text
    assert by_name.endswith("pi-sandbox.1")


@pytest.mark.parametrize("command", ["pi", "pi-probe"])
def test_what_is_installed_was_made_from_the_table(command: str) -> None:
    for name, text in installed_pages.pages(command).items():
        assert (_SYSTEM.parent / name).read_text(encoding="utf-8") == text
