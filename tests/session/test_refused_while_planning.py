"""A launch that is refused while it is planned changes nothing anywhere, and explaining it reports the same.

The table holds every refusal that planning can raise. Add each new one to it. For a booted machine, with everything
real, see checks/scenarios/test_refused_while_planning.py.
"""

from __future__ import annotations

import errno
import fcntl
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
import pytest

from pi_agent.linux import mount_api, paths
from pi_agent.linux.identities import Identity
from pi_agent.messages import installation_refusals, refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import project_roots
from pi_agent.python import lazy_orjson
from pi_agent.sandbox import covers, project_search, protection, unit_properties
from pi_agent.state import documents, scans
from tests.support import policies, trust
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import USER, host_user, replaced
from tests.support.runners import Runner
from tests.support.trees import put, snapshot, statuses, write

# Somebody else than the user who runs the tests, so that the agent can be locked out.
_AGENT: Final = Identity("pi-agent-alice", 65534, 65534, (65534,), "")

# Raised only by those that carry out a launch or start the runner.
_NEVER_WHILE_PLANNING: Final = frozenset({"state_not_writable", "tool_failed", "sudo_unavailable"})


Arrange = Callable[["Prepared"], None]


@dataclass(frozen=True)
class Case:
    """refusal: its function. status: its exit status. arrange: causes it."""

    refusal: str
    status: int
    arrange: Arrange


# -- how each comes about


def _raising(number: int) -> Callable[..., Any]:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


def _policy(content: bytes | None) -> Arrange:
    def arrange(it: Prepared) -> None:
        it.file.unlink() if content is None else it.file.write_bytes(content)

    return arrange


def _policy_of_the_user(it: Prepared) -> None:
    (it.top / f"{USER}.json").write_text("{")


def _without_sudo(it: Prepared) -> None:
    it.ask_as("")


def _as_root(it: Prepared) -> None:
    it.ask_as("0")


def _as_somebody(it: Prepared) -> None:
    it.ask_as("3999999999")


