"""The effect of each option, seen from a session of a machine with the option set and of one without it."""

from __future__ import annotations

import grp
import json
import os
import shutil
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine, probe
from support.installed import FACTS, SHARED, agent, demo, home, isolated, owner, policy, state


def on_path(name: str, user: str = "alice") -> bool:
    """Whether a user's own shell finds a program."""
    return as_user(user, "sh", "-c", 'command -v -- "$1"', "sh", name, cwd="/").status == 0


def test_extra_packages_are_on_the_path_inside_and_not_outside() -> None:
    assert inside("checks-extra").ok().text == "from extraPackages"
    assert not on_path("checks-extra")


def test_extra_run_arguments_come_before_the_users_to_the_letter() -> None:
    extra = ["--first", "two words", '$HOME %h "quoted"']
    assert probe("mine", "--first", command="pi-args")["argv"] == [*extra, "mine", "--first"]
    assert probe(command="pi-args")["argv"] == extra
    assert probe("mine")["argv"] == ["mine"]


def test_the_project_group_is_the_agents_in_one_machine_and_not_in_the_other() -> None:
    team = grp.getgrnam("team").gr_gid
    assert team in probe(command="pi-group", cwd=SHARED)["groups"]
    assert team not in probe()["groups"]
    members = grp.getgrnam("team").gr_mem
    assert {agent("pi-group", user).pw_name for user in ("alice", "bob")} <= set(members)
    # Only sessions need it.
    assert not {owner("pi-group").pw_name, owner("pi-probe").pw_name, agent("pi-probe").pw_name} & set(members)


def test_the_preferred_binary_is_taken_though_pi_is_there_too() -> None:
    assert probe("x", command="pi-named")["argv"] == ["x"]
    assert os.path.basename(policy("pi-named")["program"]) in ("checks-named", "pi")


def test_without_the_preferred_binary_and_pi_the_fallback_is_taken() -> None:
    assert probe("x", command="pi-agentbin")["argv"] == ["x"]


def test_the_direct_binary_is_hidden_unless_it_is_asked_for() -> None:
    assert on_path("checks-direct")
    assert json.loads(as_user("alice", "checks-direct", "x", cwd="/").ok().stdout)["uid"] == home("alice").stat().st_uid
    assert not on_path("checks-named")
    assert not on_path("pi-agent")
    # On the host, `pi` is the wrapper.
    found = as_user("alice", "sh", "-c", 'readlink -f "$(command -v pi)"', cwd="/").ok().text
    assert found == os.path.realpath(FACTS["variants"]["pi"]["wrapper"])


def test_every_command_and_runner_has_the_name_it_was_given() -> None:
    for name, facts in FACTS["variants"].items():
        assert os.path.basename(facts["wrapper"]) == name
        assert on_path(name)
        expected = "m3ta-pi-agent-runner" if name == "pi" else f"{name}-runner"
        assert os.path.basename(facts["runner"]) == expected


def configure(path: Path, user: str = "alice", **settings: object) -> None:
    text = json.dumps(settings).encode()
    as_user(user, "sh", "-c", 'mkdir -p "$1" && cat >"$1/settings.json"', "sh", path, stdin=text, cwd="/").ok()


def settings(command: str, user: str = "alice") -> dict[str, object]:
    found: dict[str, object] = json.loads(
        inside('cat "$PI_CODING_AGENT_DIR/settings.json"', command=command, user=user).ok().stdout
    )
    return found


def test_without_sync_nothing_of_the_host_arrives_and_nix_still_rules() -> None:
    configure(home("alice") / ".pi/agent", checks="host")
    as_user("alice", "sh", "-c", "echo CHECKS_HOST=host >~/.pi/agent/.env; echo x >~/.pi/agent/AGENTS.md").ok()
    assert settings("pi-nosync") == {"theme": "light"}
    assert not isolated("alice", "AGENTS.md", "pi-nosync").exists()
    assert "CHECKS_HOST" not in probe(command="pi-nosync")["env"]
    assert probe(command="pi-nosync")["env"]["CHECKS_ENVIRONMENT"] == "from environment"
    # What was made inside stays.
    inside('echo mine >"$PI_CODING_AGENT_DIR/AGENTS.md"', command="pi-nosync").ok()
    assert inside('cat "$PI_CODING_AGENT_DIR/AGENTS.md"', command="pi-nosync").ok().text == "mine"
    # The same host configuration arrives if sync is on.
    assert settings("pi-probe") == {"theme": "light", "checks": "host"}
    assert probe()["env"]["CHECKS_HOST"] == "host"


def test_without_sync_bad_host_data_is_no_concern() -> None:
    (home("alice") / ".pi/agent/settings.json").write_text("{")
    assert as_user("alice", "pi-nosync", "x").status == 0
    assert as_user("alice", "pi-probe", "x").status == 65


