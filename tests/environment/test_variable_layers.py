from __future__ import annotations

import os
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.environment import variable_layers
from pi_agent.environment.env_file_syntax import rendered
from pi_agent.environment.variable_layers import Layer, Sources, Surroundings
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.shared import TERMINAL_VARIABLES
from tests.support import people
from tests.support.policies import frozen, replaced

_AROUND = Surroundings(
    path=("/run/current-system/sw/bin", "/usr/bin"), nix_daemon=False, certificates=None, locales=None, time_zones=None
)


def laid(
    policy: Policy,
    *,
    around: Surroundings = _AROUND,
    terminal: dict[str, str] | None = None,
    host: dict[str, str] | None = None,
    secret: dict[str, str] | None = None,
    safe_directory: str | None = None,
) -> dict[str, str]:
    sources = Sources(terminal or {}, {"/h/.env": host or {}}, {"/s.env": secret or {}})
    agent = people.agent("/var/lib/pi-agent")
    return variable_layers.merged(variable_layers.layers(policy, agent, around, sources, safe_directory))


# -- the compile cache


_COMPILED = replaced(_AROUND, compile_cache="/run/cache")


def test_pi_gets_the_compile_cache_with_what_makes_it_forget_that() -> None:
    found = laid(frozen(forgetCompileCache="/nix/store/forget.cjs"), around=_COMPILED)
    assert found["NODE_COMPILE_CACHE"] == "/run/cache"
    assert found["NODE_OPTIONS"] == "--require=/nix/store/forget.cjs"


def test_where_there_is_no_cache_node_is_told_nothing() -> None:
    assert not {name for name in laid(frozen()) if name.startswith("NODE_")}


@pytest.mark.parametrize("name", ["NODE_COMPILE_CACHE", "NODE_DISABLE_COMPILE_CACHE", "NODE_OPTIONS"])
@pytest.mark.parametrize("source", ["host", "secret", "environment", "extraEnvironment"])
def test_who_tells_node_how_to_compile_is_left_alone(name: str, source: str) -> None:
    chosen = {name: "chosen"}
    if source in ("host", "secret"):
        found = laid(frozen(), around=_COMPILED, **{source: chosen})  # type: ignore[arg-type]
    else:
        found = laid(frozen(**{source: chosen}), around=_COMPILED)
    assert {key: value for key, value in found.items() if key.startswith("NODE_")} == chosen


# -- layers


def test_the_later_layer_wins() -> None:
    names = ["A", "B", "C", "D", "E"]
    found = laid(
        frozen(
            environment={name: "environment" for name in names[2:]},
            extraEnvironment={name: "extra" for name in names[4:]},
        ),
        terminal={name: "terminal" for name in names},
        host={name: "host" for name in names[1:]},
        secret={name: "secret" for name in names[3:]},
    )
    assert [found[name] for name in names] == ["terminal", "host", "environment", "secret", "extra"]


def test_each_layer_says_who_set_it_and_the_agents_own_variables_come_last() -> None:
    sources = Sources({"T": "t"}, {"/h/.env": {"H": "h"}}, {"/s.env": {"S": "s"}})
    policy = frozen(environment={"E": "e"}, extraEnvironment={"X": "x"})
    found = variable_layers.layers(policy, people.agent("/a"), _AROUND, sources, None)
    setters = {name: layer.setter for layer in found for name in layer.variables}
    assert {name: setters[name] for name in "THESX"} == {
        "T": "terminal", "H": "host .env", "E": "nix", "S": "environmentFiles", "X": "nix (wrapper)",
    }  # fmt: skip
    assert "HOME" in found[-1].variables


def test_merging_takes_the_last_of_each_name() -> None:
    layers = [Layer("a", {"A": "1", "B": "1"}), Layer("b", {"B": "2"}), Layer("c", {})]
    assert variable_layers.merged(layers) == {"A": "1", "B": "2"}


def test_of_several_files_of_one_source_the_later_wins() -> None:
    files = {"/first": {"A": "first", "B": "first"}, "/second": {"A": "second"}}
    assert Sources({}, files, {}).host == Sources({}, {}, files).secrets == {"A": "second", "B": "first"}


_FIXED = {"HOME": "/x", "USER": "x", "LOGNAME": "x", "SHELL": "/x", "PI_CODING_AGENT_DIR": "/x"}


def test_identity_and_home_cannot_be_changed_by_any_layer() -> None:
    found = laid(frozen(environment=_FIXED, extraEnvironment=_FIXED), terminal=_FIXED, host=_FIXED, secret=_FIXED)
    assert found["HOME"] == "/var/lib/pi-agent"
    assert found["USER"] == found["LOGNAME"] == "pi-agent-alice"
    assert found["SHELL"] == "/nix/store/bash/bin/bash"
    assert found["PI_CODING_AGENT_DIR"] == "/var/lib/pi-agent/.pi/agent"


def test_path_is_the_policys_then_npms_then_the_systems() -> None:
    found = laid(frozen(), host={"PATH": "/host"}, secret={"PATH": "/secret"}, terminal={"PATH": "/t"})
    assert found["PATH"] == (
        "/nix/store/git/bin:/nix/store/node/bin:/var/lib/pi-agent/.npm-global/bin:/run/current-system/sw/bin:/usr/bin"
    )


