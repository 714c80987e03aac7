"""The main use case: the real Pi, prompted by a person, has its model use a tool on that person's project."""

from __future__ import annotations

import os
import stat

from support.commands import inside, pi
from support.installed import agent, demo, home, isolated, owner, policy, state


def test_what_the_bash_tool_writes_belongs_to_alice_and_was_written_by_the_agent() -> None:
    turn = pi("run: id -u >made; umask >>made; mkdir -p deep/er; echo x >deep/er/file").ok()
    assert "done:" in turn.text
    made = demo("alice") / "made"
    alice = demo("alice").stat()
    for path in (made, demo("alice") / "deep", demo("alice") / "deep/er", demo("alice") / "deep/er/file"):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (alice.st_uid, alice.st_gid), path
    assert made.read_text().split() == [str(agent().pw_uid), "0022"]
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
    assert made.stat().st_uid != agent().pw_uid


def test_the_bash_tool_reads_the_project_and_not_what_is_private_to_its_owner() -> None:
    look = "run: cat README; ls -d ~alice/.ssh ~alice/.pi ~alice/.gitconfig /home/bob; ls -A /home/alice /home"
    answer = pi(look).ok().text
    assert "A project of alice." in answer
    for path in ("/home/alice/.ssh", "/home/alice/.pi", "/home/alice/.gitconfig", "/home/bob"):
        assert f"{path}': No such file or directory" in answer
        assert os.path.exists(path)
    assert "the secret of alice" not in answer
    # The allowed root is the only name on the way to it.
    listed = answer[answer.rindex("/home:") :].split()[1:]
    assert listed[:1] == ["alice"]
    assert "bob" not in listed


def test_the_secret_of_the_owner_is_found_nowhere_inside() -> None:
    search = "run: grep -rsl 'the secret of' /home /root /run /var /tmp /etc /dev/shm; echo searched"
    answer = pi(search).ok().text
    assert "searched" in answer
    assert "/.ssh/" not in answer
    assert "the secret of alice" in (home("alice") / ".ssh/id_ed25519").read_text()


def test_bobs_agent_sees_nothing_of_alice() -> None:
    pi("run: echo remembered >~/note; echo alice >made").ok()
    assert (state("alice") / "note").read_text() == "remembered\n"
    answer = pi(
        "run: cat README; ls -A ~; cat ~/note; ls -d /home/alice; ls ~/.pi/agent/sessions; ls -d /var/lib/*/users",
        user="bob",
    )
    assert "A project of bob." in answer.ok().text
    assert "note: No such file or directory" in answer.text
    assert "/home/alice': No such file or directory" in answer.text
    assert "users': No such file or directory" in answer.text
    assert "alice--" not in answer.text
    # Conversely, bob's turn left alice's tree unchanged.
    assert (state("alice") / "note").exists()
    assert not (state("bob") / "note").exists()


def test_transcripts_are_in_the_users_own_tree_and_nowhere_else() -> None:
    pi("a word that only alice says").ok()
    pi("a word that only bob says", user="bob").ok()
    for user, other in (("alice", "bob"), ("bob", "alice")):
        written = b"".join(path.read_bytes() for path in isolated(user, "sessions").rglob("*.jsonl"))
        assert f"only {user} says".encode() in written
        assert f"only {other} says".encode() not in written
    top = state("alice").parents[1]
    elsewhere = [path for path in top.rglob("*.jsonl") if top / "users" not in path.parents]
    assert elsewhere == []
    assert not list((home("alice") / ".pi").rglob("*.jsonl"))


def test_no_other_person_can_read_the_isolated_state() -> None:
    pi("hello").ok()
    status = state("alice").parents[1].stat()
    assert stat.S_IMODE(status.st_mode) == 0o750
    assert status.st_uid == owner().pw_uid
    assert status.st_gid == owner().pw_gid


def test_a_choice_of_model_works_from_the_command_line() -> None:
    answer = pi("hello", "--provider", "scripted", "--model", "scripted-1").ok()
    assert answer.text == "echo: hello"


def test_pis_home_is_the_state_directory_at_its_documented_path() -> None:
    documented = policy("pi-probe")["stateDir"]
    seen = inside('echo "$HOME"; echo "$PI_CODING_AGENT_DIR"; test -O "$HOME" && test -w "$HOME" && pwd').ok()
    assert seen.text.splitlines() == [documented, f"{documented}/.pi/agent", str(demo("alice"))]