def test_a_user_can_have_a_configuration_elsewhere() -> None:
    configure(home("alice") / ".pi/agent", checks="default")
    configure(home("alice") / ".config/other-pi", checks="relative")
    configure(home("alice") / "unused", checks="unused")
    bobs = Path("/srv/bob-pi")
    on_machine("install", "-d", "-o", "bob", bobs).ok()
    try:
        configure(bobs, "bob", checks="absolute")
        assert settings("pi-config")["checks"] == "relative"
        assert settings("pi-config", "bob")["checks"] == "absolute"
        assert settings("pi-default-config")["checks"] == "relative"
        assert settings("pi-probe")["checks"] == "default"
    finally:
        shutil.rmtree(bobs)


def test_another_user_group_and_state_directory_are_used_throughout() -> None:
    top = Path("/var/lib/checks/other state")
    seen = probe("x", command="pi-state")
    assert (owner("pi-state").pw_name, owner("pi-state").pw_gid) == (
        "pi-agent-other",
        grp.getgrnam("pi-agent-state").gr_gid,
    )
    user = agent("pi-state")
    assert user.pw_name == "pi-agent-other-alice"
    assert (seen["uid"], seen["gid"]) == (user.pw_uid, user.pw_gid)
    assert seen["env"]["HOME"] == str(top)
    inside("touch ~/mine made; id -un; id -gn", command="pi-state").ok()
    assert (top / "users/alice/mine").stat().st_uid == owner("pi-state").pw_uid
    assert (demo("alice") / "made").stat().st_uid == home("alice").stat().st_uid
    # The other agents are strangers there.
    assert inside("ls -A '/var/lib/checks' || true").ok().text == ""
    assert probe("x")["uid"] != seen["uid"]


def test_the_isolated_user_is_a_system_user_that_cannot_log_in_by_password() -> None:
    users = [owner(variant) for variant in ("pi", "pi-state", "pi-group")]
    users += [agent(variant, user) for variant in ("pi", "pi-state", "pi-group") for user in ("alice", "bob")]
    assert len({user.pw_uid for user in users}) == len({user.pw_gid for user in users}) == len(users)
    for user in users:
        assert 0 < user.pw_uid < 1000
        assert user.pw_dir in {policy(variant)["stateDir"] for variant in ("pi", "pi-state", "pi-group")}
        assert user.pw_gecos == "Isolated Pi agent user"
        assert user.pw_shell.endswith("/bin/bash")
        shadow = on_machine("getent", "shadow", user.pw_name).ok().text.split(":")[1]
        assert shadow.startswith(("!", "*"))
        groups = on_machine("id", "-Gn", user.pw_name).ok().text.split()
        assert not {"sudo", "wheel", "users", "nixbld"} & set(groups)


def test_the_directories_of_the_state_are_there_before_the_first_session() -> None:
    for variant in FACTS["variants"]:
        top = Path(policy(variant)["stateDir"])
        user = owner(variant)
        gid = grp.getgrnam(policy(variant)["group"]).gr_gid
        names = ("", ".pi", ".pi/agent", ".pi/agent/sessions", ".project-mounts", "projects")
        for name in (*names, ".npm", ".npm-global", ".npm-global/bin", ".npm-global/lib"):
            status = (top / name).stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (user.pw_uid, gid, 0o750), top / name


def test_a_machine_with_fewer_roots_refuses_the_others() -> None:
    assert probe("x", command="pi-narrow")["cwd"] == str(demo("alice"))
    assert as_user("alice", "pi-narrow", "x", cwd=home("alice") / "p").status == 77
    assert as_user("bob", "pi-narrow", "x").status == 77
    probe("x", cwd=home("alice") / "p")


@pytest.mark.parametrize("argument", ["--version", "-v", "--help", "-h"])
def test_a_question_about_pi_is_answered_anywhere_with_nothing_mounted(argument: str) -> None:
    for place in ("/", "/tmp", str(home("alice")), str(demo("alice"))):
        seen = as_user("alice", "pi-look", argument, cwd=place).ok().text
        lines = seen.splitlines()
        assert lines[0] == policy("pi-look")["stateDir"]
        assert "/home/alice" not in seen
        assert [line.split()[4] for line in lines if "idmapped" in line] == [policy("pi-look")["stateDir"]]
    # With another argument beside it, it is an ordinary session.
    assert as_user("alice", "pi-look", argument, "x", cwd="/").status == 77
    lines = as_user("alice", "pi-look", argument, "x").ok().text.splitlines()
    mapped = {line.split()[4] for line in lines if "idmapped" in line}
    assert {policy("pi-look")["stateDir"], str(demo("alice"))} <= mapped


def test_the_real_pi_tells_its_version_and_help_anywhere() -> None:
    version = as_user("alice", "pi", "--version", cwd="/").ok()
    assert version.text == as_user("alice", "pi", "-v").ok().text
    assert version.text[0].isdigit()
    assert "Usage" in as_user("bob", "pi", "--help", cwd="/tmp").ok().text
    (home("alice") / ".pi/agent/settings.json").write_text("{")
    as_user("alice", "sh", "-c", 'mkdir ../x && cd ../x && rmdir "$PWD" && pi --version').ok()
    assert not (state("alice") / "projects/demo").is_symlink()