@pytest.mark.parametrize("option", ["environment", "extraEnvironment"])
def test_only_the_administrator_chooses_another_path(option: str) -> None:
    chosen = laid(frozen(**{option: {"PATH": "/chosen"}}), host={"PATH": "/host"}, terminal={"PATH": "/terminal"})
    assert chosen["PATH"] == "/chosen"


def test_npm_keeps_to_the_agents_home() -> None:
    found = laid(frozen())
    assert found["NPM_CONFIG_PREFIX"] == "/var/lib/pi-agent/.npm-global"
    assert found["NPM_CONFIG_CACHE"] == "/var/lib/pi-agent/.npm"


def test_what_the_machine_has_is_named_and_what_it_lacks_is_not() -> None:
    around = Surroundings(path=(), nix_daemon=True, certificates="/certs", locales="/locales", time_zones="/zones")
    names = {"NIX_REMOTE", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "LOCALE_ARCHIVE", "TZDIR"}
    assert not names & laid(frozen()).keys()
    found = laid(frozen(), around=around)
    assert {name: found[name] for name in names} == {
        "NIX_REMOTE": "daemon",
        "SSL_CERT_FILE": "/certs",
        "NIX_SSL_CERT_FILE": "/certs",
        "LOCALE_ARCHIVE": "/locales",
        "TZDIR": "/zones",
    }


def test_git_trusts_a_directory_of_somebody_else_only_where_asked_to() -> None:
    assert not any(name.startswith("GIT_") for name in laid(frozen()))
    found = laid(frozen(), safe_directory='/srv/a "b" $c')
    assert found["GIT_CONFIG_COUNT"] == "2"
    assert found["GIT_CONFIG_KEY_0"] == found["GIT_CONFIG_KEY_1"] == "safe.directory"
    assert (found["GIT_CONFIG_VALUE_0"], found["GIT_CONFIG_VALUE_1"]) == ('/srv/a "b" $c', '/srv/a "b" $c/*')


def test_the_surroundings_name_only_what_exists() -> None:
    around = variable_layers.surroundings(people.alice("/"), people.agent("/"), nix_daemon=True)
    assert around.nix_daemon == os.path.exists("/nix/var/nix/daemon-socket/socket")
    assert all(os.path.isdir(path) for path in around.path)
    assert around.certificates is None or os.path.exists(around.certificates)


def test_a_daemon_of_nix_that_is_not_shown_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    who = people.alice("/"), people.agent("/")
    assert variable_layers.surroundings(*who, nix_daemon=True).nix_daemon
    assert not variable_layers.surroundings(*who, nix_daemon=False).nix_daemon


# -- the terminal's variables


def test_the_terminal_is_described_and_nothing_else_is_passed() -> None:
    passed = {"TERM": "xterm", "COLORTERM": "truecolor", "LANG": "de_DE.UTF-8", "LC_TIME": "C", "NO_COLOR": ""}
    refused = {"PATH": "/x", "LD_PRELOAD": "/x", "NODE_OPTIONS": "-r /x", "HOME": "/x", "SUDO_UID": "0", "IFS": "x"}
    assert variable_layers.terminal({**passed, **refused}) == passed


def test_the_names_come_from_a_file_that_nix_reads_too() -> None:
    assert {"TERM", "LANG", "TZ", "TERM_PROGRAM", "KITTY_WINDOW_ID", "TMUX"} <= TERMINAL_VARIABLES
    assert all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for name in TERMINAL_VARIABLES)
    # sudo must not pass on what selects code, or files that a program of root's would open.
    bad = (
        "TERMINFO",
        "TERMCAP",
        "PATH",
        "HOME",
        "SHELL",
        "ENV",
        "LOCPATH",
        "NLSPATH",
        "LD_",
        "PYTHON",
        "NODE_",
        "SUDO_",
    )
    assert not [name for name in TERMINAL_VARIABLES if name.startswith(bad)]


@pytest.mark.parametrize("value", ["\x1b[31m", "a\nb", "\x7f", "ü", "\udcff", "x" * 257, "\t"])
def test_a_value_that_is_odd_is_not_passed(value: str) -> None:
    assert variable_layers.terminal({"TERM": value, "LC_ALL": value, "LANG": "C"}) == {"LANG": "C"}


@given(st.dictionaries(st.text(max_size=8) | st.text(max_size=8).map("LC_".__add__), st.text(max_size=8), max_size=5))
def test_every_value_that_is_passed_is_plain(environ: dict[str, str]) -> None:
    for value in variable_layers.terminal(environ).values():
        assert value.isascii() and value.isprintable()


@given(st.text(max_size=8).map("LC_".__add__))
@example("LC_\nA")
def test_every_name_that_is_passed_is_a_variables_name(name: str) -> None:
    assert all(re.fullmatch(r"[A-Z_]+", passed) for passed in variable_layers.terminal({name: "C"}))


def test_a_name_cannot_bring_another_variable_along() -> None:
    described = variable_layers.terminal({"LC_X\nNODE_OPTIONS": "--require=/evil"})
    assert described == {}
    lines = rendered(laid(frozen(), terminal=described)).decode().splitlines()
    assert not any(line.startswith("NODE_OPTIONS=") for line in lines)
