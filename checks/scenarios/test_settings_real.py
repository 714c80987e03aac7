"""What the real Pi writes for itself, and what remains of it at the next start: choices, logins, packages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from guest.npm_registry import registry
from support import tmux
from support.commands import as_user, asked_of_the_model, inside
from support.installed import Json, home, isolated, pi_package, policy, state
from support.waiting import until

MODELS: Final = ("scripted-1", "scripted-2", "scripted-3")


def host_file(name: str) -> Path:
    return home("alice") / ".pi/agent" / name


def write(name: str, content: Json) -> None:
    as_user("alice", "sh", "-c", 'cat >"$1"', "sh", host_file(name), stdin=json.dumps(content).encode()).ok()


def read(name: str) -> Json:
    value: Json = json.loads(host_file(name).read_text())
    return value


def three_models() -> None:
    models = read("models.json")
    models["providers"]["scripted"]["models"] = [{"id": model} for model in MODELS]
    write("models.json", models)


def model(command: str = "pi") -> str:
    """The model with which Pi starts."""
    asked = as_user("alice", command, "--mode", "rpc", stdin=b'{"type": "get_state"}\n').ok().text
    [answer] = [event for line in asked.splitlines() if (event := json.loads(line))["type"] == "response"]
    name: str = answer["data"]["model"]["id"]
    return name


def choose(name: str, command: str = "pi") -> None:
    """Make it the default with keys: without them, `/model` applies only to the session."""
    with tmux.shell() as screen:
        screen.enter(f"{command}; echo status=$?")
        screen.shows(r"scripted-\d$")
        screen.enter("/model")
        screen.shows("to set as default")
        screen.type(name)
        screen.shows(rf"^\W*{name} ")
        until(lambda: len(re.findall(r"scripted-\d \[", screen.text())) == 1, "the others are gone from the list")
        screen.press("C-s")
        screen.shows(f"Default model: scripted/{name}")
        screen.press("C-d")
        screen.shows("status=0")


@pytest.mark.parametrize("command", ["pi", "pi-older"])
def test_a_model_chosen_inside_stands_until_the_host_chooses_another(command: str) -> None:
    three_models()
    assert model(command) == "scripted-1"
    choose("scripted-2", command)
    assert model(command) == "scripted-2"
    assert read("settings.json")["defaultModel"] == "scripted-1"
    write("settings.json", {**read("settings.json"), "defaultModel": "scripted-3"})
    assert model(command) == "scripted-3"
    choose("scripted-2", command)
    assert model(command) == "scripted-2"


def test_a_model_that_nix_chose_stands_whatever_is_chosen_inside_or_on_the_host() -> None:
    three_models()
    assert model("pi-pinned") == "scripted-3"
    choose("scripted-2", "pi-pinned")
    assert model("pi-pinned") == "scripted-3"
    write("settings.json", {**read("settings.json"), "defaultModel": "scripted-2"})
    assert model("pi-pinned") == "scripted-3"


def log_in(provider: str, credential: Json) -> None:
    """The effect of `/login` and of a refreshed token, by Pi's own code: its lock, its way of writing."""
    [code] = pi_package().glob("**/pi-coding-agent/dist/core/auth-storage.js")
    script = (
        f"import {{ AuthStorage }} from {json.dumps(str(code))};\n"
        f"await AuthStorage.create().modify({json.dumps(provider)}, async () => ({json.dumps(credential)}));"
    )
    inside('exec node --input-type=module --eval "$1"', script).ok()


def logins() -> Json:
    value: Json = json.loads(inside('cat "$PI_CODING_AGENT_DIR/auth.json"').ok().stdout)
    return value


def oauth(tokens: str) -> Json:
    return {"type": "oauth", "refresh": f"{tokens}-refresh", "access": f"{tokens}-access", "expires": 1}


