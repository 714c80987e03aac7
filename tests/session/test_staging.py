from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pi_agent.session.configuration import Configured

from pi_agent.environment import env_file_syntax
from pi_agent.linux import mount_api, paths
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.records import values
from pi_agent.session import session_directory, staging
from pi_agent.session.session_names import Session
from pi_agent.session.systemd_run import Start
from tests.support import people, policies
from tests.support.bench import Bench, bench
from tests.support.fakes import Bin, Kernel
from tests.support.namespaces import alone
from tests.support.people import needs_root
from tests.support.shapes import ODD
from tests.support.trees import put


class Stage:
    """A launch up to the point where it could be started, with stand-ins for the tools."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.bin = Bin(tmp / "bin")
        self.kernel = Kernel(tmp / "kernel.log", monkeypatch)
        tools = {name.replace("_", "-"): path for name, path in vars_of(self.bin).items()}
        self.here: Bench = bench(
            tmp, tools=tools, extraRunArgs=["--extra", "hunter2"], environment={"A": "hunter2"},
            sandbox=policies.sandbox(**options),
        )  # fmt: skip
        self.policy: Policy = self.here.policy
        self.session = Session("pi-agent-alice-0.service", str(tmp / "session"))
        os.mkdir(self.session.directory, 0o700)
        root = tmp / "home/projects"
        root.mkdir()
        self.project = Project(str(root), paths.walk(str(root)), f"{root}/demo")
        self.notices: list[str] = []

    def stage(self, project: Project | None) -> Start:
        configured = Configured({"HOST": "hunter2", "A": "host"}, {"SECRET": "hunter2"})
        who = people.alice("/home/alice"), self.here.agent
        noted = self.notices.append
        return staging.stage(self.policy, self.session, *who, self.here.state, project, configured, ODD, noted)

    def request(self) -> list[str]:
        content = Path(self.session.argv).read_bytes()
        assert content.endswith(b"\0")
        return [os.fsdecode(word) for word in content[:-1].split(b"\0")]


def vars_of(bin_: Bin) -> dict[str, str]:
    tools = bin_.tools()
    return dict(zip(type(tools)._fields, values(tools), strict=True))  # type: ignore[attr-defined]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def binds(start: Start, name: str = "BindPaths") -> list[str]:
    return [word.removeprefix(f"--property={name}=") for word in start.argv if word.startswith(f"--property={name}=")]


def test_the_request_is_our_name_the_directory_then_the_command_whatever_bytes_it_holds(stage: Stage) -> None:
    stage.stage(stage.project)
    name, directory, *command = stage.request()
    assert name == stage.policy.command_name
    assert directory == stage.project.directory
    assert tuple(command[-len(ODD) :]) == ODD


def test_nothing_that_was_asked_for_or_is_secret_is_on_the_units_command_line(stage: Stage) -> None:
    start = stage.stage(stage.project)
    text = "\n".join(start.argv)
    assert "hunter2" not in text
    assert "new\nline" not in text and "$x" not in text
    assert all(word.isprintable() for word in start.argv)


def test_everything_staged_is_for_root_alone(stage: Stage) -> None:
    stage.stage(stage.project)
    files = [path for path in Path(stage.session.directory).iterdir() if not path.is_dir()]
    written = {stage.session.about, stage.session.argv, stage.session.environment, stage.session.report}
    assert {str(path) for path in files} == written | {stage.session.empty[1]}
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in written)
    assert Path(stage.session.report).is_fifo()


def test_the_environment_is_given_to_the_unit_in_one_file(stage: Stage) -> None:
    start = stage.stage(stage.project)
    named = [word for word in start.argv if word.startswith("--property=EnvironmentFile=")]
    assert named == [f"--property=EnvironmentFile={stage.session.environment}"]
    found = environment_of(stage)
    assert (found["HOST"], found["SECRET"], found["A"]) == ("hunter2", "hunter2", "hunter2")
    assert found["PI_CODING_AGENT_DIR"] == f"{stage.here.agent.home}/.pi/agent"


def environment_of(stage: Stage) -> dict[str, str]:
    return env_file_syntax.parse(Path(stage.session.environment).read_bytes())


def test_a_session_has_pseudo_terminals_of_its_own(stage: Stage) -> None:
    start = stage.stage(None)
    assert len(stage.kernel.calls("new devpts ")) == 1
    assert stage.kernel.attached()[stage.session.terminals] == "/dev/null"
    assert f'"{stage.session.terminals}":"/dev/pts"' in binds(start)


def test_state_and_project_are_mounted_and_bound_where_they_belong(stage: Stage) -> None:
    start = stage.stage(stage.project)
    assert binds(start) == [
        f'"{stage.session.state}":"{stage.here.agent.home}"',
        f'"{stage.session.terminals}":"/dev/pts"',
        f'"{stage.session.project}":"{stage.project.root}"',
    ]
    assert stage.kernel.attached() == {
        stage.session.state: str(stage.here.tree),
        stage.session.terminals: "/dev/null",
        stage.session.project: stage.project.root,
    }
    assert not stage.notices
    assert os.readlink(stage.here.tree / "projects/projects") == stage.project.root


def test_without_a_project_nothing_of_the_host_is_mounted(stage: Stage) -> None:
    start = stage.stage(None)
    assert list(stage.kernel.attached()) == [stage.session.state, stage.session.terminals]
    assert not any(stage.session.project in bind for bind in binds(start))
    assert stage.request()[1] == stage.here.agent.home


def test_the_sandboxs_root_holds_links_and_nothing_else(stage: Stage) -> None:
    stage.stage(None)
    for folder, _, files in os.walk(stage.session.root):
        assert all(os.path.islink(os.path.join(folder, name)) for name in files)
    assert os.readlink(f"{stage.session.root}/var/run") == "/run"


@pytest.mark.parametrize("term", ["xterm-256color", None, "\x1b[2J", "x" * 257])
def test_of_the_callers_environment_systemd_run_gets_the_terminals_name_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    for name in ("LANG", "LC_ALL", "COLORTERM", "TZ", "SYSTEMD_LOG_LEVEL", "DBUS_SYSTEM_BUS_ADDRESS", "PATH"):
        monkeypatch.setenv(name, "C")
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    start = stage.stage(None)
    assert start.environ == ({"TERM": term} if term == "xterm-256color" else {})
    assert environment_of(stage)["LANG"] == "C", "inside, the language is known"


def test_a_directory_that_cannot_be_filled_is_refused(stage: Stage) -> None:
    Path(stage.session.project).write_text("in the way")
    with pytest.raises(Refusal) as caught:
        stage.stage(None)
    assert caught.value.status == EX_UNAVAILABLE


# -- further paths, and what is covered


def with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Stage:
    return Stage(tmp_path, monkeypatch, **options)


def test_further_paths_are_staged_by_number_and_bound_where_they_are_on_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data dir").mkdir()
    (tmp_path / "file").write_text("precious")
    stage = with_options(
        tmp_path, monkeypatch, readOnlyPaths=[f"{tmp_path}/file"], readWritePaths=[f"{tmp_path}/data dir"]
    )
    start = stage.stage(stage.project)
    extras = stage.session.extras
    assert f'"{extras}/0":"{tmp_path}/file"' in binds(start, "BindReadOnlyPaths")
    assert binds(start)[-1] == f'"{extras}/1":"{tmp_path}/data dir"'
    attached = stage.kernel.attached()
    assert (attached[f"{extras}/0"], attached[f"{extras}/1"]) == (f"{tmp_path}/file", f"{tmp_path}/data dir")
    assert stage.kernel.calls("idmap ")[1:] == [f"idmap {tmp_path}/file 0", f"idmap {tmp_path}/data dir 0"]
    assert stage.session.mounts[3:] and set(stage.session.mounts[3:]) == {f"{extras}/0", f"{extras}/1"}


def test_without_a_project_no_further_path_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = with_options(tmp_path, monkeypatch, readOnlyPaths=["/nonexistent"], readWritePaths=[str(tmp_path)])
    stage.stage(None)
    assert os.listdir(stage.session.extras) == []


@pytest.mark.parametrize("option", ["readOnlyPaths", "readWritePaths"])
@pytest.mark.parametrize("kind", ["missing", "dangling", "redirectable", "redirectable on the way", "below a file"])
def test_a_further_path_that_others_could_redirect_or_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, option: str
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").write_text("")
    (tmp_path / "open/etc").symlink_to("/etc")
    (tmp_path / "dangling").symlink_to("none")
    named = {
        "missing": "none", "dangling": "dangling", "redirectable": "open/etc",
        "redirectable on the way": "open/etc/ssl", "below a file": "file/x",
    }[kind]  # fmt: skip
    stage = with_options(tmp_path, monkeypatch, **{option: [f"{tmp_path}/{named}"]})
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Refusal) as caught:
        stage.stage(stage.project)
    assert caught.value.status == EX_CONFIG
    assert f"{tmp_path}/{named}" in caught.value.what
    assert ("redirect the link etc" in caught.value.what) is kind.startswith("redirectable")
    assert not any(place.startswith(stage.session.extras) for place in stage.kernel.attached())
    assert os.listdir("/proc/self/fd") == before


@needs_root
def test_a_further_path_is_followed_through_the_links_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    stage = with_options(tmp_path, monkeypatch, readOnlyPaths=[f"{tmp_path}/link"])
    start = stage.stage(stage.project)
    assert stage.kernel.attached()[f"{stage.session.extras}/0"] == f"{tmp_path}/real"
    assert f'"{stage.session.extras}/0":"{tmp_path}/link"' in binds(start, "BindReadOnlyPaths")


def test_on_a_file_system_that_cannot_map_owners_there_is_a_notice(stage: Stage) -> None:
    stage.kernel.refuses = {"idmap"}
    stage.stage(stage.project)
    assert stage.notices == [notices.owners_not_mapped(stage.project.root)]
    assert environment_of(stage)["GIT_CONFIG_VALUE_0"] == stage.project.root


def test_so_there_is_for_a_further_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    stage = with_options(tmp_path, monkeypatch, readWritePaths=[f"{tmp_path}/data"])
    stage.kernel.refuses = {"idmap"}
    stage.stage(stage.project)
    places = (stage.project.root, f"{tmp_path}/data")
    assert stage.notices == [notices.owners_not_mapped(place) for place in places]


def cover_something(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the project hold something to be covered, and where it is staged too: it is not really mounted."""
    put(Path(stage.project.root, ".envrc"))
    Path(stage.project.root, ".ssh").mkdir()
    prepare = staging._prepare

    def prepared(*arguments: Any) -> None:
        prepare(*arguments)
        Path(stage.session.project, ".envrc").write_text("x")
        Path(stage.session.project, ".ssh").mkdir()

    monkeypatch.setattr(staging, "_prepare", prepared)


