"""`pi --sandbox-explain` shows what a launch does, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user, inside, on_machine, probe
from support.installed import FACTS, SECRETS, Json, demo, home, policy, state
from support.leftovers import leftovers
from support.processes import ours
from support.repositories import fortress, on_host
from support.sessions import IDLE, session
from support.unchanged import everything

__all__ = ["fortress"]

SENTINEL: Final = "hunter2-must-not-be-told"
# The random number of a session.
_NUMBER: Final = re.compile(r"(pi-agent-alice-)[0-9a-f]{16}")


def explained(command: str = "pi-probe", user: str = "alice", cwd: Path | str | None = None, status: int = 0) -> Json:
    """The command's output as JSON. Its exit status must be the one in the output, and status."""
    told = as_user(user, command, "--sandbox-explain", "--json", cwd=cwd)
    assert told.status == status, told.complaint + told.text
    value: Json = json.loads(told.stdout)
    assert value["status"] == status and value["allowed"] is (status == 0)
    assert told.stderr == b""
    return value


# -- it changes nothing


@pytest.mark.parametrize("words", [[], ["--json"]])
@pytest.mark.parametrize("cwd", ["p/demo", "."])
def test_nothing_changes_where_there_is_no_state_yet(words: list[str], cwd: str, fortress: Path) -> None:
    on_machine("rm", "-rf", state("alice", "pi-probe")).ok()
    before = everything()
    told = as_user("alice", "pi-probe", "--sandbox-explain", *words, cwd=home("alice") / cwd)
    assert told.status == (0 if cwd == "p/demo" else 77)
    assert everything() == before
    assert leftovers() == []
    if cwd == "p/demo":
        assert "users/alice/.npm" in told.text and "sync/alice" in told.text


def test_nothing_changes_where_there_is_much_to_do(fortress: Path) -> None:
    inside("mkdir -p ~/.pi/agent/skills/evil; echo '{' >~/.pi/agent/settings.json; chmod 0 ~/.pi/agent/skills").ok()
    on_host("mkdir -p ~/.pi/agent/skills/new; echo x >~/.pi/agent/skills/new/SKILL.md; echo A=1 >~/.pi/agent/.env")
    before = everything()
    found = explained()
    assert everything() == before
    assert found["configuration"]["documents"]["settings.json"]["unreadable"]
    assert "skills/new/SKILL.md" in found["configuration"]["files"]["copy"]["first"]
    assert "users/alice/.pi/.env" in found["state"]["write"]
    assert as_user("alice", "pi-probe", "--sandbox-explain").ok().text.count("\n") > 20
    assert everything() == before
    # The launch does what was shown. Afterwards, nothing is left to show.
    inside("cat ~/.pi/agent/skills/new/SKILL.md ~/.pi/agent/settings.json").ok()
    found = explained()
    assert found["state"]["make"] == found["state"]["write"] == []
    assert all(not what["count"] for what in found["configuration"]["files"].values())
    for document in found["configuration"]["documents"].values():
        assert document == {"set": [], "remove": [], "unreadable": None}


# -- what it tells is what a launch does


def test_the_units_properties_are_those_that_a_session_is_started_with() -> None:
    for command in ("pi-probe", "pi-offline", "pi-paths", "pi-limits", "pi-group"):
        told = explained(command)
        with session("alice", command, *IDLE) as running:
            [words] = [process.words for process in ours()["systemd-run"]]
            given = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]
            assert [_NUMBER.sub(r"\1ID", each) for each in given] == told["unit"]["properties"], command
            assert _NUMBER.sub(r"\1ID", running.unit) == told["unit"]["name"]
            assert f"--slice={told['unit']['slice']}" in words


def test_what_it_calls_protected_or_hidden_is_so_inside_and_nothing_else_is(fortress: Path) -> None:
    on_host("mkdir -p ~/.ssh; echo key >~/.ssh/id; echo x >.envrc; ln -s .envrc direnv")
    for command, cwd in (("pi-probe", fortress), ("pi-probe", fortress / "inner"), ("pi-home", home("alice"))):
        told = explained(command, cwd=cwd)
        mounted = inside("cut -d' ' -f5,6 /proc/self/mountinfo", command=command, cwd=cwd).ok().text.splitlines()
        below = f"{told['root']}/"
        options = {path: set(rest.split(",")) for path, rest in (line.rsplit(" ", 1) for line in mounted)}
        read_only = {path for path, its in options.items() if path.startswith(below) and "ro" in its}
        others = {path for path, its in options.items() if path.startswith(below) and "rw" in its}
        assert read_only == {*told["protected"], *told["hidden"]}
        assert others == {*told["pinned"]}
        assert told["protected"]
        for path in told["hidden"]:
            assert inside('ls -A "$1"; cat "$1" 2>&- || true', path, command=command, cwd=cwd).ok().text in ("", path)
        for path in told["protected"]:
            assert inside('test -e "$1" && ! test -w "$1"', path, command=command, cwd=cwd).status == 0, path
    assert f"{home('alice')}/.ssh" in explained("pi-home", cwd=home("alice"))["hidden"]


