"""The plan of a launch as a value. For refusals that change nothing, see test_refused_while_planning.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.cli import launch_request
from pi_agent.environment import variable_layers
from pi_agent.environment.git_identity import rendered
from pi_agent.environment.variable_layers import Sources
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, Refusal
from pi_agent.sandbox import prepared_root
from pi_agent.sandbox.system_directories import COMPILE_CACHE
from pi_agent.session import launch_plan
from pi_agent.session.launch_plan import Configuration, Plan
from pi_agent.state.home_files import HomeFile, ProjectLink
from tests.support import policies
from tests.support.launching import Launching
from tests.support.limits import open_descriptors
from tests.support.policies import replaced
from tests.support.shapes import ODD
from tests.support.trees import mode_of, snapshot, statuses, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(
        tmp_path, monkeypatch,
        extraRunArgs=["--extra", "hunter2"], environment={"A": "hunter2"}, extraEnvironment={"WRAPPER": "1"},
    )  # fmt: skip


def files_of(plan: Plan) -> dict[str, bytes]:
    return {file.path: file.content for file in plan.configuration.files}


# -- what the session is configured with


def test_the_hosts_environment_and_documents_are_read(here: Launching) -> None:
    write(here.host / ".env", "IN=1")
    write(here.host.parent / ".env", "BESIDE=1\nIN=0")
    write(here.host / "settings.json", {"a": 1})
    found = here.plan().configuration
    assert found.sources.host == {"BESIDE": "1", "IN": "1"}
    assert found.sources.secrets == {}
    assert found.sync is not None
    assert {each.kind.name: each.after.written for each in found.sync.documents} == {
        "settings.json": {"a": 1}, "auth.json": {}, "mcp-auth.json": {}, "trust.json": {},
    }  # fmt: skip


def test_the_record_of_variables_is_to_be_written_until_it_is(here: Launching) -> None:
    write(here.host / ".env", "IN=1")
    plan = here.plan()
    content = files_of(plan)[".pi/.env"]
    assert b'A="hunter2"' in content and b'IN="1"' in content
    write(here.tree / ".pi/.env", content)
    assert ".pi/.env" not in files_of(here.plan())


@pytest.mark.parametrize("question", ["--help", "--version"])
def test_for_help_and_version_nothing_of_the_host_is_read_and_nothing_isolated_is_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    here = Launching(tmp_path, monkeypatch, settings={"theme": "nix"}, environment={"A": "1"})
    write(here.host / "settings.json", "broken")
    write(here.host / ".env", b"\xff")
    write(here.home / ".gitconfig", "[user]\nname = Alice\n")
    monkeypatch.setenv("TERM", "xterm")
    plan = here.plan(question)
    assert plan.configuration == Configuration(Sources({"TERM": "xterm"}, {}, {}), None, (), None, {})
    assert plan.directory == here.agent.home
    assert plan.view.project is None and plan.notices == []


def test_a_bad_env_file_of_the_host_is_refused_before_anything_changes(here: Launching) -> None:
    write(here.host / "settings.json", {"a": 1})
    write(here.host / ".env", b"A=\xff")
    before = statuses(here.state)
    with pytest.raises(Refusal) as caught:
        here.plan()
    assert caught.value.status == EX_DATAERR
    assert statuses(here.state) == before


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_a_missing_environment_file_is_refused_also_for_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    here = Launching(tmp_path, monkeypatch, environmentFiles=["/nonexistent/secrets.env"])
    with pytest.raises(Refusal) as caught:
        here.plan(*arguments)
    assert caught.value.status == EX_CONFIG
    assert "/nonexistent/secrets.env" in caught.value.what


def test_without_sync_the_hosts_env_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Launching(tmp_path, monkeypatch, syncConfigFromHost=False)
    write(here.host / ".env", "IN=1")
    plan = here.plan()
    assert plan.configuration.sources.host == {}
    assert b"IN" not in files_of(plan)[".pi/.env"]
    assert plan.configuration.sync is not None and plan.configuration.sync.sides.host is None


@pytest.mark.parametrize("synced", [True, False])
def test_the_git_identity_is_written_only_where_the_host_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool
) -> None:
    here = Launching(tmp_path, monkeypatch, syncConfigFromHost=synced)
    write(here.home / ".gitconfig", "[user]\nname = Alice\n[credential]\nhelper = store\n")
    plan = here.plan()
    assert plan.configuration.git_identity == ({"name": "Alice"} if synced else {})
    content = files_of(plan).get(".config/git/config")
    assert content == (rendered({"name": "Alice"}) if synced else None)
    assert content is None or b"credential" not in content


def test_the_project_is_linked_in_the_agents_home_until_it_is(here: Launching) -> None:
    assert here.plan().configuration.link == ProjectLink(str(here.root))
    link = here.tree / "projects/projects"
    link.parent.mkdir(parents=True)
    link.symlink_to(here.root)
    assert here.plan().configuration.link is None


# -- the environment


def test_the_later_layer_wins_and_each_says_who_sets_what(here: Launching) -> None:
    write(here.host / ".env", "HOST=1\nA=host\nWRAPPER=host\nHOME=/evil")
    layers = here.plan().layers
    setters = {name: layer.setter for layer in layers for name in layer.variables}
    assert (setters["HOST"], setters["A"], setters["WRAPPER"], setters["HOME"]) == (
        "host .env", "nix", "nix (wrapper)", "sandbox",
    )  # fmt: skip
    merged = variable_layers.merged(layers)
    assert (merged["HOST"], merged["A"], merged["WRAPPER"], merged["HOME"]) == ("1", "hunter2", "1", str(here.state))


def test_git_is_told_to_trust_a_project_only_where_owners_are_not_mapped(here: Launching) -> None:
    assert "GIT_CONFIG_COUNT" not in variable_layers.merged(here.plan().layers)
    here.kernel.refuses = {"idmap"}
    assert variable_layers.merged(here.plan().layers)["GIT_CONFIG_VALUE_0"] == str(here.root)


@pytest.mark.parametrize("term", ["xterm-256color", None, "\x1b[2J", "x" * 257])
def test_of_the_callers_environment_systemd_run_gets_the_terminals_name_alone(
    here: Launching, term: str | None
) -> None:
    named = ("LANG", "LC_ALL", "COLORTERM", "TZ", "SYSTEMD_LOG_LEVEL", "DBUS_SYSTEM_BUS_ADDRESS", "PATH")
    environ = {**dict.fromkeys(named, "C"), **({} if term is None else {"TERM": term})}
    plan = launch_plan.plan(replaced(here.request("--version"), environ=environ))
    assert plan.start.environ == ({"TERM": term} if term == "xterm-256color" else {})
    inside = variable_layers.merged(plan.layers)
    assert inside["LANG"] == "C", "inside, the language is known"
    assert not {"SYSTEMD_LOG_LEVEL", "DBUS_SYSTEM_BUS_ADDRESS"} & inside.keys()


# -- the unit


def test_nothing_that_was_asked_for_or_is_secret_is_on_the_units_command_line(here: Launching) -> None:
    write(here.host / ".env", "HOST=hunter2")
    plan = here.plan(*ODD)
    assert plan.request.command[-len(ODD) :] == ODD
    text = "\n".join(plan.start.argv)
    assert "hunter2" not in text
    assert "new\nline" not in text and "$x" not in text
    assert all(word.isprintable() for word in plan.start.argv)


def test_the_unit_is_started_with_the_plans_properties_in_their_order(here: Launching) -> None:
    plan = here.plan()
    given = [word.removeprefix("--property=") for word in plan.start.argv if word.startswith("--property=")]
    assert tuple(given) == plan.properties
    assert f"RootDirectory={prepared_root.look().path}" in given


def test_nothing_of_the_callers_or_the_agents_is_among_the_properties(here: Launching) -> None:
    plan = here.plan()
    session = plan.request.session.directory
    assert not any(str(here.top) in each.replace(session, "") for each in plan.properties if "Root" not in each)
    assert plan.directory == str(here.directory)


def test_without_a_project_nothing_of_the_host_is_mounted(here: Launching) -> None:
    plan = here.plan("--version")
    assert plan.view.project is None and plan.directory == here.agent.home
    assert here.kernel.calls("clone") == [f"clone {here.state}"], "whether the state can be mapped"
    assert here.kernel.attached() == {}


@pytest.mark.parametrize("terminal", [True, False])
def test_a_unit_gets_the_terminal_that_the_request_has(here: Launching, terminal: bool) -> None:
    plan = launch_plan.plan(replaced(here.request(), terminal=terminal))
    assert plan.start.terminal is terminal
    assert ("--pty" in plan.start.argv) is terminal


# -- the whole


def test_notices_of_the_configuration_come_before_those_of_the_mounts(here: Launching) -> None:
    os.mkfifo(here.host / "pipe")
    here.kernel.refuses = {"idmap"}
    assert here.plan().notices == [
        notices.not_a_file(f"{here.host}/pipe"), notices.owners_not_mapped(str(here.root)),
    ]  # fmt: skip


def test_planning_attaches_nothing_and_makes_nothing(here: Launching) -> None:
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/x", "x")
    before = snapshot(here.state), statuses(here.home)
    plan = here.plan()
    assert plan.state.make[0] == "users/alice" and plan.state.make[-1] == str(here.memory.parent)
    assert (snapshot(here.state), statuses(here.home)) == before
    assert here.kernel.attached() == {} and here.kernel.calls("new") == []
    assert not here.staging.exists()
    assert here.bin.calls() == []


def test_what_a_plan_holds_is_open_until_it_is_closed(here: Launching) -> None:
    request = here.request()
    before = open_descriptors()
    plan = launch_plan.plan(request)
    held = set(open_descriptors()) - set(before)
    assert held, "the host's configuration, and a mount of the project"
    plan.held.close()
    assert open_descriptors() == before
    plan.held.close()


def test_what_the_agent_closed_to_itself_stays_closed_until_the_launch(
    ordinary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Launching(ordinary, monkeypatch)
    write(here.host / "skills/x", "x")
    write(here.isolated / "skills/y", "y")
    closed = (here.isolated / "skills", here.tree / ".npm")
    closed[1].mkdir()
    for place in closed:
        place.chmod(0)
    plan = here.plan()
    assert [mode_of(place) for place in closed] == [0, 0]
    assert plan.configuration.sync is not None and plan.configuration.sync.closed
    assert plan.notices == [notices.isolated_directory_closed(str(here.tree))]
    assert "users/alice/.npm" in plan.state.make


def test_a_home_that_the_agent_closed_is_told_of(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Launching(ordinary, monkeypatch)
    here.tree.mkdir(parents=True)
    assert here.plan().notices == []
    here.tree.chmod(0)
    plan = here.plan()
    assert plan.state.closed and plan.state.home is None
    assert plan.notices == [notices.isolated_directory_closed(str(here.tree))]


@pytest.mark.parametrize("shown", [["/nonexistent/x"], []])
def test_a_refused_plan_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    here = Launching(tmp_path, monkeypatch, sandbox=policies.sandbox(readOnlyPaths=shown))
    if not shown:
        write(here.host / "auth.json", "broken")
    request = here.request()
    before = open_descriptors()
    with pytest.raises(Refusal):
        launch_plan.plan(request)
    assert open_descriptors() == before


def test_a_home_file_says_where_it_goes() -> None:
    assert HomeFile("a/b", "c", b"").path == "a/b/c"
    assert ProjectLink("/home/alice/p").path == "projects/p"


# -- the compile cache


def test_pi_is_told_of_the_compile_cache_and_a_shell_only_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache/node"
    here = Launching(tmp_path, monkeypatch, compileCache=str(cache))
    before = here.plan()
    cache.mkdir(parents=True)
    pi, shell = here.plan(), launch_plan.plan(launch_request.for_shell(here.policy, here.caller))
    told = [variable_layers.merged(plan.layers).get("NODE_COMPILE_CACHE") for plan in (before, pi, shell)]
    assert told == [None, COMPILE_CACHE, None]
    bound = f'BindReadOnlyPaths="-{cache}":"{COMPILE_CACHE}"'
    shown = [bound in plan.properties for plan in (before, pi, shell)]
    assert shown == [False, True, True]
