"""What a session sees of the host, prepared but not attached, with a stand-in for the kernel's mounts."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pi_agent.linux import identities, mount_api, paths
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.identities import Identity
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, Refusal
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.project_roots import Project
from pi_agent.sandbox.protection import Kind
from pi_agent.session import host_view
from pi_agent.session.host_view import View
from tests.support import people, policies
from tests.support.fakes import Kernel
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import frozen, replaced
from tests.support.trees import put

_NOBODY = Identity("pi-agent-alice", 65534, 65534, (65534,), "/")


class Host:
    """A project of alice's, and what would be shown of it."""

    def __init__(self, top: Path, kernel: Kernel) -> None:
        self.top = top
        self.kernel = kernel
        self.home = top / "home"
        self.root = self.home / "projects"
        self.directory = self.root / "demo"
        self.directory.mkdir(parents=True)
        self.caller = people.alice(self.home)
        self.agent = people.agent(top)
        self.held = Descriptors()
        self.tree = top / "users/alice"
        self.tree.mkdir(parents=True)

    @property
    def accounts(self) -> Accounts:
        """alice's, whose agent has no account of its own."""
        return Accounts(self.caller, self.agent, replaced(self.agent, name="pi-agent"))

    def project(self) -> Project:
        """The project, open."""
        return Project(str(self.root), self.held.hold(paths.walk(str(self.root))), str(self.directory))

    def view(self, project: Project | None, **options: Any) -> View:
        """The view under these sandbox options."""
        policy = frozen(sandbox=policies.sandbox(**options))
        state = os.open(self.tree, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return host_view.plan(policy, self.accounts, project, state, self.held)
        finally:
            os.close(state)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    if os.geteuid() != 0:
        monkeypatch.setattr(identities, "root", lambda: people.agent("/root"))
    return Kernel(tmp_path / "kernel.log", monkeypatch)


@pytest.fixture
def host(tmp_path: Path, kernel: Kernel) -> Iterator[Host]:
    made = Host(tmp_path, kernel)
    yield made
    made.held.close()


def test_the_project_is_shown_where_it_is_with_owners_mapped(host: Host) -> None:
    view = host.view(host.project())
    assert view.project is not None
    assert (view.project.target, view.project.writable, view.project.mapped) == (str(host.root), True, True)
    assert paths.real_path(view.project.tree) == str(host.root)
    assert view.notices == ()
    assert host.kernel.attached() == {}


def test_without_a_project_nothing_of_the_host_is_shown(host: Host) -> None:
    view = host.view(None, readOnlyPaths=["/nonexistent"], readWritePaths=[str(host.top)], protectedPaths=[".envrc"])
    assert (view.project, view.covers, view.extras, view.notices) == (None, (), (), ())
    assert host.kernel.calls("idmap ") == [f"idmap {host.tree} 0"], "whether the state can be mapped"
    assert host.kernel.attached() == {}


# -- further paths


def test_further_paths_are_shown_where_they_are_each_as_it_may_be_used(host: Host) -> None:
    (host.top / "data dir").mkdir()
    (host.top / "file").write_text("precious")
    view = host.view(host.project(), readOnlyPaths=[f"{host.top}/file"], readWritePaths=[f"{host.top}/data dir"])
    assert [(extra.target, extra.writable) for extra in view.extras] == [
        (f"{host.top}/file", False), (f"{host.top}/data dir", True),
    ]  # fmt: skip
    assert [paths.real_path(extra.tree) for extra in view.extras] == [f"{host.top}/file", f"{host.top}/data dir"]
    assert all(extra.mapped for extra in view.extras)
    assert host.kernel.calls("idmap ")[2:] == [f"idmap {host.top}/file 0", f"idmap {host.top}/data dir 0"]


@pytest.mark.parametrize("option", ["readOnlyPaths", "readWritePaths"])
@pytest.mark.parametrize("kind", ["missing", "dangling", "redirectable", "redirectable on the way", "below a file"])
def test_a_further_path_that_others_could_redirect_or_is_not_there_is_refused(
    host: Host, kind: str, option: str
) -> None:
    (host.top / "open").mkdir()
    (host.top / "open").chmod(0o777)
    (host.top / "file").write_text("")
    (host.top / "open/etc").symlink_to("/etc")
    (host.top / "dangling").symlink_to("none")
    named = {
        "missing": "none", "dangling": "dangling", "redirectable": "open/etc",
        "redirectable on the way": "open/etc/ssl", "below a file": "file/x",
    }[kind]  # fmt: skip
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        host.view(host.project(), **{option: [f"{host.top}/{named}"]})
    assert caught.value.status == EX_CONFIG
    assert f"{host.top}/{named}" in caught.value.what
    assert ("redirect the link etc" in caught.value.what) is kind.startswith("redirectable")
    host.held.close()
    assert open_descriptors() == before


@needs_root
def test_a_further_path_is_followed_through_the_links_of_root(host: Host) -> None:
    (host.top / "real").mkdir()
    (host.top / "link").symlink_to("real")
    [extra] = host.view(host.project(), readOnlyPaths=[f"{host.top}/link"]).extras
    assert paths.real_path(extra.tree) == f"{host.top}/real"
    assert extra.target == f"{host.top}/link"


# -- where owners cannot be mapped


def test_on_a_file_system_that_cannot_map_owners_there_is_a_notice_for_each_path(host: Host) -> None:
    (host.top / "data").mkdir()
    host.kernel.refuses = {"idmap"}
    view = host.view(host.project(), readWritePaths=[f"{host.top}/data"])
    assert view.notices == tuple(notices.owners_not_mapped(place) for place in (str(host.root), f"{host.top}/data"))
    assert view.project is not None and not view.project.mapped


@pytest.mark.parametrize("what", ["clone", "set_attributes"])
def test_a_mount_that_cannot_be_prepared_is_refused(host: Host, what: str) -> None:
    host.kernel.refuses = {what}
    for project in (host.project(), None):
        with pytest.raises(Refusal) as caught:
            host.view(project)
        assert caught.value.status == EX_UNAVAILABLE
        assert str(host.tree) in caught.value.what


# -- a directory that the agent cannot enter


@pytest.fixture
def foreign(kernel: Kernel) -> Iterator[Host]:
    """A host whose agent has a uid of its own, and can reach the project without being root."""
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        made = Host(Path(name), kernel)
        made.agent = _NOBODY
        yield made
        made.held.close()


@needs_root
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("closed", ["demo", ".", "demo/below"])
def test_a_directory_that_the_agent_cannot_enter_is_refused_while_planning(
    foreign: Host, mapped: bool, closed: str
) -> None:
    foreign.directory = foreign.root / "demo/below/deep"
    foreign.directory.mkdir(parents=True)
    foreign.kernel.refuses = set() if mapped else {"idmap"}
    assert foreign.view(foreign.project()).project is not None
    (foreign.root / closed).chmod(0o700)
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        foreign.view(foreign.project())
    assert caught.value.status == EX_NOPERM
    assert str(foreign.directory) in caught.value.what
    assert "m3ta.pi-agent.projectGroup" in caught.value.remedy
    assert len(open_descriptors()) == len(before) + 4, "the project, its mount and the maps of owners, which are held"


@needs_root
def test_a_directory_that_can_be_entered_and_not_listed_will_do(foreign: Host) -> None:
    foreign.root.chmod(0o711)
    foreign.directory.chmod(0o711)
    assert foreign.view(foreign.project()).project is not None


@needs_root
@pytest.mark.parametrize("group", [4321, 65534])
def test_the_groups_of_the_agent_open_a_directory(foreign: Host, group: int) -> None:
    os.chown(foreign.directory, 0, 4321)
    foreign.directory.chmod(0o710)
    foreign.agent = Identity("pi-agent-alice", 65534, 65534, (65534, group), "/")
    if group == 4321:
        foreign.view(foreign.project())
    else:
        with pytest.raises(Refusal):
            foreign.view(foreign.project())


def test_a_directory_that_vanished_since_it_was_located_is_gone(host: Host) -> None:
    project = host.project()
    host.directory.rmdir()
    with pytest.raises(Refusal) as caught:
        host.view(project)
    assert caught.value.status == EX_NOPERM
    assert "removed or renamed" in caught.value.what


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_a_machine_that_fails_is_never_taken_for_a_closed_directory(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    project = host.project()
    monkeypatch.setattr(paths, "walk_inside", failing)
    with pytest.raises(OSError) as caught:
        host.view(project)
    assert caught.value.errno == number


# -- what is covered


def test_what_is_to_be_protected_and_hidden_is_found_in_the_prepared_mount(host: Host) -> None:
    put(host.root / ".envrc")
    put(host.root / ".ssh/id")
    put(host.directory / ".git/config")
    view = host.view(
        host.project(), protectedPaths=[".envrc", ".git/config", "none"], hiddenPaths=["projects/.ssh", ".gnupg"]
    )
    assert {cover.path: cover.kind for cover in view.covers} == {
        ".envrc": Kind.PROTECT, ".ssh": Kind.HIDE, "demo/.git/config": Kind.PROTECT,
        "demo/.git": Kind.PIN, "demo": Kind.PIN,
    }  # fmt: skip


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_a_protection_that_cannot_be_planned_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(Refusal) as caught:
        host.view(host.project(), protectedPaths=[".envrc"])
    assert caught.value.status == EX_UNAVAILABLE
    assert "protection" in caught.value.what and os.strerror(number) in caught.value.what


@needs_root
def test_root_looks_for_what_is_covered_since_nothing_can_be_closed_off_from_it(foreign: Host) -> None:
    put(foreign.root / "theirs/.envrc")
    put(foreign.root / "theirs/.git/config")
    (foreign.root / "theirs").chmod(0o700)
    covers = foreign.view(foreign.project(), protectedPaths=[".envrc"]).covers
    assert ("theirs/.envrc", Kind.PROTECT) in {(cover.path, cover.kind) for cover in covers}


def test_where_even_root_is_kept_out_somebody_else_looks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network file system may do."""
    descriptor = host.project().descriptor
    assert host_view.viewer_of(descriptor, host.caller).name != host.caller.name
    reopen = paths.reopen

    def refusing(number: int, flags: int) -> int:
        if number == descriptor:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return reopen(number, flags)

    monkeypatch.setattr(paths, "reopen", refusing)
    assert host_view.viewer_of(descriptor, host.caller) == host.caller


def test_nothing_of_the_host_is_shown_with_devices_or_with_programs_that_change_who_runs_them(host: Host) -> None:
    (host.top / "data").mkdir()
    host.view(host.project(), readWritePaths=[f"{host.top}/data"])
    for place in (host.root, host.top / "data"):
        assert f"set_attributes {place} {mount_api.NOSUID | mount_api.NODEV}" in host.kernel.calls()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EAGAIN])
def test_a_failed_change_of_identity_is_not_taken_for_a_directory_that_the_agent_cannot_enter(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    @contextmanager
    def refused(_: Identity) -> Iterator[None]:
        raise OSError(number, os.strerror(number))
        yield

    project = host.project()
    monkeypatch.setattr(host_view, "acting_as", refused)
    with pytest.raises(OSError) as caught:
        host_view.check_enterable(project.descriptor, project, host.agent)
    assert caught.value.errno == number
