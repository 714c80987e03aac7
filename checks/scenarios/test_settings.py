"""Configuration: what the host user has, what Pi chose inside and what Nix says, as a running Pi finds it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from scenarios.guest import Json, Word, agent, as_user, asked_of_the_model, home, inside, isolated, pi, state

CODE = {
    "packages": ["npm:evil"],
    "extensions": ["/var/lib/pi-probe/evil.ts"],
    "skills": ["/tmp/skill"],
    "prompts": ["/tmp/prompt"],
    "themes": ["/tmp/theme"],
    "npmCommand": ["/tmp/npm"],
    "shellPath": "/tmp/shell",
    "shellCommandPrefix": "evil;",
}


def write(path: Path, content: Json | str, user: str = "alice") -> None:
    """A file of the user's own."""
    text = content if isinstance(content, str) else json.dumps(content)
    as_user(user, "sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, stdin=text.encode()).ok()


def host_file(name: str, user: str = "alice") -> Path:
    return home(user) / ".pi/agent" / name


def document(name: str = "settings.json", command: str = "pi-probe", user: str = "alice") -> Json:
    """What a program inside reads."""
    text = inside('cat "$PI_CODING_AGENT_DIR/$1"', name, command=command, user=user).ok().stdout
    value: Json = json.loads(text)
    return value


def choose(change: str, name: str = "settings.json", command: str = "pi-probe") -> None:
    """Change a document inside, as Pi does: `s` is the object."""
    script = (
        "import json, os, sys\n"
        f"path = os.environ['PI_CODING_AGENT_DIR'] + '/{name}'\n"
        "s = json.load(open(path)) if os.path.exists(path) else {}\n"
        f"{change}\n"
        "json.dump(s, open(path, 'w'))\n"
    )
    inside('python3 -c "$1"', script, command=command).ok()


def test_the_hosts_settings_are_there_and_nix_wins_over_them() -> None:
    write(host_file("settings.json"), {"theme": "of the host", "quietStartup": True, "terminal": {"a": 1}})
    assert document() == {"theme": "light", "quietStartup": True, "terminal": {"a": 1}}


def test_nix_overrides_object_by_object_and_value_by_value() -> None:
    write(host_file("settings.json"), {"terminal": {"showImages": True, "clearOnShrink": True}, "theme": {"x": 1}})
    merged = {"showImages": False, "clearOnShrink": True}
    assert document(command="pi-settings") == {"terminal": merged, "theme": "dark"}
    # The same for a choice made inside.
    choose("s['terminal'] = {'showImages': True, 'mine': 1}; s['theme'] = 'mine'", command="pi-settings")
    assert document(command="pi-settings") == {"terminal": {"showImages": False, "mine": 1}, "theme": "dark"}


def test_what_nix_says_applies_without_any_host_settings() -> None:
    host_file("settings.json").unlink()
    assert document() == {"theme": "light"}


def test_a_choice_made_inside_stands_until_the_host_says_something_new() -> None:
    write(host_file("settings.json"), {"defaultModel": "host-1", "other": 1})
    assert document()["defaultModel"] == "host-1"
    choose("s['defaultModel'] = 'inside'; s['added'] = [1]")
    for _ in range(2):
        assert document() == {"defaultModel": "inside", "other": 1, "added": [1], "theme": "light"}
    # Something new elsewhere is no reason to give it up.
    write(host_file("settings.json"), {"defaultModel": "host-1", "other": 2})
    assert document() == {"defaultModel": "inside", "other": 2, "added": [1], "theme": "light"}
    write(host_file("settings.json"), {"defaultModel": "host-2", "other": 2})
    assert document() == {"defaultModel": "host-2", "other": 2, "added": [1], "theme": "light"}
    # And a new choice wins again.
    choose("s['defaultModel'] = 'inside-2'")
    assert document()["defaultModel"] == "inside-2"
    # The host's own file is never written.
    assert json.loads(host_file("settings.json").read_text()) == {"defaultModel": "host-2", "other": 2}


def test_what_is_removed_on_either_side_stays_removed() -> None:
    write(host_file("settings.json"), {"a": 1, "b": 2, "c": {"x": 1, "y": 2}})
    document()
    choose("del s['a']; del s['c']['x']")
    assert document() == {"b": 2, "c": {"y": 2}, "theme": "light"}
    write(host_file("settings.json"), {"a": 1, "c": {"x": 1, "y": 2}})
    assert document() == {"c": {"y": 2}, "theme": "light"}


def test_code_never_comes_from_inside_and_does_from_the_host() -> None:
    choose(f"s.update({CODE!r})")
    assert not CODE.keys() & document().keys()
    from_host = {"packages": ["npm:good"], "shellPath": "/bin/bash"}
    write(host_file("settings.json"), from_host)
    assert {key: value for key, value in document().items() if key in CODE} == from_host
    choose(f"s.update({CODE!r})")
    assert {key: value for key, value in document().items() if key in CODE} == from_host
    choose("del s['packages']; s['shellPath'] += 'x'")
    assert {key: value for key, value in document().items() if key in CODE} == from_host


def test_settings_that_the_agent_broke_are_put_right_and_the_session_starts() -> None:
    write(host_file("settings.json"), {"a": 1})
    breaks = (
        'echo "{" >"$1"',
        'echo "[]" >"$1"',
        'rm -f "$1"; ln -s /etc/passwd "$1"',
        'rm -f "$1"; mkdir "$1"; touch "$1/x"',
        'rm -rf "$1"; mkfifo "$1"',
        'rm -f "$1"',
    )
    for broken in breaks:
        document()
        inside(f'set -- "$PI_CODING_AGENT_DIR/settings.json"; {broken}').ok()
        assert document() == {"a": 1, "theme": "light"}, broken
    status = isolated("alice", "settings.json", "pi-probe").lstat()
    assert stat.S_ISREG(status.st_mode)


def test_logins_merge_by_provider_in_both_directions() -> None:
    write(host_file("auth.json"), {"one": {"type": "oauth", "refresh": "h1"}, "two": {"type": "api_key", "key": "h2"}})
    assert document("auth.json") == {
        "one": {"type": "oauth", "refresh": "h1"},
        "two": {"type": "api_key", "key": "h2"},
    }
    # A refresh inside replaces the whole entry, a login adds one.
    choose("s['one'] = {'type': 'oauth', 'access': 'i1'}; s['three'] = {'key': 'i3'}", "auth.json")
    expected = {
        "one": {"type": "oauth", "access": "i1"},
        "two": {"type": "api_key", "key": "h2"},
        "three": {"key": "i3"},
    }
    assert document("auth.json") == expected
    write(host_file("auth.json"), {"one": {"type": "oauth", "refresh": "h9"}, "two": {"type": "api_key", "key": "h2"}})
    assert document("auth.json") == {**expected, "one": {"type": "oauth", "refresh": "h9"}}


def test_secrets_of_logins_are_for_the_agent_alone() -> None:
    write(host_file("auth.json"), {"one": {"key": "x"}})
    document()
    status = isolated("alice", "auth.json", "pi-probe").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (agent("pi-probe").pw_uid, 0o600)
    assert "auth.json" not in inside('ls "$PI_CODING_AGENT_DIR"', user="bob").ok().text.split()


def test_the_real_pi_uses_the_login_and_the_model_it_was_given() -> None:
    write(host_file("auth.json"), {"scripted": {"type": "api_key", "key": "of-the-host"}})
    pi("which key").ok()
    log = asked_of_the_model()
    assert "authorization='Bearer of-the-host' 'which key'" in log


def test_a_choice_that_the_real_pi_makes_survives() -> None:
    pi("hello").ok()
    before = json.loads(isolated("alice", "settings.json").read_text())
    assert before["defaultModel"] == "scripted-1"
    assert before["theme"] == "light"
    pi("hello").ok()
    after = json.loads(isolated("alice", "settings.json").read_text())
    assert after == before


# -- the other files


def test_directories_of_code_and_instructions_are_exactly_what_the_host_has() -> None:
    write(host_file("extensions/good/index.ts"), "good")
    write(host_file("skills/one/SKILL.md"), "one")
    write(host_file("AGENTS.md"), "instructions")
    write(host_file("keybindings.json"), "{}")
    inside("true").ok()
    plant = (
        'cd "$PI_CODING_AGENT_DIR"; mkdir -p prompts themes/x extensions/good/sub; echo evil >extensions/evil.ts;'
        "echo evil >extensions/good/index.ts; echo evil >extensions/good/sub/x; echo evil >prompts/p.md;"
        "echo evil >themes/x/t.json; echo evil >SYSTEM.md; echo evil >>AGENTS.md; echo evil >APPEND_SYSTEM.md;"
        "rm -r skills; ln -s /tmp skills; ln -s x CLAUDE.md; echo evil >keybindings.json"
    )
    inside(plant).ok()
    seen = inside('cd "$PI_CODING_AGENT_DIR"; grep -rl evil . ; find . -type l; cat extensions/good/index.ts AGENTS.md')
    assert seen.ok().text == "goodinstructions"
    listed = inside('cd "$PI_CODING_AGENT_DIR"; find extensions skills prompts themes *.md -type f').text.split()
    assert sorted(listed) == ["AGENTS.md", "extensions/good/index.ts", "skills/one/SKILL.md"]
    # What the host gives up is gone too.
    as_user("alice", "rm", "-r", host_file("extensions"), host_file("AGENTS.md")).ok()
    listed = inside('cd "$PI_CODING_AGENT_DIR"; find extensions skills *.md -type f').text.split()
    assert listed == ["skills/one/SKILL.md"]


def test_other_files_follow_the_host_and_what_the_agent_added_there_stays() -> None:
    write(host_file("notes/one.txt"), "one")
    inside('echo mine >"$PI_CODING_AGENT_DIR/notes/mine.txt"').ok()
    write(host_file("notes/one.txt"), "two")
    seen = inside('cd "$PI_CODING_AGENT_DIR/notes"; cat one.txt mine.txt').ok()
    assert seen.text == "twomine"
    as_user("alice", "rm", "-r", host_file("notes")).ok()
    assert inside('cd "$PI_CODING_AGENT_DIR/notes"; ls').ok().text == "mine.txt"


OWN = ["sessions/x.jsonl", "bin/fd", "npm/node_modules/x", "git/x/y", "trust.json", "models-store.json"]
OWN += ["pi-debug.log", "pi-crash.log", "other.lock"]


def test_what_pi_owns_at_run_time_is_neither_copied_nor_removed() -> None:
    for name in OWN:
        write(host_file(name), "of the host")
    inside("true").ok()
    for name in OWN:
        assert not isolated("alice", name, "pi-probe").exists(), name
        inside('cd "$PI_CODING_AGENT_DIR"; mkdir -p "$(dirname "$1")"; echo "of Pi" >"$1"', name).ok()
    inside("true").ok()
    for name in OWN:
        assert isolated("alice", name, "pi-probe").read_text() == "of Pi\n", name
        assert host_file(name).read_text() == "of the host"


def test_links_on_the_host_are_followed_as_pi_would() -> None:
    write(home("alice") / "dotfiles/AGENTS.md", "from dotfiles")
    write(home("alice") / "dotfiles/skills/one/SKILL.md", "a skill")
    as_user("alice", "ln", "-s", home("alice") / "dotfiles/AGENTS.md", host_file("AGENTS.md")).ok()
    as_user("alice", "ln", "-s", "../../dotfiles/skills", host_file("skills")).ok()
    seen = inside('cd "$PI_CODING_AGENT_DIR"; cat AGENTS.md skills/one/SKILL.md; find . -type l').ok()
    assert seen.text == "from dotfilesa skill"


def test_a_link_that_stands_in_a_project_root_leads_only_into_that_root() -> None:
    inner = home("alice") / "p/demo/config"
    write(inner / "AGENTS.md", "in the project")
    as_user("alice", "rm", "-rf", home("alice") / ".pi/agent").ok()
    as_user("alice", "ln", "-s", inner, home("alice") / ".pi/agent").ok()
    (inner / "leak.md").symlink_to(home("alice") / ".ssh/id_ed25519")
    (inner / "fine.md").symlink_to("AGENTS.md")
    result = inside('cd "$PI_CODING_AGENT_DIR"; cat AGENTS.md fine.md; cat leak.md 2>/dev/null; true').ok()
    assert result.text == "in the projectin the project"
    assert "leak.md was left out" in result.complaint


def test_a_file_that_alice_may_not_read_is_not_read_for_her() -> None:
    leak = host_file("leak.md")
    leak.symlink_to("/etc/shadow")
    other = host_file("other.md")
    other.symlink_to(home("bob") / ".ssh/id_ed25519")
    result = inside('cd "$PI_CODING_AGENT_DIR"; cat leak.md other.md', command="pi-probe")
    assert result.status != 0
    assert result.stdout == b""
    assert "leak.md" in result.complaint
    assert "other.md" in result.complaint
    assert not isolated("alice", "leak.md", "pi-probe").exists()


def test_nothing_is_written_through_a_link_that_the_agent_left() -> None:
    target = Path("/var/lib/pi-probe/sync/alice")
    inside(f'cd "$PI_CODING_AGENT_DIR"; rm -rf skills; ln -s {target} skills; ln -s /etc extensions').ok()
    write(host_file("skills/planted.md"), "x")
    write(host_file("extensions/planted.md"), "x")
    inside('test -f "$PI_CODING_AGENT_DIR/skills/planted.md"').ok()
    assert not (target / "planted.md").exists()
    assert not Path("/etc/planted.md").exists()


def test_an_agent_that_replaced_its_whole_directory_gets_a_new_one() -> None:
    write(host_file("AGENTS.md"), "instructions")
    inside("true").ok()
    inside("rm -rf ~/.pi; ln -s /tmp ~/.pi").ok()
    assert inside('cat "$PI_CODING_AGENT_DIR/AGENTS.md"').ok().text == "instructions"
    assert (state("alice", "pi-probe") / ".pi").is_dir()
    assert not (state("alice", "pi-probe") / ".pi").is_symlink()


def test_executables_stay_executable_and_nothing_more() -> None:
    write(host_file("skills/x/run.sh"), "#!/bin/sh\n")
    as_user("alice", "chmod", "4755", host_file("skills/x/run.sh")).ok()
    inside('test -x "$PI_CODING_AGENT_DIR/skills/x/run.sh"').ok()
    mode = stat.S_IMODE(isolated("alice", "skills/x/run.sh", "pi-probe").stat().st_mode)
    assert mode == 0o700


# -- bad input


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
    if kind == "dangling":  # as Pi itself has it: no file there
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


def test_files_of_odd_names_and_encodings_are_copied() -> None:
    names = [b"\xff\xfe.txt", "ünïcödé ☃".encode(), b" ", b"line\nbreak", b"-rf", b"%h$HOME", b"a" * 255]
    top = os.fsencode(home("alice")) + b"/.pi/agent/skills"
    as_user("alice", "mkdir", "-p", top).ok()
    for name in names:
        as_user("alice", "sh", "-c", 'printf %s "$1" >"$1"', "sh", top + b"/" + name).ok()
    result = inside('ls -A --quoting-style=literal --zero "$PI_CODING_AGENT_DIR/skills"').ok()
    assert sorted(result.stdout.rstrip(b"\0").split(b"\0")) == sorted(names)
    assert result.stderr == b""


def test_a_configuration_past_the_limit_of_size_is_refused_and_nothing_is_copied() -> None:
    as_user("alice", "truncate", "--size=2G", host_file("big")).ok()
    as_user("alice", "truncate", "--size=1", host_file("small")).ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "/home/alice/.pi/agent is larger than the limit of 2 GiB" in refused.complaint
    assert not isolated("alice", "big", "pi-probe").exists()


def test_a_configuration_of_too_many_entries_is_refused() -> None:
    # Ten thousand files, each found by twenty-one ways.
    make = "mkdir real; cd real; seq 10000 | xargs touch; cd ..; for n in $(seq 20); do ln -s real $n; done"
    as_user("alice", "sh", "-c", make, cwd=host_file("")).ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "larger than the limit of 200000 entries" in refused.complaint


def test_starts_at_the_same_time_do_not_spoil_each_other() -> None:
    for number in range(50):
        write(host_file(f"skills/{number}/SKILL.md"), "x" * 1000)
    script = (
        "for i in 1 2 3 4; do pi-probe exec sh -c 'cat ~/.pi/agent/settings.json ~/.pi/agent/skills/*/SKILL.md"
        " | wc -c' & done; wait"
    )
    counts = as_user("alice", "bash", "-c", script).ok().text.split()
    assert len(counts) == 4
    assert len(set(counts)) == 1
    assert int(counts[0]) > 50_000
