"""What a session sees of the host is attached in its mount namespace, or the session does not run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pi_agent.linux import mount_api, mount_namespaces, paths
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import mount_points, prepared_root
from tests.support import policies
from tests.support.launching import Launching
from tests.support.limits import open_descriptors
from tests.support.namespaces import alone, apart, mount_points_of
from tests.support.people import needs_root
from tests.support.trees import put


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(tmp_path, monkeypatch)


def with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Launching:
    return Launching(tmp_path, monkeypatch, sandbox=policies.sandbox(**options))


def test_state_terminals_and_project_are_attached_where_they_belong(here: Launching) -> None:
    assert here.attach(here.plan()) == []
    assert here.namespace.attached() == {
        here.agent.home: str(here.tree), "/dev/pts": "/dev/null", str(here.root): str(here.root),
    }  # fmt: skip
    assert len(here.kernel.calls("new devpts ")) == 1


def test_everything_is_attached_in_the_namespace_and_prepared_before(here: Launching) -> None:
    here.attach(here.plan())
    names = [call.split()[0] for call in here.kernel.calls()]
    assert names.count("enter") == 1
    entered = names.index("enter")
    assert "attach" not in names[:entered]
    assert {"new", "idmap"} <= {*names[:entered]} and not {"new", "idmap"} & {*names[entered:]}


def test_without_a_project_nothing_of_the_host_is_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, readOnlyPaths=["/nonexistent"], readWritePaths=[str(tmp_path)])
    here.attach(here.plan("--help"))
    assert list(here.namespace.attached()) == ["/dev/pts", here.agent.home]


def test_the_system_that_runs_is_linked(here: Launching) -> None:
    link = Path(prepared_root.SYSTEM)
    link.parent.mkdir(parents=True)
    link.symlink_to("/nix/store/x-nixos-system")
    here.namespace.prepare()
    plan = here.plan("--version")
    link.unlink()  # in the namespace, /run is another one
    here.attach(plan)
    assert os.readlink(link) == "/nix/store/x-nixos-system"


def test_what_lies_in_another_is_attached_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "home/projects"
    (root / "data dir/deep").mkdir(parents=True)
    (root / "file").write_text("precious")
    here = with_options(
        tmp_path, monkeypatch, readOnlyPaths=[f"{root}/file", f"{root}/data dir/deep"],
        readWritePaths=[f"{root}/data dir", str(tmp_path / "home")],
    )  # fmt: skip
    here.attach(here.plan())
    targets = [target for target in here.namespace.attached() if target.startswith(f"{tmp_path}/home")]
    assert targets == [str(tmp_path / "home"), str(root), f"{root}/data dir", f"{root}/data dir/deep", f"{root}/file"]
    assert Path(f"{here.namespace.root}{root}/file").is_file()


# -- what is covered


def test_what_lies_in_the_project_is_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc", "none"], hiddenPaths=["projects/.ssh"])
    put(here.root / ".envrc")
    (here.root / ".ssh").mkdir()
    assert here.attach(here.plan()) == []
    attached = here.kernel.attached()
    assert attached[f"{here.root}/.envrc"] == f"{here.root}/.envrc"
    assert attached[f"{here.root}/.ssh"] == prepared_root.EMPTY_DIRECTORY
    flags = mount_api.RDONLY | mount_api.NOSUID | mount_api.NODEV
    assert f"set_attributes {here.root}/.envrc {flags}" in here.kernel.calls()


def test_what_vanished_since_it_was_planned_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc", ".mcp.json"])
    put(here.root / ".envrc")
    put(here.root / ".mcp.json")
    plan = here.plan()
    (here.root / ".envrc").unlink()
    assert here.attach(plan) == [notices.protected_path_vanished(".envrc")]
    assert f"{here.root}/.mcp.json" in here.kernel.attached()


@pytest.mark.parametrize("decoy", [True, False])
def test_what_was_moved_since_it_was_planned_is_covered_where_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoy: bool
) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".git/hooks", ".envrc"])
    (here.root / "sub/.git/hooks").mkdir(parents=True)
    plan = here.plan()
    # A session that already runs in the project moves the repository, and plants a file that is protected from now on.
    (here.root / "sub").rename(here.root / "moved")
    put(here.root / ".envrc")
    if decoy:
        (here.root / "sub/.git/hooks").mkdir(parents=True)
    told = here.attach(plan)
    attached = here.kernel.attached()
    assert f"{here.root}/moved/.git/hooks" in attached and f"{here.root}/.envrc" in attached
    assert (notices.protected_path_vanished("sub/.git/hooks") in told) is not decoy
    assert (f"{here.root}/sub/.git/hooks" in attached) is decoy


def test_without_its_covers_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = with_options(tmp_path, monkeypatch, protectedPaths=[".envrc"])
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
        here.attach(plan)
    assert caught.value.status == EX_UNAVAILABLE
    assert "protection" in caught.value.what and "not permitted" in caught.value.what
    opened = {os.readlink(f"/proc/self/fd/{number}") for number in {*open_descriptors()} - {*before}}
    kept = {prepared_root.EMPTY_DIRECTORY, prepared_root.EMPTY_FILE, str(here.tree), str(here.memory.parent)}
    assert opened <= kept, "which are held to the end of the process"


@pytest.mark.parametrize("what", ["new", "attach", "enter", "clone", "set_attributes"])
def test_what_cannot_be_attached_is_refused(here: Launching, what: str) -> None:
    plan = here.plan()
    here.kernel.refuses = {what}
    with pytest.raises(Refusal) as caught:
        here.attach(plan)
    assert caught.value.status == EX_UNAVAILABLE
    assert "Invalid argument" in caught.value.what


# -- for real


@needs_root
def test_all_of_it_for_real_and_seen_by_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("precious")
    root = tmp_path / "home/projects"
    files = (".git/hooks/pre-commit", ".envrc", ".ssh/id", "src/main.py")

    def act() -> None:
        with monkeypatch.context() as patch:
            entered, at = mount_namespaces.entered, mount_points.MountPoints.at
            here = with_options(
                tmp_path, patch, readOnlyPaths=[f"{tmp_path}/file"], readWritePaths=[f"{tmp_path}/data"],
                protectedPaths=[".git/hooks", ".envrc"], hiddenPaths=["projects/.ssh"],
            )  # fmt: skip
            here.kernel.give_way(patch)
            patch.setattr(mount_namespaces, "entered", entered)
            patch.setattr(mount_points.MountPoints, "at", at)
            for name in files:
                put(root / name)
            plan = here.plan()
            before = mount_points_of("self")
            with apart() as unit:
                here.attach_in(unit.descriptor, plan)
                assert mount_points_of("self") == before
                inside = mount_points_of(unit.number)
                unit.check(lambda: refused_inside(root))
            assert {str(root), f"{root}/.envrc", f"{root}/.git/hooks", f"{root}/.ssh", "/dev/pts"} <= inside

    def refused_inside(project: Path) -> None:
        for act in (
            lambda: (project / ".envrc").write_text("evil"),
            lambda: (project / ".git/hooks/new").touch(),
            lambda: (project / ".envrc").unlink(),
            lambda: (project / ".git").rename(project / "moved"),
            lambda: (project / ".git/hooks").rename(project / ".git/moved"),
            lambda: (tmp_path / "file").write_text("evil"),
        ):
            with pytest.raises(OSError) as caught:
                act()
            assert caught.value.errno in (errno.EROFS, errno.EBUSY)
        assert os.listdir(project / ".ssh") == []
        (project / "src/main.py").write_text("edited")
        (tmp_path / "data/made").touch()

    alone(act)
    assert [(root / name).read_text() for name in files] == ["x", "x", "x", "edited"]
    assert os.listdir(tmp_path / "data") == ["made"]
    assert (tmp_path / "file").read_text() == "precious"