def test_a_login_made_inside_lasts_and_a_refreshed_one_is_not_taken_back() -> None:
    # The host's login initialises an empty one.
    write("auth.json", {"scripted": oauth("host")})
    assert logins() == {"scripted": oauth("host")}
    # The first refresh inside invalidates the host's token.
    log_in("scripted", oauth("refreshed"))
    log_in("other", {"type": "api_key", "key": "of-the-inside"})
    expected = {"scripted": oauth("refreshed"), "other": {"type": "api_key", "key": "of-the-inside"}}
    for _ in range(2):
        assert logins() == expected
    # A change of another provider does not reset it. A change of its own does.
    write("auth.json", {"scripted": oauth("host"), "third": oauth("host")})
    assert logins() == {**expected, "third": oauth("host")}
    write("auth.json", {"scripted": oauth("anew"), "third": oauth("host")})
    assert logins() == {**expected, "scripted": oauth("anew"), "third": oauth("host")}
    assert read("auth.json") == {"scripted": oauth("anew"), "third": oauth("host")}


def test_a_key_that_the_real_pi_stored_inside_is_the_one_that_its_model_sees() -> None:
    log_in("scripted", {"type": "api_key", "key": "stored-inside"})
    # The tree of the variant that ran the code becomes that of the real Pi.
    kept = isolated("alice", "auth.json", "pi-probe").read_text()
    as_user("alice", "pi", "-p", "first").ok()
    isolated("alice", "auth.json").write_text(kept)
    for prompt in ("second", "third"):
        as_user("alice", "pi", "-p", prompt).ok()
        log = asked_of_the_model()
        assert f"authorization='Bearer stored-inside' '{prompt}'" in log


# -- packages

PACKAGE: Final = "pi-agent-checks-package"
EXTENSION: Final = """
import { appendFileSync } from "node:fs";
export default function () { appendFileSync(process.env.HOME + "/loaded", "loaded\\n"); }
"""
FILES: Final = {"package.json": '{"pi": {"extensions": ["./index.ts"]}}', "index.ts": EXTENSION}
PORT: Final = 8318


def loaded(variant: str) -> int:
    path = state("alice", variant) / "loaded"
    return len(path.read_text().split()) if path.exists() else 0


def test_a_package_of_nixs_is_installed_and_found_at_the_next_start() -> None:
    with registry(PORT, PACKAGE, "1.0.0", FILES) as asked:
        as_user("alice", "pi-packages", "-p", "hello").ok()
    assert loaded("pi-packages") == 1
    assert [path for path in asked if path.endswith(".tgz")]
    # Nobody serves it any more.
    as_user("alice", "pi-packages", "-p", "hello").ok()
    assert loaded("pi-packages") == 2


def test_code_that_was_named_or_planted_inside_is_not_loaded_by_the_real_pi() -> None:
    as_user("alice", "pi", "-p", "hello").ok()
    plant = (
        "run: mkdir -p ~/evil ~/.pi/agent/extensions;"
        ' echo \'import { appendFileSync } from "node:fs";'
        ' export default function () { appendFileSync(process.env.HOME + "/loaded", "evil "); }\''
        " | tee ~/evil/index.ts >~/.pi/agent/extensions/evil.ts; cp ~/evil/index.ts ~/evil.ts"
    )
    as_user("alice", "pi", "-p", plant).ok()
    path = isolated("alice", "settings.json")
    kept = json.loads(path.read_text())
    top = policy()["stateDir"]
    planted = {**kept, "packages": [f"{top}/evil"], "extensions": [f"{top}/evil.ts"]}
    path.write_text(json.dumps(planted))
    # A control: the same code is loaded if the host has it and names it. It is not if the session has it.
    as_user("alice", "pi", "-p", "hello").ok()
    assert loaded("pi") == 0
    write("settings.json", {**read("settings.json"), "extensions": [f"{top}/evil.ts"]})
    as_user("alice", "pi", "-p", "hello").ok()
    assert loaded("pi") == 0
    (home("alice") / ".pi/agent/own").mkdir()
    (home("alice") / ".pi/agent/own/code.ts").write_text(EXTENSION)
    write("settings.json", {**read("settings.json"), "extensions": ["own/code.ts"]})
    as_user("alice", "pi", "-p", "hello").ok()
    assert loaded("pi") == 1
