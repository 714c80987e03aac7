from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pi_agent import envfile, paths, staging
from pi_agent.configuration import Configured
from pi_agent.policy import Policy
from pi_agent.project import Project
from pi_agent.refusals import EX_UNAVAILABLE, Refusal
from pi_agent.session import Session
from pi_agent.unit import Start
from tests import people
from tests.bench import Bench, bench
from tests.fakes import Bin

_ODD = ["", "a b", "$x %h", "'\"\\", "new\nline", os.fsdecode(b"\xff"), "--", "-"]
_LAUNCHER = Path(__file__).parent.parent / "pi_agent/launch.bash"


class Stage:
    """A launch up to the point where it could be started, with stand-ins for the tools."""

    def __init__(self, tmp: Path) -> None:
        self.bin = Bin(tmp / "bin")
        tools = {name.replace("_", "-"): path for name, path in vars_of(self.bin).items()}
        self.here: Bench = bench(tmp, tools=tools, extraRunArgs=["--extra", "hunter2"], environment={"A": "hunter2"})
        self.policy: Policy = self.here.policy
        self.session = Session("pi-agent-alice-0.service", str(tmp / "session"))
        os.mkdir(self.session.directory, 0o700)
        root = tmp / "home/projects"
        root.mkdir()
        self.project = Project(str(root), paths.walk(str(root)), f"{root}/demo")

    def stage(self, project: Project | None) -> Start:
        configured = Configured({"HOST": "hunter2", "A": "host"}, {"SECRET": "hunter2"})
        who = people.alice("/home/alice"), self.here.agent
        return staging.stage(self.policy, self.session, *who, self.here.state, project, configured, _ODD, pytest.fail)

    def request(self) -> list[str]:
        content = Path(self.session.argv).read_bytes()
        assert content.endswith(b"\0")
        return [os.fsdecode(word) for word in content[:-1].split(b"\0")]


def vars_of(bin_: Bin) -> dict[str, str]:
    tools = bin_.tools()
    return {name: getattr(tools, name) for name in tools.__slots__}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_request_is_our_name_the_directory_then_the_command_whatever_bytes_it_holds(stage: Stage) -> None:
    stage.stage(stage.project)
    name, directory, *command = stage.request()
    assert name == stage.policy.command_name
    assert directory == stage.project.directory
    assert command[-len(_ODD) :] == _ODD
    assert command[-len(_ODD) - 3 : -len(_ODD)] == [stage.policy.program, "--extra", "hunter2"]
    assert stage.policy.tools.tini in command


def test_nothing_that_was_asked_for_or_is_secret_is_on_the_units_command_line(stage: Stage) -> None:
    start = stage.stage(stage.project)
    text = "\n".join(start.argv)
    assert "hunter2" not in text
    assert "new\nline" not in text and "$x" not in text
    assert all(word.isprintable() for word in start.argv)


def test_everything_staged_is_for_root_alone(stage: Stage) -> None:
    stage.stage(stage.project)
    files = [path for path in Path(stage.session.directory).iterdir() if not path.is_dir()]
    assert {str(path) for path in files} == {stage.session.argv, stage.session.environment, stage.session.started}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert Path(stage.session.started).is_fifo()


def test_the_environment_is_given_to_the_unit_in_one_file(stage: Stage) -> None:
    start = stage.stage(stage.project)
    named = [word for word in start.argv if word.startswith("--property=EnvironmentFile=")]
    assert named == [f"--property=EnvironmentFile={stage.session.environment}"]
    found = environment_of(stage)
    assert (found["HOST"], found["SECRET"], found["A"]) == ("hunter2", "hunter2", "hunter2")
    assert found["PI_CODING_AGENT_DIR"] == f"{stage.here.agent.home}/.pi/agent"


def environment_of(stage: Stage) -> dict[str, str]:
    return envfile.parse(Path(stage.session.environment).read_bytes())


