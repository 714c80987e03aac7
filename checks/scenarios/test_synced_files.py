"""The files of the configuration other than the documents: code and instructions, others, Pi's own, links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from support.commands import as_user, inside
from support.host_configuration import host_file, write
from support.installed import home, isolated, memory, state


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
    # What the host removes is removed inside too.
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


OWN = ["sessions/x.jsonl", "bin/fd", "npm/node_modules/x", "git/x/y", "crashes.json", "models-store.json"]
OWN += ["pi-debug.log", "mcp.log", "mcp.log.1", "other.lock"]


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
    target = memory("alice", "pi-probe")
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


def test_files_of_odd_names_and_encodings_are_copied() -> None:
    names = [b"\xff\xfe.txt", "ünïcödé ☃".encode(), b" ", b"line\nbreak", b"-rf", b"%h$HOME", b"a" * 255]
    top = os.fsencode(home("alice")) + b"/.pi/agent/skills"
    as_user("alice", "mkdir", "-p", top).ok()
    for name in names:
        as_user("alice", "sh", "-c", 'printf %s "$1" >"$1"', "sh", top + b"/" + name).ok()
    result = inside('ls -A --quoting-style=literal --zero "$PI_CODING_AGENT_DIR/skills"').ok()
    assert sorted(result.stdout.rstrip(b"\0").split(b"\0")) == sorted(names)
    assert result.stderr == b""


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
