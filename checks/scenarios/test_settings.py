"""Settings and logins from the host user, from Pi inside and from Nix, as a running Pi finds them."""

from __future__ import annotations

import json
import stat
from typing import Final

from support.commands import asked_of_the_model, inside, pi
from support.host_configuration import document, host_file, write
from support.installed import isolated, owner

from pi_agent.state import settings_keys

# Everything that runs or redirects something, and a key that nobody knows.
CODE: Final = {
    "packages": ["npm:evil"],
    "extensions": ["/var/lib/pi-probe/evil.ts"],
    "skills": ["/tmp/skill"],
    "prompts": ["/tmp/prompt"],
    "themes": ["/tmp/theme"],
    "npmCommand": ["/tmp/npm"],
    "shellPath": "/tmp/shell",
    "shellCommandPrefix": "evil;",
    "externalEditor": "/tmp/editor",
    "selfUpdateCommand": ["/tmp/update"],
    "apiKeys": {"scripted": "!evil"},
    "defaultProjectTrust": "always",
    "sessionDir": "/tmp/sessions",
    "httpProxy": "http://192.0.2.1/",
    "sessionShareDestination": "gist",
    "unknown": "evil",
}


def choose(change: str, name: str = "settings.json", command: str = "pi-probe") -> None:
    """Change a document inside, as Pi does. `s` is the object."""
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
    choose("s['defaultModel'] = 'inside'; s['enabledModels'] = [1]")
    for _ in range(2):
        assert document() == {"defaultModel": "inside", "other": 1, "enabledModels": [1], "theme": "light"}
    # A change elsewhere does not override it.
    write(host_file("settings.json"), {"defaultModel": "host-1", "other": 2})
    assert document() == {"defaultModel": "inside", "other": 2, "enabledModels": [1], "theme": "light"}
    write(host_file("settings.json"), {"defaultModel": "host-2", "other": 2})
    assert document() == {"defaultModel": "host-2", "other": 2, "enabledModels": [1], "theme": "light"}
    # A new choice wins again.
    choose("s['defaultModel'] = 'inside-2'")
    assert document()["defaultModel"] == "inside-2"
    # The host's own file is never written.
    assert json.loads(host_file("settings.json").read_text()) == {"defaultModel": "host-2", "other": 2}


def test_what_is_removed_on_either_side_stays_removed() -> None:
    write(host_file("settings.json"), {"tuiMode": 1, "b": 2, "retry": {"x": 1, "y": 2}})
    document()
    choose("del s['tuiMode']; del s['retry']['x']")
    assert document() == {"b": 2, "retry": {"y": 2}, "theme": "light"}
    write(host_file("settings.json"), {"tuiMode": 1, "retry": {"x": 1, "y": 2}})
    assert document() == {"retry": {"y": 2}, "theme": "light"}


def test_code_never_comes_from_inside_and_does_from_the_host() -> None:
    assert CODE.keys() == settings_keys.RUNS | settings_keys.REDIRECTS | {"unknown"}
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
    # A refresh inside replaces the whole entry. A login adds one.
    choose("s['one'] = {'type': 'oauth', 'access': 'i1'}; s['three'] = {'key': 'i3'}", "auth.json")
    expected = {
        "one": {"type": "oauth", "access": "i1"},
        "two": {"type": "api_key", "key": "h2"},
        "three": {"key": "i3"},
    }
    assert document("auth.json") == expected
    write(host_file("auth.json"), {"one": {"type": "oauth", "refresh": "h9"}, "two": {"type": "api_key", "key": "h2"}})
    assert document("auth.json") == {**expected, "one": {"type": "oauth", "refresh": "h9"}}


def test_a_command_in_place_of_a_key_comes_from_the_host_alone() -> None:
    """Pi runs what follows the exclamation mark."""
    write(host_file("auth.json"), {"one": {"type": "api_key", "key": "!pass show one"}})
    choose(
        "s['two'] = {'key': '!evil'}; s['three'] = {'key': 'x', 'env': {'A': '!evil'}}; s['four'] = {'key': 'x'}",
        "auth.json",
    )
    assert document("auth.json") == {
        "one": {"type": "api_key", "key": "!pass show one"},
        "four": {"key": "x"},
    }
    choose("s['one']['key'] = '!evil'", "auth.json")
    assert document("auth.json")["one"]["key"] == "!pass show one"


def test_logins_of_servers_merge_by_server() -> None:
    write(host_file("mcp-auth.json"), {"a|https://a/": {"tokens": "h"}, "b|https://b/": {"tokens": "h"}})
    document("mcp-auth.json")
    choose("s['a|https://a/'] = {'tokens': 'refreshed'}", "mcp-auth.json")
    for _ in range(2):
        assert document("mcp-auth.json") == {"a|https://a/": {"tokens": "refreshed"}, "b|https://b/": {"tokens": "h"}}
    write(host_file("mcp-auth.json"), {"a|https://a/": {"tokens": "h"}, "b|https://b/": {"tokens": "anew"}})
    assert document("mcp-auth.json") == {"a|https://a/": {"tokens": "refreshed"}, "b|https://b/": {"tokens": "anew"}}


def test_trust_in_projects_comes_from_the_host_and_can_only_be_withdrawn_inside() -> None:
    given = {"/home/alice/p": True, "/home/alice/p/evil": False}
    write(host_file("trust.json"), given)
    choose("s.update({'/': True, '/home/alice/p/evil': True})", "trust.json")
    assert document("trust.json") == given
    choose("del s['/home/alice/p/evil']", "trust.json")
    assert document("trust.json") == given
    choose("s.update({'/home/alice/p': False})", "trust.json")
    for _ in range(2):
        assert document("trust.json") == {**given, "/home/alice/p": False}


def test_secrets_of_logins_are_for_the_agent_alone() -> None:
    write(host_file("auth.json"), {"one": {"key": "x"}})
    document()
    status = isolated("alice", "auth.json", "pi-probe").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner("pi-probe").pw_uid, 0o600)
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