def test_the_mounts_it_tells_are_those_inside() -> None:
    on_machine("mkdir", "-p", "/srv/scratch").ok()
    told = explained("pi-paths")
    mounted = inside("cut -d' ' -f5,6 /proc/self/mountinfo", command="pi-paths").ok().text.splitlines()
    options = {path: set(rest.split(",")) for path, rest in (line.rsplit(" ", 1) for line in mounted)}
    for mount in told["mounts"]:
        assert ("rw" if mount["writable"] else "ro") in options[mount["target"]], mount
    writable = {mount["target"] for mount in told["mounts"] if mount["writable"]}
    assert {str(demo("alice")), "/srv/scratch"} <= writable and "/opt/pi-agent" not in writable


def test_the_variables_it_tells_are_those_inside_each_with_its_setter() -> None:
    on_host("mkdir -p ~/.pi/agent; printf 'CHECKS_HOST=1\\nCHECKS_ALL=host\\nPATH=/evil\\n' >~/.pi/agent/.env")
    told = explained("pi-env")["environment"]
    given = probe(command="pi-env")["env"]
    # Added by systemd, and by the shell that starts Pi.
    added = {"INVOCATION_ID", "SYSTEMD_EXEC_PID", "_", "PWD", "OLDPWD", "SHLVL"}
    added |= {f"{kind}_PRESSURE_{file}" for kind in ("CPU", "IO", "MEMORY") for file in ("WATCH", "WRITE")}
    assert told.keys() - {"LANG"} == given.keys() - added - {"LANG"}
    assert told["CHECKS_HOST"] == "host .env"
    assert told["CHECKS_ENVIRONMENT"] == "nix"
    assert told["CHECKS_SECRET"] == "environmentFiles"
    assert told["CHECKS_ALL"] == "nix (wrapper)"
    assert told["PATH"] == told["HOME"] == "sandbox"


def test_a_choice_made_inside_and_news_of_the_host_are_told_before_they_merge() -> None:
    on_host("""mkdir -p ~/.pi/agent; echo '{"look": "a", "old": 1}' >~/.pi/agent/settings.json""")
    inside("""echo '{"look": "b", "old": 1, "retry": {"x": 1}}' >~/.pi/agent/settings.json""").ok()
    on_host("""echo '{"look": "c"}' >~/.pi/agent/settings.json""")
    document = explained()["configuration"]["documents"]["settings.json"]
    assert document == {"set": ["look", "theme"], "remove": ["old"], "unreadable": None}
    launched = json.loads(inside("cat ~/.pi/agent/settings.json").ok().text)
    assert launched == {"look": "c", "retry": {"x": 1}, **policy("pi-probe")["settings"]}


# -- it tells no secrets, and is harmless to print


def test_no_value_is_told_of_variables_credentials_or_settings() -> None:
    on_machine("sh", "-c", f"echo CHECKS_SECRET={SENTINEL} >{SECRETS}/base.env").ok()
    on_host(
        f"mkdir -p ~/.pi/agent; echo CHECKS_HOST={SENTINEL} >~/.pi/.env; echo CHECKS_TOO={SENTINEL} >~/.pi/agent/.env;"
        f"""echo '{{"provider": {{"key": "{SENTINEL}"}}}}' >~/.pi/agent/auth.json;"""
        f"""echo '{{"headers": {{"authorization": "{SENTINEL}"}}}}' >~/.pi/agent/settings.json"""
    )
    for command in ("pi-env", "pi"):
        for words in ([], ["--json"]):
            told = as_user("alice", command, "--sandbox-explain", *words).ok()
            assert SENTINEL not in told.text + told.complaint
            for name in ("CHECKS_SECRET", "CHECKS_HOST", "CHECKS_TOO", "provider", "headers.authorization"):
                assert name in told.text, (command, words)
    # Also if the files are broken, and the refusal names them.
    for file, broken in (("auth.json", f'{{"key": "{SENTINEL}"'), (".env", f"{SENTINEL}\n")):
        on_host(f"printf '%s' {shlex.quote(broken)} >~/.pi/agent/{file}")
        told = as_user("alice", "pi", "--sandbox-explain")
        assert told.status == 65 and file in told.text
        assert SENTINEL not in told.text + told.complaint


