"""What one session leaves in Pi's own files is not run, obeyed or trusted by the real Pi of the next one.

Each plant stands beside a control: the same from the host works. Both with the current Pi and with an older one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from support.commands import Result, as_user, inside, on_machine
from support.host_configuration import host_file, write
from support.installed import Json, agent, demo, home, isolated, policy, state

BOTH: Final = pytest.mark.parametrize("command", ["pi", "pi-older"])
MARK: Final = "echo ran >>~/ran"
ALWAYS: Final[Json] = {"defaultProjectTrust": "always"}


def turn(command: str, prompt: str = "hello") -> Result:
    """One turn of Pi, in print mode."""
    return as_user("alice", command, "-p", prompt).ok()


def plant(command: str, name: str, content: Json | str) -> None:
    """Leave a file in the agent's home, as a session could: after a first launch, as the agent's own."""
    turn(command)
    path = state("alice", command) / name
    owner = path.parents[len(Path(name).parts) - 1].stat()
    text = content if isinstance(content, str) else json.dumps(content)
    as_agent = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    on_machine(*as_agent, "sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, stdin=text.encode()).ok()


def ran(command: str) -> bool:
    """Whether the mark was left; it is removed."""
    mark = state("alice", command) / "ran"
    found = mark.exists()
    mark.unlink(missing_ok=True)
    return found


# -- commands that Pi runs


@BOTH
def test_a_key_that_is_a_command(command: str) -> None:
    key = {"scripted": {"type": "api_key", "key": f"!{MARK}; echo key"}}
    plant(command, ".pi/agent/auth.json", key)
    turn(command)
    assert not ran(command)
    write(host_file("auth.json"), key)
    turn(command)
    assert ran(command)


@BOTH
def test_a_key_in_the_files_from_which_an_old_pi_moved_its_logins(command: str) -> None:
    plant(command, ".pi/agent/oauth.json", {"scripted": {"type": "api_key", "key": f"!{MARK}; echo key"}})
    plant(command, ".pi/agent/settings.json", {"apiKeys": {"scripted": f"!{MARK}; echo key"}})
    isolated("alice", "auth.json", command).unlink(missing_ok=True)
    turn(command)
    assert not ran(command)
    write(host_file("oauth.json"), {"scripted": {"type": "api_key", "key": f"!{MARK}; echo key"}})
    isolated("alice", "auth.json", command).unlink(missing_ok=True)
    turn(command)
    assert ran(command)


def test_a_server_for_tools() -> None:
    """Since Pi 1.0."""
    server = {"mcpServers": {"checks": {"command": "sh", "args": ["-c", f"{MARK}; cat >/dev/null"]}}}
    plant("pi", ".pi/agent/mcp.json", server)
    turn("pi")
    assert not ran("pi")
    write(host_file("mcp.json"), server)
    turn("pi")
    assert ran("pi")


# -- instructions


@BOTH
@pytest.mark.parametrize("folder", ["commands", "prompts"])
def test_a_prompt_under_its_current_and_its_former_name(command: str, folder: str) -> None:
    plant(command, f".pi/agent/{folder}/checks.md", "from the inside")
    assert "from the inside" not in turn(command, "/checks").text
    write(host_file(f"{folder}/checks.md"), "from the host")
    for _ in range(2):
        found = turn(command, "/checks")
        assert "from the host" in found.text
        assert "Migrated" not in found.text + found.complaint


@BOTH
@pytest.mark.parametrize("folder", [".agents/skills", ".pi/agent/skills"])
def test_a_skill(command: str, folder: str) -> None:
    skill = "---\nname: checks\ndescription: A skill.\n---\nfrom the "
    plant(command, f"{folder}/checks/SKILL.md", f"{skill}inside")
    assert "from the inside" not in turn(command, "/skill:checks").text
    write(home("alice") / folder / "checks/SKILL.md", f"{skill}host")
    assert "from the host" in turn(command, "/skill:checks").text


# -- trust


@BOTH
@pytest.mark.parametrize("by", ["trust.json", "defaultProjectTrust"])
def test_trust_in_what_a_project_holds(command: str, by: str) -> None:
    write(
        demo("alice") / ".pi/extensions/checks.ts",
        'import { appendFileSync } from "node:fs";\n'
        'export default function () { appendFileSync(process.env.HOME + "/ran", "x"); }\n',
    )
    said: Json = {"/": True} if by == "trust.json" else {"defaultProjectTrust": "always"}
    name = "trust.json" if by == "trust.json" else "settings.json"
    kept = {} if by == "trust.json" else json.loads(host_file(name).read_text())
    plant(command, f".pi/agent/{name}", {**kept, **said})
    assert not ran(command)
    turn(command)
    assert not ran(command)
    write(host_file(name), {**kept, **said})
    turn(command)
    assert ran(command)


# -- what stays, and what does not


@BOTH
def test_packages_of_one_run_are_gone_at_the_next(command: str) -> None:
    plant(command, ".pi/agent/tmp/extensions/npm/x/index.js", "evil")
    turn(command)
    assert not (isolated("alice", "tmp", command) / "extensions/npm/x").exists()


def test_code_that_stays_is_named_by_doctor_to_its_user_with_what_removes_it() -> None:
    def doctor(user: str = "alice") -> str:
        return as_user(user, "pi-probe", "--sandbox-doctor", cwd="/").ok().text

    inside("mkdir -p ~/.pi/agent/bin ~/.pi/agent/git ~/.npm-global/bin; touch ~/.pi/agent/bin/fd").ok()
    told = re.search(r"^warn +code +(.*)\n +(.*)$", doctor(), re.MULTILINE)
    assert told is not None
    assert told[1].endswith("may run: .pi/agent/bin") and told[2].endswith("pi-probe --sandbox-reset")
    assert not re.search(r"^\w+ +code", doctor("bob"), re.MULTILINE)
    as_user("alice", "pi-probe", "--sandbox-reset", "--yes").ok()
    assert not re.search(r"^\w+ +code", doctor(), re.MULTILINE)


@BOTH
def test_a_choice_and_a_login_that_run_nothing_last(command: str) -> None:
    turn(command)
    settings = isolated("alice", "settings.json", command)
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "hideThinkingBlock": True}))
    plant(command, ".pi/agent/auth.json", {"other": {"type": "api_key", "key": "of-the-inside"}})
    turn(command)
    assert json.loads(settings.read_text())["hideThinkingBlock"] is True
    kept = json.loads(isolated("alice", "auth.json", command).read_text())
    assert kept["other"] == {"type": "api_key", "key": "of-the-inside"}


def test_a_turn_is_the_same_with_an_older_pi() -> None:
    assert "done:" in turn("pi-older", "run: id -u >made").text
    made = demo("alice") / "made"
    assert made.read_text().split() == [str(agent("pi-older").pw_uid)]
    assert made.stat().st_uid == demo("alice").stat().st_uid
    assert as_user("alice", "pi-older", "--version", cwd="/").ok().text


# -- modules that Node finds by itself


@BOTH
@pytest.mark.parametrize("folder", [".node_modules", ".node_libraries", "node_modules", ".pi/node_modules"])
def test_a_module_that_an_extension_of_the_host_would_use_if_there_were_one(command: str, folder: str) -> None:
    extension = (
        'import { createRequire } from "node:module";\n'
        'export default function () { try { createRequire(import.meta.url)("checks-absent"); } catch {} }\n'
    )
    write(host_file("extensions/checks.ts"), extension)
    module = 'require("node:fs").appendFileSync(process.env.HOME + "/ran", "x");'
    plant(command, f"{folder}/checks-absent/index.js", module)
    turn(command)
    assert not ran(command)
    write(host_file("node_modules/checks-absent/index.js"), module)
    turn(command)
    assert ran(command)


def test_what_stands_in_the_home_as_in_a_project_is_not_loaded_by_commands_that_need_none() -> None:
    write(host_file("settings.json"), {**json.loads(host_file("settings.json").read_text()), **ALWAYS})
    code = 'import { appendFileSync } from "node:fs";\nappendFileSync(process.env.HOME + "/ran", "x");\n'
    code += "export default function () {}\n"
    plant("pi", ".pi/extensions/checks.ts", code)
    as_user("alice", "pi", "--list-models", cwd="/")
    assert not ran("pi")
    write(demo("alice") / ".pi/extensions/checks.ts", code)
    as_user("alice", "pi", "--list-models").ok()
    assert ran("pi")


# -- where logins are sent


@BOTH
@pytest.mark.parametrize(
    "planted",
    [
        {"env": {"HTTPS_PROXY": "http://127.0.0.1:1"}},
        {"env": {"AZURE_OPENAI_BASE_URL": "http://127.0.0.1:1"}},
        {"env": {"GOOGLE_CLOUD_LOCATION": "127.0.0.1/"}},
        {"key": "$CHECKS_SECRET"},
        {"gatewayConfig": {"baseUrl": "http://127.0.0.1:1", "models": []}},
    ],
    ids=["proxy", "address", "part of an address", "variable", "gateway"],
)
def test_a_login_that_sends_something_elsewhere(command: str, planted: Json) -> None:
    plain = {"type": "api_key", "key": "key"}
    plant(command, ".pi/agent/auth.json", {"azure-openai-responses": {**plain, **planted}, "other": plain})
    turn(command)
    assert json.loads(isolated("alice", "auth.json", command).read_text()) == {"other": plain}
    write(host_file("auth.json"), {"azure-openai-responses": {**plain, **planted}})
    turn(command)
    kept = json.loads(isolated("alice", "auth.json", command).read_text())
    assert kept["azure-openai-responses"] == {**plain, **planted}


def test_the_server_that_renews_a_login_of_an_mcp_server() -> None:
    of_host = {"serverUrl": "http://127.0.0.1:2/", "tokens": {"refresh_token": "of the host"}}
    elsewhere = {"discovery": {"authorizationServerUrl": "http://127.0.0.1:1/"}}
    renewed = {**of_host, "tokens": {"refresh_token": "renewed"}}
    write(host_file("mcp-auth.json"), {"mcp_a|http://127.0.0.1:2/": of_host})
    plant("pi", ".pi/agent/mcp-auth.json", {"mcp_a|http://127.0.0.1:2/": {**renewed, **elsewhere}})
    turn("pi")
    assert json.loads(isolated("alice", "mcp-auth.json").read_text()) == {"mcp_a|http://127.0.0.1:2/": renewed}


# -- what the host's settings name


@BOTH
@pytest.mark.parametrize("named", ["mine", "./mine", "~/mine", "../mine", "HOME/mine"])
def test_a_place_that_the_settings_of_the_host_name(command: str, named: str) -> None:
    settings = json.loads(host_file("settings.json").read_text())
    place = {"~/mine": "mine", "HOME/mine": "mine", "../mine": ".pi/mine"}.get(named, ".pi/agent/mine")
    write(host_file("settings.json"), {**settings, "skills": [named.replace("HOME", policy(command)["stateDir"])]})
    plant(command, f"{place}/checks/SKILL.md", "---\nname: checks\ndescription: A skill.\n---\nfrom the inside")
    assert "from the inside" not in turn(command, "/skill:checks").text
    if place == ".pi/agent/mine":
        write(host_file("mine/checks/SKILL.md"), "---\nname: checks\ndescription: A skill.\n---\nfrom the host")
        assert "from the host" in turn(command, "/skill:checks").text


# -- what programs read in the home


def test_files_that_make_programs_run_something_are_named_by_doctor_with_what_removes_them() -> None:
    def told() -> str:
        found = as_user("alice", "pi-probe", "--sandbox-doctor", cwd="/").ok().text
        return "\n".join(re.findall(r"^warn +code +.*\n +.*\n +.*$", found, re.MULTILINE))

    assert ".gitconfig" not in told()
    inside("cd; mkdir -p .ssh .aws; touch .npmrc .gitconfig .bashrc .profile .ssh/config .aws/config").ok()
    assert all(name in told() for name in (".npmrc", ".gitconfig", ".bashrc", ".profile", ".ssh", ".aws"))
    assert "--sandbox-reset --all" in told()
    as_user("alice", "pi-probe", "--sandbox-reset", "--all", "--yes").ok()
    assert not told()


# -- what Pi reads and a stricter reader does not


@BOTH
def test_settings_with_a_byte_order_mark_are_those_of_the_host(command: str) -> None:
    text = host_file("settings.json").read_text()
    write(host_file("settings.json"), "\ufeff" + text)
    assert "echo: hello" in turn(command).text
