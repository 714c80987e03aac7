"""Names of any bytes, as directory, file, argument and value: they work, or are refused with a harmless sentence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.commands import as_user, on_machine, probe
from support.hostile import EACH_NAME, NAMES, call, harmless, script, told
from support.installed import Json, demo, home, isolated, owner
from support.leftovers import assert_clean
from support.sudo import NOT_TEXT


def nested(top: Path, names: Sequence[bytes]) -> str:
    """A prelude that makes nested directories, deeper than a path can express, and ends in the last one."""
    steps = f"os.chdir({os.fspath(top)!r})\nfor name in {list(names)!r}:\n    os.path.isdir(name) or os.mkdir(name)\n"
    return steps + "    os.chdir(name)\n"


@pytest.mark.parametrize("name", EACH_NAME)
def test_any_name_can_be_a_directory_a_file_an_argument_and_a_value(name: bytes) -> None:
    """One launch in a directory of that name, with a file of that name in project, configuration and git."""
    top = os.fsencode(demo("alice"))
    configured = os.fsencode(home("alice") / ".pi/agent/skills")
    make = (
        'mkdir -p -- "$1/$2" "$1/.git/modules/$2/hooks" "$1/.git/modules/$2/objects" "$1/.git/modules/$2/refs" "$3" &&'
        'touch -- "$1/.git/modules/$2/HEAD" && printf %s "$2" | tee -- "$1/$2/$2" >"$3/$2"'
    )
    as_user("alice", "sh", "-c", make, "sh", top, name, configured).ok()
    look = 'pwd; cat -- "./$1" "$PI_CODING_AGENT_DIR/skills/$1"; printf %s "$1"; touch "../.git/modules/$1/hooks/x"'
    result = script(
        f"os.environb[b'TERM'] = os.environb[b'LANG'] = {name!r}", look, name, cwd=os.fsdecode(top + b"/" + name)
    )
    assert result.stdout == top + b"/" + name + b"\n" + name * 3
    assert result.status == 1  # the last thing it tried is protected
    assert "Read-only file system" in result.complaint


@pytest.mark.parametrize("name", EACH_NAME)
def test_any_name_outside_a_root_is_refused_by_a_harmless_sentence(name: bytes) -> None:
    place = os.fsencode(home("alice") / "outside") + b"/" + name
    as_user("alice", "mkdir", "-p", "--", place).ok()
    told(call("", name, cwd=os.fsdecode(place)), "is not inside an allowed project root", "/home/alice/outside/")


@pytest.mark.parametrize("name", EACH_NAME)
def test_any_name_that_cannot_be_copied_is_told_by_a_harmless_sentence(name: bytes) -> None:
    place = os.fsencode(home("alice") / ".pi/agent") + b"/" + name
    as_user("alice", "mkfifo", "--", place).ok()
    result = call("", "x").ok()
    harmless(result)
    assert "was left out: it is a pipe, socket or device" in result.complaint


def test_a_value_of_any_bytes_but_control_characters_arrives_from_an_env_file() -> None:
    values = [name.decode("utf-8", "replace") for name in NAMES]
    plain = {f"V{number}": value for number, value in enumerate(values) if value.isprintable() or "\u202e" in value}
    assert len(plain) > 8
    quoted = "".join(
        f'{name}="' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`") + '"\n'
        for name, value in plain.items()
    )
    as_user("alice", "sh", "-c", "cat >~/.pi/agent/.env", stdin=quoted.encode()).ok()
    seen: Json = probe("x")["env"]
    assert {name: seen.get(name) for name in plain} == plain


def test_a_path_is_served_as_long_as_the_kernel_can_say_it_and_refused_beyond() -> None:
    top = demo("alice")
    try:
        inside = script(nested(top, [b"b" * 254] * 15), "pwd").ok().text
        assert inside == f"{top}/" + "/".join(["b" * 254] * 15)
        told(call(nested(top, [b"b" * 254] * 16), "x"), "was removed or renamed, or cannot be reached")
    finally:
        on_machine("rm", "-rf", f"{top}/{'b' * 254}").ok()


@NOT_TEXT
def test_arguments_up_to_the_kernels_limit_arrive_and_its_own_word_is_passed_on() -> None:
    # One argument may have 128 KiB, including its NUL (execve(2), MAX_ARG_STRLEN).
    assert script("", 'printf %s "$1" | wc -c', b"a" * (128 * 1024 - 1)).ok().text == str(128 * 1024 - 1)
    assert script("", "echo $#", *[b"\xff%h"] * 5000).ok().text == "5000"
    assert script("", 'printf %s "$1" | wc -c', b"").ok().text == "0"


def test_what_all_this_left_is_nothing(tmp_path: Path) -> None:
    """A launch refused late, one killed early and one that works leave no unit, mount, file or process."""
    (home("alice") / ".pi/agent/settings.json").write_text("[")
    assert call("", "x").status == 65
    assert_clean()
    (home("alice") / ".pi/agent/settings.json").write_text("{}")
    call("", "x").ok()
    assert_clean()
    assert isolated("alice", "settings.json", "pi-probe").stat().st_uid == owner("pi-probe").pw_uid