def test_what_lies_in_the_project_is_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc", "none"], hiddenPaths=["projects/.ssh"])
    monkeypatch.setattr(people, "alice", lambda home: people.agent(tmp_path / "home"))
    cover_something(stage, monkeypatch)
    stage.stage(stage.project)
    project = stage.session.project
    attached = stage.kernel.attached()
    assert attached[f"{project}/.envrc"] == f"{project}/.envrc"
    assert attached[f"{project}/.ssh"] == stage.session.empty[0]
    flags = mount_api.RDONLY | mount_api.NOSUID | mount_api.NODEV
    assert f"set_attributes {project}/.envrc {flags}" in stage.kernel.calls()


def test_without_its_covers_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc"])
    cover_something(stage, monkeypatch)
    attach = stage.kernel.attach

    def refusing(tree: int, target: int) -> None:
        if paths.real_path(target).endswith(".envrc"):
            raise OSError(1, "Operation not permitted")
        attach(tree, target)

    monkeypatch.setattr(mount_api, "attach", refusing)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Refusal) as caught:
        stage.stage(stage.project)
    assert caught.value.status == EX_UNAVAILABLE
    assert "protection" in caught.value.what and "not permitted" in caught.value.what
    assert os.listdir("/proc/self/fd") == before


@needs_root
def test_all_of_it_for_real_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("precious")
    root = tmp_path / "home/projects"
    files = (".git/hooks/pre-commit", ".envrc", "src/main.py")

    def act() -> None:
        stage = with_options(
            tmp_path, monkeypatch, readOnlyPaths=[f"{tmp_path}/file"], readWritePaths=[f"{tmp_path}/data"],
            protectedPaths=[".git/hooks", ".envrc"],
        )  # fmt: skip
        monkeypatch.undo()
        for name in files:
            put(root / name)
        stage.stage(stage.project)
        staged = Path(stage.session.project)
        for refused in (
            lambda: (staged / ".envrc").write_text("evil"),
            lambda: (staged / ".git/hooks/new").touch(),
            lambda: (staged / ".envrc").unlink(),
            lambda: (staged / ".git").rename(staged / "moved"),
            lambda: (staged / ".git/hooks").rename(staged / ".git/moved"),
        ):
            with pytest.raises(OSError) as caught:
                refused()
            assert caught.value.errno in (errno.EROFS, errno.EBUSY)
        (staged / "src/main.py").write_text("edited")
        assert Path(stage.session.extras, "0").read_text() == "precious"
        Path(stage.session.extras, "1/made").touch()
        session_directory.clean_up(stage.policy.tools, stage.session, ended=True)
        assert not os.path.exists(stage.session.directory)

    alone(act)
    assert [(root / name).read_text() for name in files] == ["x", "x", "edited"]
    assert os.listdir(tmp_path / "data") == ["made"]
    assert (tmp_path / "file").read_text() == "precious"