def _without_agent(**names: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        it.ask_the_machine_for_the_agent()
        it.allow(**names)

    return arrange


def _agent_is_root(it: Prepared) -> None:
    it.ask_the_machine_for_the_agent()
    it.allow(user="nobody", group="nogroup", hostUsers={USER: host_user("~/projects", agent_user="root")})


def _agent_in_roots_group(it: Prepared) -> None:
    it.ask_the_machine_for_the_agent()
    agent = {**host_user("~/projects", agent_user="daemon"), "agentGroup": "root"}
    it.allow(user="nobody", group="nogroup", hostUsers={USER: agent})


def _state_that_cannot_be_mapped(it: Prepared) -> None:
    it.agent = replaced(it.agent, uid=65533)
    it.kernel.refuses = {"idmap"}


def _sync_open_to_others(it: Prepared) -> None:
    trust.judge_directories(it.monkeypatch)
    it.memory.parents[1].chmod(0o777)


def _elsewhere(it: Prepared) -> None:
    it.monkeypatch.chdir(it.home)


def _gone(it: Prepared) -> None:
    gone = it.root / "gone"
    gone.mkdir()
    it.monkeypatch.chdir(gone)
    gone.rmdir()


def _gone_since_it_was_located(it: Prepared) -> None:
    it.monkeypatch.setattr(paths, "walk_inside", _raising(errno.ENOENT))


def _root_at(*parts: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        place = Path(it.home, *parts)
        place.mkdir(parents=True, exist_ok=True)
        it.allow(hostUsers={USER: host_user(str(place))})
        it.monkeypatch.chdir(place)

    return arrange


def _root_over_the_state(it: Prepared) -> None:
    it.allow(hostUsers={USER: host_user(str(it.top))})


def _root_over_the_systems(it: Prepared) -> None:
    it.monkeypatch.setattr(project_roots, "RESERVED", (str(it.root),))


def _deep(it: Prepared) -> None:
    place = it.root
    for _ in range(protection.LEVELS_AT_MOST + 1):
        place = place / "d"
        place.mkdir()
    it.monkeypatch.chdir(place)


def _much_to_protect(it: Prepared) -> None:
    it.monkeypatch.setattr(covers, "COVERS_AT_MOST", 0)


def _much_to_look_at(it: Prepared) -> None:
    it.monkeypatch.setattr(project_search, "LOOKS_AT_MOST", 0)


def _closed(it: Prepared) -> None:
    it.directory.chmod(0o700)


def _closed_above(it: Prepared) -> None:
    it.root.chmod(0o700)


def _closed_where_owners_are_not_mapped(it: Prepared) -> None:
    it.kernel.refuses = {"idmap"}
    _closed(it)


def _extra(path: str, option: str = "readOnlyPaths") -> Arrange:
    return lambda it: it.allow(sandbox=_options(**{option: [path]}))


def _extra_redirectable(it: Prepared) -> None:
    (it.top / "open").mkdir()
    (it.top / "open").chmod(0o777)
    (it.top / "open/link").symlink_to("/etc")
    it.allow(sandbox=_options(readWritePaths=[f"{it.top}/open/link"]))


def _no_mount(what: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        it.kernel.refuses = {what}

    return arrange


def _no_user_namespaces(it: Prepared) -> None:
    it.monkeypatch.setattr(mount_api, "user_namespace", _raising(errno.EAGAIN))


def _protection_fails(it: Prepared) -> None:
    it.monkeypatch.setattr(project_search, "places", _raising(errno.EIO))


def _machine_fails_to_locate(it: Prepared) -> None:
    it.monkeypatch.setattr(paths, "real_path", _raising(errno.EMFILE))


def _machine_fails_in_the_mount(it: Prepared) -> None:
    it.monkeypatch.setattr(paths, "walk_inside", _raising(errno.EIO))


def _part_of_python_is_missing(it: Prepared) -> None:
    def failing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'orjson'")

    it.monkeypatch.setattr(lazy_orjson, "orjson", failing)


def _a_bug(it: Prepared) -> None:
    def failing(*_: object) -> None:
        raise KeyError("x")

    it.monkeypatch.setattr(unit_properties, "properties", failing)


def _state_gone(it: Prepared) -> None:
    it.state.rename(it.top / "away")


def _state_a_file(it: Prepared) -> None:
    _state_gone(it)
    it.state.write_text("")


def _state_a_link(it: Prepared) -> None:
    _state_gone(it)
    it.state.symlink_to("away")


def _state_of_somebody(it: Prepared) -> None:
    os.chown(it.state, 4321, 4321)


def _state_being_reset(it: Prepared) -> None:
    descriptor = os.open(it.memory.parent, os.O_RDONLY)
    it.held.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _memory_a_directory(it: Prepared) -> None:
    it.memory.unlink()
    it.memory.mkdir()


def _memory_a_link(it: Prepared) -> None:
    it.memory.rename(it.memory.with_suffix(".away"))
    it.memory.symlink_to("memory.away")


def _state_fails(it: Prepared) -> None:
    it.monkeypatch.setattr("pi_agent.linux.directories.peek", _raising(errno.EIO))


def _secrets(path: str) -> Arrange:
    return lambda it: it.allow(environmentFiles=[path])


def _secrets_in_a_place_of_others(it: Prepared) -> None:
    write(it.top / "x.env", "A=1")
    it.allow(environmentFiles=[f"{it.top}/x.env"])


def _secrets_that_say_nothing(it: Prepared) -> None:
    it.allow(environmentFiles=["/etc/hostname"])
    it.monkeypatch.setattr("pi_agent.environment.env_file_syntax.parse", _unparsable)


def _unparsable(content: bytes) -> dict[str, str]:
    raise ValueError("line 1 does not begin with a variable's name and `=`")


def _config_at(place: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        write(it.home / "file", "x")
        (it.home / "kernels").symlink_to("/proc/self")
        (it.home / "loop").symlink_to("loop")
        it.allow(hostUsers={USER: host_user("~/projects", config_path=place)})

    return arrange


def _config_with_many_files(it: Prepared) -> None:
    it.monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 2)


def _config_with_much_in_it(it: Prepared) -> None:
    it.monkeypatch.setattr(scans, "BYTES_AT_MOST", 2)


def _config_with_many_links(it: Prepared) -> None:
    it.monkeypatch.setattr(scans, "LOOKS_AT_MOST", 2)


def _host(name: str, content: object) -> Arrange:
    return lambda it: write(it.host / name, content)


def _host_has_a_pipe(name: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        (it.host / name).unlink(missing_ok=True)
        os.mkfifo(it.host / name)

    return arrange


def _host_has_a_directory(name: str) -> Arrange:
    def arrange(it: Prepared) -> None:
        (it.host / name).unlink(missing_ok=True)
        (it.host / name).mkdir()

    return arrange


_BROKEN: Final = {
    "nonsense": b"nonsense",
    "cut off": b'{"a": 1, "b"',
    "empty": b"",
    "a list": b"[]",
    "no text": b"\xff",
    "too large": b" " * documents.BYTES_AT_MOST + b"{}",
    "nested": b'{"a":' * 200 + b"1" + b"}" * 200,
    "nested beyond reason": b"[" * 100_000,
}
_BROKEN_ENV: Final = {
    "no text": b"A=\xff",
    "no assignment": b"hunter2",
    "no name": b"1A=x",
    "an open quote": b'A="x',
    "a control character": b"A=\x01",
    "many variables": b"".join(b"A%d=1\n" % number for number in range(2001)),
    "too large": b"#" * (1024**2 + 1),
}

_CASES: Final[dict[str, Case]] = {
    "the policy is not understood": Case("policy_unreadable", 78, _policy(b"{}")),
    "the policy is nonsense": Case("policy_unreadable", 78, _policy(b"\xff")),
    "the policy is gone": Case("policy_unreadable", 78, _policy(None)),
    "the policy of the user is nonsense": Case("policy_unreadable", 78, _policy_of_the_user),
    "nobody asks": Case("not_through_sudo", 77, _without_sudo),
    "root asks": Case("root_refused", 77, _as_root),
    "a stranger asks": Case("user_not_listed", 77, _as_somebody),
    "there is no agent": Case("identities_missing", 78, _without_agent(user="pi-agent-nobody-has")),
    "there is no group": Case("identities_missing", 78, _without_agent(user="root", group="pi-agent-nobody-has")),
    "there is no group for projects": Case(
        "identities_missing", 78, _without_agent(user="root", group="root", projectGroup="pi-agent-nobody-has")
    ),
    "there is no agent for this user": Case("identities_missing", 78, _without_agent(user="root", group="root")),
    "the agent is root": Case("agent_shares_id", 78, _agent_is_root),
    "the agent is in root's group": Case("agent_shares_group", 78, _agent_in_roots_group),
    "outside of the roots": Case("outside_roots", 77, _elsewhere),
    "the directory is gone": Case("directory_gone", 77, _gone),
    "the directory has just gone": Case("directory_gone", 77, _gone_since_it_was_located),
    "a root over the state": Case("root_reserved", 78, _root_over_the_state),
    "a root where the sandbox has its own": Case("root_reserved", 78, _root_over_the_systems),
    "a root with a line break": Case("root_unmountable", 78, _root_at("new\nline")),
    "a directory too deep": Case("directory_too_deep", 69, _deep),
    "too much to protect": Case("too_much_to_protect", 69, _much_to_protect),
    "too much to look at": Case("too_much_to_protect", 69, _much_to_look_at),
    "a directory closed to the agent": Case("directory_closed_to_agent", 77, _closed),
    "a directory above closed to the agent": Case("directory_closed_to_agent", 77, _closed_above),
    "a closed directory whose owners are not mapped": Case(
        "directory_closed_to_agent", 77, _closed_where_owners_are_not_mapped
    ),
    "a further path that is not there": Case("extra_path_unusable", 78, _extra("/nonexistent/x")),
    "a further path below a file": Case("extra_path_unusable", 78, _extra("/etc/passwd/x", "readWritePaths")),
    "a further path that others can redirect": Case("extra_path_unusable", 78, _extra_redirectable),
    "a mount that cannot be cloned": Case("staging_failed", 69, _no_mount("clone")),
    "a mount that cannot be set up": Case("staging_failed", 69, _no_mount("set_attributes")),
    "no process for the map of owners": Case("staging_failed", 69, _no_user_namespaces),
    "a protection that the machine fails to plan": Case("staging_failed", 69, _protection_fails),
    "too few descriptors to find the project": Case("machine_failed", 69, _machine_fails_to_locate),
    "a disk that fails below the project": Case("machine_failed", 69, _machine_fails_in_the_mount),
    "a part of Python that is missing": Case("machine_failed", 69, _part_of_python_is_missing),
    "a bug of ours": Case("bug", 70, _a_bug),
    "the state is gone": Case("state_missing", 78, _state_gone),
    "the state is a file": Case("state_missing", 78, _state_a_file),
    "the state is a link": Case("state_missing", 78, _state_a_link),
    "the state is somebody else's": Case("state_missing", 78, _state_of_somebody),
    "the state cannot be the agent's": Case("state_not_mapped", 78, _state_that_cannot_be_mapped),
    "sync's directory is open to others": Case("sync_directory_unusable", 78, _sync_open_to_others),
    "the state is being reset": Case("state_being_reset", 69, _state_being_reset),
    "the memory is a directory": Case("state_unreadable", 69, _memory_a_directory),
    "the memory is a link": Case("state_unreadable", 69, _memory_a_link),
    "the state is on a disk that fails": Case("state_unreadable", 69, _state_fails),
    "an environment file that is not there": Case("env_file_unusable", 78, _secrets("/nonexistent/x")),
    "an environment file that is a directory": Case("env_file_unusable", 78, _secrets("/etc")),
    "an environment file in a place of others": Case("env_file_unusable", 78, _secrets_in_a_place_of_others),
    "an environment file that says nothing": Case("env_file_unusable", 78, _secrets_that_say_nothing),
    "a configuration that is a file": Case("config_not_a_directory", 65, _config_at("file")),
    "a configuration below a file": Case("config_not_a_directory", 65, _config_at("file/x")),
    "a configuration that is the kernel's": Case("config_unreadable", 65, _config_at("kernels")),
    "a configuration that is a loop": Case("config_unreadable", 65, _config_at("loop")),
    "a configuration with many files": Case("config_too_large", 65, _config_with_many_files),
    "a configuration with much in it": Case("config_too_large", 65, _config_with_much_in_it),
    "a configuration with many links": Case("config_too_large", 65, _config_with_many_links),
    **{
        f"{name} is {kind}": Case("document_invalid", 65, _host(name, content))
        for name in ("settings.json", "auth.json")
        for kind, content in _BROKEN.items()
    },
    **{
        f"{name} is a {kind}": Case("document_invalid", 65, make(name))
        for name in ("settings.json", "auth.json")
        for kind, make in (("pipe", _host_has_a_pipe), ("directory", _host_has_a_directory))
    },
    **{f".env has {kind}": Case("host_env_invalid", 65, _host(".env", text)) for kind, text in _BROKEN_ENV.items()},
    "the other .env is broken": Case("host_env_invalid", 65, _host("../.env", b"\xff")),
    ".env is a pipe": Case("host_env_invalid", 65, _host_has_a_pipe(".env")),
    ".env is a directory": Case("host_env_invalid", 65, _host_has_a_directory(".env")),
}


# -- the bench


def _options(**more: Any) -> dict[str, Any]:
    return policies.sandbox(protectedPaths=[".envrc", ".git/hooks"], hiddenPaths=["projects/.ssh"], **more)


class Prepared(Runner):
    """A launch that would have much to do: everything has changed on the host. held: what to undo afterwards."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = ExitStack()
        super().__init__(top, monkeypatch, _AGENT, sandbox=_options(), settings={"theme": "nix"})
        write(self.host / "settings.json", {"look": "old"})
        write(self.host / "auth.json", {"provider": {"key": "old"}})
        write(self.host / "skills/old/SKILL.md", "old")
        write(self.host / ".env", "A=old")
        write(self.home / ".gitconfig", "[user]\nname = Old\n")
        put(self.root / ".envrc")
        put(self.root / ".git/hooks/pre-commit")
        before = set(open_descriptors())
        assert self.run() == 0
        for descriptor in {*open_descriptors()} - before:  # the process of that launch has ended
            with suppress(OSError):  # the descriptor that was used to list the others
                os.close(int(descriptor))
        write(self.host / "settings.json", {"look": "new"})
        write(self.host / "auth.json", {"provider": {"key": "new"}})
        write(self.host / "skills/new/SKILL.md", "new")
        (self.host / "skills/old/SKILL.md").unlink()
        write(self.host / ".env", "A=new")
        write(self.home / ".gitconfig", "[user]\nname = New\n")
        write(self.isolated / "skills/planted", "by the agent")
        (self.tree / "projects/projects").unlink()
        (self.tree / ".npm").rmdir()
        self.journal.clear()
        self.bin.log.unlink()
        self.kernel.log.unlink()

    def everything(self) -> dict[str, object]:
        """Everything that a launch could change: state and memory, sessions, home with configuration and project."""
        found: dict[str, object] = {}
        for place in (self.state, self.memory.parents[1], self.top / "away", self.staging, self.home):
            if place.exists():
                found |= {f"{place}: {name}": each for name, each in statuses(place).items()}
                found |= {f"{place}/{name}": each for name, each in snapshot(place).items()}
        return found


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepared]:
    # The agent can enter this directory, unlike pytest's own.
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/tmp") as top:
        Path(top).chmod(0o755)
        with monkeypatch.context() as patch:
            made = Prepared(Path(top), patch)
            with made.held:
                yield made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refusals that were raised, by the names of their functions."""
    found: list[str] = []
    for name, function in _functions().items():

        def remembered(*facts: Any, _name: str = name, _function: Callable[..., Refusal] = function) -> Refusal:
            found.append(_name)
            return _function(*facts)

        monkeypatch.setattr(sys.modules[function.__module__], name, remembered)
    return found


def _functions() -> dict[str, Callable[..., Refusal]]:
    return {
        name: value
        for module in (refusals, installation_refusals)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__annotations__.get("return") == "Refusal"
    }


# -- the tests


def test_every_refusal_is_in_the_table_or_can_never_be_given_while_planning() -> None:
    planned = {case.refusal for case in _CASES.values()}
    assert planned | _NEVER_WHILE_PLANNING == set(_functions())
    assert not planned & _NEVER_WHILE_PLANNING


@needs_root
def test_this_launch_would_change_something_of_every_kind_if_it_were_not_refused(it: Prepared) -> None:
    before = it.everything()
    assert it.run() == 0
    after = it.everything()
    changed = {name for name in {*before, *after} if before.get(name, "") != after.get(name, "")}
    for name in ("settings.json", "auth.json", "skills/new/SKILL.md", "skills/planted"):
        assert f"{it.state}/users/alice/.pi/agent/{name}" in changed, name
    for name in (".pi/.env", ".config/git/config", "projects/projects", ".npm"):
        assert f"{it.state}/users/alice/{name}" in changed, name
    assert str(it.memory) in changed


@needs_root
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in _CASES.items()])
def test_a_launch_that_is_refused_while_planning_changes_nothing_and_is_explained_by_the_same_refusal(
    it: Prepared, made: list[str], capfd: pytest.CaptureFixture[str], case: Case
) -> None:
    case.arrange(it)
    before = it.everything()
    assert it.run("-p", "hunter2") == case.status
    assert it.everything() == before
    assert made[-1] == case.refusal
    said = capfd.readouterr()
    assert said.out == "" and "Traceback" not in said.err and "hunter2" not in said.err
    # Nothing was started, mounted or reported, except the refusal.
    assert it.events() == ["refused"] and it.journal[0]["PI_AGENT_OUTCOME"] == str(case.status)
    assert it.bin.calls() == [] and it.kernel.attached() == {} and it.kernel.calls("new") == []

    made.clear()
    assert it.run("--sandbox-explain", "--json") == case.status
    assert it.everything() == before
    assert made[-1] == case.refusal
    explained = capfd.readouterr()
    if explained.out:
        refusal = orjson.loads(explained.out)["refusal"]
        lines = [f"pi: {refusal['what']}", *(f"    {line}" for line in refusal["remedy"].split("\n"))]
        assert said.err.splitlines() == lines
        assert it.events() == ["refused"], "what is only told is nothing for the journal"
    else:
        assert explained.err == said.err
    assert it.bin.calls() == [] and it.kernel.attached() == {}
