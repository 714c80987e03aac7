"""Filling a staging directory as planned."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pi_agent.environment import env_file_syntax
from pi_agent.linux import mount_api, paths
from pi_agent.messages import notices, refusals
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import launch_plan, running_sessions, session_directory
from pi_agent.session.launch_plan import Plan
from tests.support import policies
from tests.support.launching import Launching, words_in
from tests.support.limits import open_descriptors
from tests.support.namespaces import alone
from tests.support.people import needs_root
from tests.support.policies import replaced
from tests.support.shapes import ODD
from tests.support.trees import put, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(tmp_path, monkeypatch, environment={"A": "hunter2"})


def with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Launching:
    return Launching(tmp_path, monkeypatch, sandbox=policies.sandbox(**options))


def request_of(plan: Plan) -> list[str]:
    return words_in(Path(plan.request.session.argv))


def test_the_request_is_the_directory_then_the_command_whatever_bytes_it_holds(here: Launching) -> None:
    plan = here.plan(*ODD)
    here.fill(plan)
    _, directory, none, *command = request_of(plan)
    assert (directory, none) == (str(here.directory), "")
    assert tuple(command) == (here.policy.program, *ODD)


@pytest.mark.parametrize("name", ["pi", "agent-%s"])
def test_the_request_begins_with_what_is_said_where_the_directory_cannot_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = Launching(tmp_path, monkeypatch, commandName=name)
    plan = here.plan()
    here.fill(plan)
    refusal = refusals.directory_closed_to_agent(str(here.directory))
    first, *rest = request_of(plan)[0].split("\n")
    assert first == f"{name}: {refusal.what}"
    assert rest == [f"    {line}" for line in refusal.remedy.split("\n")]


def test_at_a_terminal_the_command_is_in_a_session_that_owns_it(here: Launching) -> None:
    plan = launch_plan.plan(replaced(here.request("-p", "x"), terminal=True))
    here.fill(plan)
    command = request_of(plan)[3:]
    assert command[:2] == [here.policy.tools.setsid, "--ctty"]
    assert command[-3:] == [here.policy.program, "-p", "x"]


def test_everything_staged_is_for_root_alone(here: Launching) -> None:
    plan = here.plan()
    here.fill(plan)
    session = plan.request.session
    files = [path for path in Path(session.directory).iterdir() if not path.is_dir()]
    written = {session.about, session.argv, session.environment, session.report}
    assert {str(path) for path in files} == written | {session.empty[1]}
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in written)
    assert Path(session.report).is_fifo()


def test_the_environment_is_one_file_with_what_the_layers_say_together(
    here: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.host / ".env", "HOST=hunter2\nA=host")
    plan = here.plan()
    here.fill(plan)
    found = env_file_syntax.parse(Path(plan.request.session.environment).read_bytes())
    assert (found["HOST"], found["A"]) == ("hunter2", "hunter2")
    assert found["PI_CODING_AGENT_DIR"] == f"{here.agent.home}/.pi/agent"


def test_variables_that_load_code_go_with_the_request_and_not_with_the_unit(here: Launching) -> None:
    write(here.host / ".env", "LD_PRELOAD=/p/x.so\nGCONV_PATH='a b'\nHOST=1")
    plan = here.plan("-p")
    here.fill(plan)
    found = env_file_syntax.parse(Path(plan.request.session.environment).read_bytes())
    assert found["HOST"] == "1" and not {"LD_PRELOAD", "GCONV_PATH"} & found.keys()
    _, _, *variables, none, program, _ = request_of(plan)
    assert (sorted(variables), none, program) == (["GCONV_PATH=a b", "LD_PRELOAD=/p/x.so"], "", here.policy.program)


@pytest.mark.parametrize(("arguments", "root"), [((), True), (("--version",), False)])
def test_what_the_session_is_is_told_to_those_who_list_sessions(
    here: Launching, arguments: tuple[str, ...], root: bool
) -> None:
    plan = here.plan(*arguments)
    here.fill(plan)
    since, *rest = Path(plan.request.session.about).read_bytes().split(b"\0")
    told = running_sessions.describe(int(since), str(here.root) if root else None, plan.directory)
    assert b"\0".join([since, *rest]) == told


def test_a_session_has_pseudo_terminals_of_its_own(here: Launching) -> None:
    plan = here.plan("--version")
    here.fill(plan)
    assert len(here.kernel.calls("new devpts ")) == 1
    assert here.kernel.attached()[plan.request.session.terminals] == "/dev/null"


def test_state_and_project_are_mounted_where_they_belong(here: Launching) -> None:
    plan = here.plan()
    assert here.fill(plan) == []
    session = plan.request.session
    assert here.kernel.attached() == {
        session.state: str(here.tree), session.terminals: "/dev/null", session.project: str(here.root),
    }  # fmt: skip


def test_without_a_project_nothing_of_the_host_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, readOnlyPaths=["/nonexistent"], readWritePaths=[str(tmp_path)])
    plan = here.plan("--help")
    here.fill(plan)
    session = plan.request.session
    assert list(here.kernel.attached()) == [session.state, session.terminals]
    assert request_of(plan)[1:] == [here.agent.home, "", here.policy.program, "--help"]
    assert os.listdir(session.extras) == []


def test_the_sandboxs_root_holds_links_and_nothing_else(here: Launching) -> None:
    plan = here.plan("--version")
    here.fill(plan)
    root = plan.request.session.root
    for folder, _, files in os.walk(root):
        assert all(os.path.islink(os.path.join(folder, name)) for name in files)
    assert {f"/{os.path.relpath(path, root)}" for path in Path(root).rglob("*") if path.is_symlink()} == {
        path for path, _ in plan.view.system.links
    }
    assert os.readlink(f"{root}/var/run") == "/run"


@pytest.mark.parametrize("name", ["project", "argv", "report", "root/var", "environment", "extras"])
def test_a_directory_that_cannot_be_filled_is_refused(here: Launching, name: str) -> None:
    plan = here.plan()
    put(Path(plan.request.session.directory, name), "in the way")
    with pytest.raises(Refusal) as caught:
        here.fill(plan)
    assert caught.value.status == EX_UNAVAILABLE


# -- further paths, and what is covered


def test_further_paths_are_mounted_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data dir").mkdir()
    (tmp_path / "file").write_text("precious")
    here = with_options(
        tmp_path, monkeypatch, readOnlyPaths=[f"{tmp_path}/file"], readWritePaths=[f"{tmp_path}/data dir"]
    )
    plan = here.plan()
    here.fill(plan)
    extras = plan.request.session.extras
    attached = here.kernel.attached()
    assert (attached[f"{extras}/0"], attached[f"{extras}/1"]) == (f"{tmp_path}/file", f"{tmp_path}/data dir")
    assert set(plan.request.session.mounts[3:]) == {f"{extras}/0", f"{extras}/1"}
    assert os.path.isfile(f"{extras}/0") and os.path.isdir(f"{extras}/1")
    assert Path(f"{extras}/0").read_text() == ""


def test_what_lies_in_the_project_is_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc", "none"], hiddenPaths=["projects/.ssh"])
    here.kernel.shows = True
    put(here.root / ".envrc")
    (here.root / ".ssh").mkdir()
    plan = here.plan()
    assert here.fill(plan) == []
    session = plan.request.session
    attached = here.kernel.attached()
    assert attached[f"{session.project}/.envrc"] == f"{session.project}/.envrc"
    assert attached[f"{session.project}/.ssh"] == session.empty[0]
    flags = mount_api.RDONLY | mount_api.NOSUID | mount_api.NODEV
    assert f"set_attributes {session.project}/.envrc {flags}" in here.kernel.calls()


def test_what_vanished_since_it_was_planned_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc", ".mcp.json"])
    here.kernel.shows = True
    put(here.root / ".envrc")
    put(here.root / ".mcp.json")
    plan = here.plan()
    (here.root / ".envrc").unlink()
    assert here.fill(plan) == [notices.protected_path_vanished(".envrc")]
    assert f"{plan.request.session.project}/.mcp.json" in here.kernel.attached()


@pytest.mark.parametrize("decoy", [True, False])
def test_what_was_moved_since_it_was_planned_is_covered_where_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoy: bool
) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".git/hooks", ".envrc"])
    here.kernel.shows = True
    (here.root / "sub/.git/hooks").mkdir(parents=True)
    plan = here.plan()
    # A session that already runs in the project moves the repository, and plants a file that is protected from now on.
    (here.root / "sub").rename(here.root / "moved")
    put(here.root / ".envrc")
    if decoy:
        (here.root / "sub/.git/hooks").mkdir(parents=True)
    told = here.fill(plan)
    project = plan.request.session.project
    attached = here.kernel.attached()
    assert f"{project}/moved/.git/hooks" in attached and f"{project}/.envrc" in attached
    assert (notices.protected_path_vanished("sub/.git/hooks") in told) is not decoy
    assert (f"{project}/sub/.git/hooks" in attached) is decoy


def test_without_its_covers_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc"])
    here.kernel.shows = True
    put(here.root / ".envrc")
    attach = here.kernel.attach

    def refusing(tree: int, target: int) -> None:
        if paths.real_path(target).endswith(".envrc"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        attach(tree, target)

    monkeypatch.setattr(mount_api, "attach", refusing)
    plan = here.plan()
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        here.fill(plan)
    assert caught.value.status == EX_UNAVAILABLE
    assert "protection" in caught.value.what and "not permitted" in caught.value.what
    opened = len(open_descriptors()) - len(before)
    assert opened == 2, "the state and the memory of sync, which are held to the end of the process"


@pytest.mark.parametrize("what", ["new", "attach"])
def test_a_mount_that_cannot_be_attached_is_refused(here: Launching, what: str) -> None:
    plan = here.plan()
    here.kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        here.fill(plan)
    assert caught.value.status == EX_UNAVAILABLE


@needs_root
def test_all_of_it_for_real_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("precious")
    root = tmp_path / "home/projects"
    files = (".git/hooks/pre-commit", ".envrc", "src/main.py")

    def act() -> None:
        with monkeypatch.context() as patch:
            here = with_options(
                tmp_path, patch, readOnlyPaths=[f"{tmp_path}/file"], readWritePaths=[f"{tmp_path}/data"],
                protectedPaths=[".git/hooks", ".envrc"],
            )  # fmt: skip
            here.kernel.give_way(patch)
            for name in files:
                put(root / name)
            plan = here.plan()
            here.fill(plan)
            session = plan.request.session
            staged = Path(session.project)
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
            assert Path(session.extras, "0").read_text() == "precious"
            Path(session.extras, "1/made").touch()
            session_directory.clean_up(here.policy.tools, session, ended=True)
            assert not os.path.exists(session.directory)

    alone(act)
    assert [(root / name).read_text() for name in files] == ["x", "x", "edited"]
    assert os.listdir(tmp_path / "data") == ["made"]
    assert (tmp_path / "file").read_text() == "precious"