def test_a_session_has_pseudo_terminals_of_its_own(stage: Stage) -> None:
    start = stage.stage(None)
    (call,) = [call for call in stage.bin.calls("mount") if "devpts" in call]
    assert "newinstance" in call and call.endswith(f" {stage.session.terminals}")
    (binds,) = [word for word in start.argv if word.startswith("--property=BindPaths=")]
    assert f'"{stage.session.terminals}":"/dev/pts"' in binds


def test_state_and_project_are_mounted_and_bound_where_they_belong(stage: Stage) -> None:
    start = stage.stage(stage.project)
    (binds,) = [word for word in start.argv if word.startswith("--property=BindPaths=")]
    assert f'"{stage.session.state}":"{stage.here.agent.home}"' in binds
    assert f'"{stage.session.project}":"{stage.project.root}"' in binds
    targets = [call.split()[-1] for call in stage.bin.calls("mount")]
    assert targets == [stage.session.state, stage.session.terminals, stage.session.project]
    assert os.readlink(stage.here.tree / "projects/projects") == stage.project.root


def test_without_a_project_nothing_of_the_host_is_mounted(stage: Stage) -> None:
    start = stage.stage(None)
    targets = [call.split()[-1] for call in stage.bin.calls("mount")]
    assert targets == [stage.session.state, stage.session.terminals]
    (binds,) = [word for word in start.argv if word.startswith("--property=BindPaths=")]
    assert stage.session.project not in binds
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


# -- launch.bash, which reads the request inside


def launched(tmp_path: Path, directory: Path, *command: str, name: str = "pi") -> subprocess.CompletedProcess[bytes]:
    request = (name, str(directory), *command)
    (tmp_path / "argv").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in request))
    (tmp_path / "started").write_text("")
    return subprocess.run(
        ["bash", "-c", f'exec 3<argv 4>>started; exec bash -p "{_LAUNCHER}"'],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "LISTEN_FDS": "2"}, capture_output=True, check=False,
    )  # fmt: skip


def test_the_launcher_runs_the_request_in_its_directory_with_every_byte(tmp_path: Path) -> None:
    odd = tmp_path / "-odd dir\n%h"
    odd.mkdir()
    done = launched(tmp_path, odd, "/bin/sh", "-c", 'pwd; printf "[%s]" "$@"', "sh", *_ODD)
    assert done.stdout == os.fsencode(f"{odd}\n" + "".join(f"[{word}]" for word in _ODD))
    assert (tmp_path / "started").read_text() == "started"


def test_the_launched_program_has_neither_descriptor_nor_their_variables(tmp_path: Path) -> None:
    done = launched(
        tmp_path, tmp_path, "/bin/sh", "-c", "ls /proc/self/fd | grep -cx '[34]'; env | grep -c LISTEN_; true"
    )
    assert done.stdout.split()[1:] == [b"0"]
    probe = "for n in 3 4; do readlink /proc/$$/fd/$n; done; true"
    assert b"argv" not in launched(tmp_path, tmp_path, "/bin/sh", "-c", probe).stdout
    assert b"started" not in launched(tmp_path, tmp_path, "/bin/sh", "-c", probe).stdout


def test_the_status_of_the_launched_program_is_kept(tmp_path: Path) -> None:
    assert launched(tmp_path, tmp_path, "/bin/sh", "-c", "exit 7").returncode == 7


@pytest.mark.parametrize("name", ["pi", "pi-%s\\n"])
def test_a_directory_that_is_gone_is_refused_with_77_after_the_mark(tmp_path: Path, name: str) -> None:
    done = launched(tmp_path, tmp_path / "none", "/bin/sh", "-c", "echo ran", name=name)
    assert done.returncode == 77
    assert done.stderr.startswith(f"{name}: the directory you are in was moved away".encode())
    assert b"ran" not in done.stdout
    assert (tmp_path / "started").read_text() == "started"