HOSTILE: Final = ("a\x1b[2Jb", "new\nline", "bidi\u202eevil", 'quo"te', "\udcff")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_told_harmlessly(name: str) -> None:
    place = demo("alice") / name
    for path in (place / ".git", home("alice") / ".pi/agent/skills" / name):
        path.mkdir(parents=True)
    (place / ".git/config").touch()
    (home("alice") / ".pi/agent/skills" / name / "x").touch()
    (home("alice") / ".pi/agent/settings.json").write_text(json.dumps({name.encode("utf-8", "replace").decode(): 1}))
    on_machine("chown", "-R", "alice:", home("alice")).ok()
    for cwd in (demo("alice"), place):
        page = as_user("alice", "pi-probe", "--sandbox-explain", cwd=cwd).ok()
        assert all(line.isprintable() for line in page.stdout.decode().splitlines()), page.text
        assert any(".git/config" in line for line in page.text.splitlines())
        as_json = as_user("alice", "pi-probe", "--sandbox-explain", "--json", cwd=cwd).ok().stdout.decode()
        assert all(line.isprintable() for line in as_json.splitlines())
        assert any(path.endswith("/.git/config") for path in json.loads(as_json)["protected"])


# -- refusals


def test_a_directory_outside_of_all_roots_is_told_with_the_roots_and_what_would_allow_it() -> None:
    refused = as_user("alice", "pi-probe", "-p", "x", cwd=home("alice"))
    found = explained(cwd=home("alice"), status=77)
    assert found["refusal"]["what"] in refused.complaint
    assert [root["configured"] for root in found["roots"]] == policy("pi-probe")["hostUsers"]["alice"]["projectRoots"]
    assert found["unit"] is found["mounts"] is None
    page = as_user("alice", "pi-probe", "--sandbox-explain", cwd=home("alice"))
    assert page.status == 77
    assert 'm3ta.pi-agent.hostUsers."alice".projectRoots = [' in page.text
    assert f"({home('alice')}/p)" in page.text


@pytest.mark.parametrize(("user", "sentence"), [("carol", "may not use"), ("root", "refusing to run as root")])
def test_who_may_not_use_it_is_told_so(user: str, sentence: str) -> None:
    assert sentence in explained(user=user, cwd="/", status=77)["refusal"]["what"]


def test_every_other_refusal_is_told_with_the_status_of_a_launch() -> None:
    on_host("mkdir -p ~/.pi/agent; echo nonsense >~/.pi/agent/settings.json")
    assert "settings.json" in explained(status=65)["refusal"]["what"]
    on_host("rm ~/.pi/agent/settings.json")
    assert explained("pi-missing-env", status=78)["root"] == str(demo("alice"))
    on_machine("rmdir", "/srv/scratch")
    assert "/srv/scratch" in explained("pi-paths", status=78)["refusal"]["what"]
    on_machine("mkdir", "-p", "/srv/scratch").ok()


def test_a_refusal_that_is_only_told_is_none_for_the_journal() -> None:
    cursor = on_machine("journalctl", "-n", "0", "--show-cursor").ok().text.rpartition(": ")[2]
    explained(cwd=home("alice"), status=77)
    written = on_machine("journalctl", f"--after-cursor={cursor}", "-t", "pi-agent", "-o", "cat").text
    assert "refused" not in written


def test_the_runner_asked_directly_tells_the_same() -> None:
    runner = (FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"])
    by_runner = as_user("alice", *runner, "--sandbox-explain").ok().text
    assert by_runner == as_user("alice", "pi-probe", "--sandbox-explain").ok().text


def test_a_reader_that_goes_away_gets_no_complaint() -> None:
    told = as_user("alice", "bash", "-c", "pi-probe --sandbox-explain | head -n 1")
    assert told.ok().complaint == ""
    assert os.fspath(demo("alice")) in told.text
