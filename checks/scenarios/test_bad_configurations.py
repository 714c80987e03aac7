"""A host configuration that is broken, odd or too large is refused by name, or copied except for what cannot be."""

from __future__ import annotations

import pytest
from support.commands import Word, as_user, inside
from support.host_configuration import document, host_file, write
from support.installed import home, isolated, state


def inventory(user: str = "alice", variant: str = "pi-probe") -> dict[str, bytes]:
    top = state(user, variant)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", ""),
        ("{", "line 1"),
        ('{\n  "a": 1,\n  b\n}', "line 3"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ('"text"', "not an object"),
        ('{"a": 1} trailing', "line 1"),
        ("{" + '"a":{' * 200 + "}" * 201, "nested"),
    ],
)
@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
def test_a_document_that_is_no_object_is_refused_by_name_and_place(name: str, content: str, place: str) -> None:
    inside('echo mine >"$PI_CODING_AGENT_DIR/mine"; echo mine >~/mine').ok()
    before = inventory()
    write(host_file(name), content)
    write(host_file("AGENTS.md"), "new meanwhile")
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert str(host_file(name)) in refused.complaint
    assert place in refused.complaint
    assert "Nothing was changed" in refused.complaint
    assert inventory() == before
    host_file(name).unlink()
    as_user("alice", "pi-probe", "x").ok()
    assert inventory().items() >= {k: v for k, v in before.items() if "mine" in k}.items()


@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
@pytest.mark.parametrize("kind", ["directory", "pipe", "unreadable", "dangling", "loop", "device"])
def test_a_document_that_is_no_readable_file_is_refused_by_name(name: str, kind: str) -> None:
    path = host_file(name)
    path.unlink(missing_ok=True)
    commands: dict[str, list[Word]] = {
        "directory": ["mkdir", path],
        "pipe": ["mkfifo", path],
        "unreadable": ["install", "-m", "000", "/dev/null", path],
        "dangling": ["ln", "-s", "nowhere", path],
        "loop": ["ln", "-s", name, path],
        "device": ["ln", "-s", "/dev/zero", path],
    }
    as_user("alice", *commands[kind]).ok()
    refused = as_user("alice", "pi-probe", "x")
    if kind == "dangling":  # as Pi itself treats it: no file
        assert refused.status == 0
        return
    assert refused.status == 65
    assert str(path) in refused.complaint


def test_a_configuration_that_is_a_file_is_refused_by_name() -> None:
    as_user("alice", "sh", "-c", "rm -r ~/.pi/agent && echo x >~/.pi/agent").ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "/home/alice/.pi/agent is not a directory" in refused.complaint
    assert "configPath" in refused.complaint


def test_a_configuration_that_cannot_be_read_is_refused_by_name() -> None:
    as_user("alice", "chmod", "000", home("alice") / ".pi/agent").ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "/home/alice/.pi/agent cannot be read" in refused.complaint


def test_no_configuration_at_all_is_fine() -> None:
    as_user("alice", "rm", "-r", home("alice") / ".pi").ok()
    assert document() == {"theme": "light"}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        ("mkfifo pipe", "pipe"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'", "socket"),
        ("ln -s /dev/zero device", "device"),
        ("ln -s self self", "self"),
        ("ln -s nowhere dangling", "dangling"),
        ("mkdir -p skills; ln -s .. skills/up", "skills/up"),
        ("mkdir -p a b; ln -s ../b a/b; ln -s ../a b/a", "a/b/a"),
        ("echo x >locked; chmod 000 locked", "locked"),
        ("mkdir shut; echo x >shut/x; chmod 000 shut", "shut"),
        ("mkfifo \"$(printf 'odd\\n\\033[31m\\377')\"", "odd\\n\\x1b[31m\\xff"),
    ],
)
def test_what_cannot_be_copied_is_named_and_the_session_starts(make: str, name: str) -> None:
    as_user("alice", "sh", "-c", make, cwd=home("alice") / ".pi/agent").ok()
    write(host_file("AGENTS.md"), "instructions")
    result = inside('cat "$PI_CODING_AGENT_DIR/AGENTS.md"').ok()
    assert result.text == "instructions"
    assert f"/home/alice/.pi/agent/{name} " in result.complaint
    assert b"\x1b" not in result.stderr


def test_a_configuration_past_the_limit_of_size_is_refused_and_nothing_is_copied() -> None:
    as_user("alice", "truncate", "--size=2G", host_file("big")).ok()
    as_user("alice", "truncate", "--size=1", host_file("small")).ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "/home/alice/.pi/agent is larger than the limit of 2 GiB" in refused.complaint
    assert not isolated("alice", "big", "pi-probe").exists()


def test_a_configuration_of_too_many_entries_is_refused() -> None:
    # Ten thousand files, each reached by twenty-one paths.
    make = "mkdir real; cd real; seq 10000 | xargs touch; cd ..; for n in $(seq 20); do ln -s real $n; done"
    as_user("alice", "sh", "-c", make, cwd=host_file("")).ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "larger than the limit of 200000 entries" in refused.complaint
