from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_agent.linux import paths
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, Refusal
from pi_agent.policy import project_roots
from pi_agent.policy.project_roots import Project
from tests.support import people
from tests.support.policies import USER, frozen, host_user

At = Callable[..., Project]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home outside the reserved directories. They are reserved by name, and /tmp, where tests live, is one."""
    monkeypatch.setattr(project_roots, "RESERVED", tuple(path for path in project_roots.RESERVED if path != "/tmp"))
    monkeypatch.setattr(paths, "only_root_changes", lambda directory: False)
    (tmp_path / "home/projects/demo/src").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def locate(home: Path, monkeypatch: pytest.MonkeyPatch) -> At:
    """Locate from a directory below home, for a user with these roots, and close the descriptor again."""

    def at(directory: str, *roots: str, state_dir: str = "/var/lib/pi-agent") -> Project:
        monkeypatch.chdir(home / directory)
        policy = frozen(hostUsers={USER: host_user(*roots)}, stateDir=state_dir)
        found = project_roots.locate(policy, people.alice(home))
        assert paths.real_path(found.descriptor) == found.root
        os.close(found.descriptor)
        return found

    return at


def refused(locate: At, directory: str, *roots: str, status: int = EX_NOPERM, state_dir: str = "/var/x") -> Refusal:
    with pytest.raises(Refusal) as caught:
        locate(directory, *roots, state_dir=state_dir)
    assert caught.value.status == status, caught.value.what
    return caught.value


def trust(monkeypatch: pytest.MonkeyPatch, *directories: Path) -> None:
    """Count only these directories as changeable by root alone."""
    names = {str(directory) for directory in directories}
    monkeypatch.setattr(paths, "only_root_changes", lambda directory: paths.real_path(directory) in names)


def test_a_directory_below_a_root_is_found_and_one_beside_it_refused(locate: At, home: Path) -> None:
    found = locate("projects/demo/src", "~/projects")
    assert (found.root, found.directory) == (f"{home}/projects", f"{home}/projects/demo/src")
    (home / "projects-other").mkdir()
    refused(locate, "projects-other", "~/projects")
    refused(locate, ".", "~/projects")


def test_the_root_itself_is_inside(locate: At, home: Path) -> None:
    assert locate("projects", "~/projects").directory == f"{home}/projects"
    assert locate("projects", "~/projects/").root == f"{home}/projects"


def test_the_innermost_root_is_taken_whatever_the_order(locate: At, home: Path) -> None:
    roots = ("~/projects", "~/projects/demo", "~")
    for order in (roots, roots[::-1], (roots[1], roots[2], roots[0])):
        assert locate("projects/demo/src", *order).root == f"{home}/projects/demo"
    assert locate("projects", *roots).root == f"{home}/projects"


def test_a_tilde_alone_is_home_and_a_tilde_elsewhere_is_a_name(locate: At, home: Path) -> None:
    assert locate("projects", "~").root == str(home)
    assert project_roots.expanded("~/x", "/home/a") == "/home/a/x"
    for literal in ("~bob/x", "/a/~/b", "x~", "/~"):
        assert project_roots.expanded(literal, "/home/a") == literal


def test_a_refusal_names_the_roots_as_written_and_the_nix_line(locate: At, home: Path) -> None:
    (home / "other").mkdir()
    refusal = refused(locate, "other", "~/projects", "/srv/x")
    assert f"{home}/other" in refusal.what
    assert "Allowed for alice: ~/projects, /srv/x" in refusal.remedy
    assert f'm3ta.pi-agent.hostUsers."alice".projectRoots = [ "~/projects" "/srv/x" "{home}/other" ];' in refusal.remedy


def test_a_whole_home_and_what_is_reserved_is_never_proposed(
    locate: At, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '"~/src" "~/projects" ]' in refused(locate, ".", "~/src").remedy
    monkeypatch.setattr(project_roots, "RESERVED", (f"{home}/projects",))
    refusal = refused(locate, "projects/demo", "~/src")
    assert "projectRoots" not in refusal.remedy
    assert "cannot be a project root" in refusal.remedy


def test_a_root_that_is_allowed_already_is_not_proposed(locate: At) -> None:
    assert '"~/projects" "~/projects"' not in refused(locate, ".", "~/projects").remedy


def test_roots_that_are_missing_or_no_directory_are_passed_over(locate: At, home: Path) -> None:
    (home / "file").write_text("")
    assert locate("projects", "~/none", "~/file", "~/file/x", "~/projects").root == f"{home}/projects"
    refused(locate, "projects", "~/none", "~/file")


def test_a_link_that_others_can_redirect_is_no_root_and_the_refusal_says_so(locate: At, home: Path) -> None:
    (home / "allowed").symlink_to("projects")
    refusal = refused(locate, "projects/demo", "~/allowed")
    assert f"can redirect the symbolic link {home}/allowed." in refusal.remedy
    assert refusal.remedy.count("Ignored: ") == 1


def test_a_link_on_the_way_to_a_root_counts_as_well(locate: At, home: Path) -> None:
    (home / "link").symlink_to("projects")
    refused(locate, "projects/demo", "~/link/demo")


def test_a_link_where_only_root_can_change_it_is_followed(
    locate: At, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "allowed").symlink_to("projects")
    trust(monkeypatch, home)
    assert locate("projects/demo", "~/allowed").root == f"{home}/projects"


def test_every_link_of_a_chain_is_judged(locate: At, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "first").symlink_to("open/second")
    (home / "open").mkdir()
    (home / "open/second").symlink_to("../projects")
    trust(monkeypatch, home)
    assert "open/second. Name" in refused(locate, "projects/demo", "~/first").remedy
    trust(monkeypatch, home, home / "open")
    assert locate("projects/demo", "~/first").root == f"{home}/projects"


def test_a_redirectable_link_does_not_hide_a_root_that_is_fine(locate: At, home: Path) -> None:
    (home / "projects/link").symlink_to("demo")
    assert locate("projects/demo", "~/projects/link", "~/projects").root == f"{home}/projects"


def test_entering_by_a_link_counts_as_where_the_kernel_says_one_is(
    locate: At, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "outside").mkdir()
    (home / "projects/escape").symlink_to("../outside")
    (home / "shortcut").symlink_to("projects/demo")
    refused(locate, "projects/escape", "~/projects")
    monkeypatch.setenv("PWD", f"{home}/projects/escape")
    refused(locate, "outside", "~/projects")
    assert locate("shortcut", "~/projects").directory == f"{home}/projects/demo"


def test_the_innermost_root_is_taken_also_when_it_is_reached_by_a_link(
    locate: At, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "inner").symlink_to("projects/demo")
    trust(monkeypatch, home)
    assert locate("projects/demo/src", "~/projects", "~/inner").root == f"{home}/projects/demo"


def test_a_removed_directory_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = home / "projects/gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(Refusal) as caught:
        project_roots.locate(frozen(hostUsers={USER: host_user("~")}), people.alice(home))
    assert caught.value.status == EX_NOPERM
    assert "was removed" in caught.value.what


def test_another_directory_with_the_name_of_the_removed_one_is_not_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = home / "projects/gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    (home / "projects/gone (deleted)").mkdir()
    with pytest.raises(Refusal) as caught:
        project_roots.locate(frozen(hostUsers={USER: host_user("~")}), people.alice(home))
    assert caught.value.status == EX_NOPERM


def test_a_directory_deeper_than_a_path_can_be_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "projects")
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    with pytest.raises(Refusal) as caught:
        project_roots.locate(frozen(hostUsers={USER: host_user("~")}), people.alice(home))
    assert caught.value.status == EX_NOPERM


@pytest.mark.parametrize("call", ["open", "stat", "fstat"])
def test_a_fault_of_the_machine_is_not_taken_for_a_removed_directory(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.chdir(home / "projects")
    descriptors = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError) as caught:
            project_roots.locate(frozen(hostUsers={USER: host_user("~")}), people.alice(home))
    assert caught.value.errno == errno.EIO
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_root_is_held_when_its_name_is_taken_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "projects/demo")
    found = project_roots.locate(frozen(hostUsers={USER: host_user("~/projects")}), people.alice(home))
    (home / "projects").rename(home / "moved")
    (home / "projects").mkdir()
    assert os.path.samestat(os.fstat(found.descriptor), os.stat(home / "moved"))
    os.close(found.descriptor)


def test_nothing_is_left_open_but_the_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "projects/demo")
    before = sorted(os.listdir("/proc/self/fd"))  # including the descriptor that the listing used itself
    policy = frozen(hostUsers={USER: host_user("~", "~/projects", "~/none", "~/projects/demo", "/srv")})
    found = project_roots.locate(policy, people.alice(home))
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    os.close(found.descriptor)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_root_above_or_below_the_state_directory_is_refused(locate: At, home: Path) -> None:
    (home / "projects/demo/state/users").mkdir(parents=True)
    state_dir = f"{home}/projects/demo/state"
    for root, directory in (("~", "."), ("~/projects/demo/state", "projects/demo/state")):
        refusal = refused(locate, directory, root, status=EX_CONFIG, state_dir=state_dir)
        assert state_dir in refusal.what
    refused(locate, "projects/demo/state/users", "~/projects/demo/state/users", status=EX_CONFIG, state_dir=state_dir)
    assert locate("projects/demo/src", "~/projects/demo/src", state_dir=state_dir)
    assert locate("projects/demo/src", "~/projects/demo/src", state_dir=f"{home}/projects/demo/s")


def mountable(root: str, **overrides: str) -> Refusal | None:
    try:
        project_roots._check_mountable(root, frozen(**overrides))
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize("reserved", [*project_roots.RESERVED, "/"])
def test_what_the_sandbox_provides_itself_is_no_root(reserved: str) -> None:
    for root in (reserved, f"{reserved.rstrip('/')}/x/y") if reserved != "/" else ("/",):
        refusal = mountable(root)
        assert refusal is not None and refusal.status == EX_CONFIG
        assert reserved in refusal.what


@pytest.mark.parametrize("root", ["/var", "/var/lib", "/"])
def test_what_holds_something_reserved_is_no_root(root: str) -> None:
    refusal = mountable(root)
    assert refusal is not None and refusal.status == EX_CONFIG


@pytest.mark.parametrize("reserved", ["/srv/agents/state", "/srv/agents/state-sync"])
def test_the_state_and_what_sync_remembers_are_no_roots_wherever_they_are(reserved: str) -> None:
    for root in (reserved, f"{reserved}/alice", "/srv/agents"):
        refusal = mountable(root, stateDir="/srv/agents/state")
        assert refusal is not None and refusal.status == EX_CONFIG
        assert "/srv/agents/state" in refusal.what
    for root in (f"{reserved}x", "/srv/agents/other", "/srv/agent"):
        assert mountable(root, stateDir="/srv/agents/state") is None


@pytest.mark.parametrize("root", ["/home/alice", "/srv/x", "/etcetera", "/var/tmpx", "/usr2/src", "/root/p", "/mnt/a"])
def test_neighbours_of_the_reserved_are_fine(root: str) -> None:
    assert mountable(root) is None


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1bb", "a\x7fb", "a\udcffb", "a\u202eb"])
def test_a_name_with_a_control_character_is_refused_and_shown_harmlessly(name: str) -> None:
    refusal = mountable(f"/home/{name}")
    assert refusal is not None and refusal.status == EX_CONFIG
    assert refusal.what.isprintable()


@pytest.mark.parametrize("name", ["a b", 'a"b', "a'b", "a\\b", "a:b", "a%h", "a$b", "ä", "日本", "a;b", "#", "a,b"])
def test_other_odd_names_are_fine(name: str) -> None:
    assert mountable(f"/home/{name}") is None


# -- whatever the tree, the roots and the directory


_PLACES = [".", *("/".join(parts) for length in (1, 2, 3) for parts in product("ab", repeat=length))]


@given(
    links=st.dictionaries(st.sampled_from(_PLACES[:7]), st.sampled_from([*_PLACES, "none", "/etc"]), max_size=3),
    roots=st.lists(st.tuples(st.sampled_from(_PLACES), st.booleans()), min_size=1, max_size=4),
    directory=st.sampled_from(_PLACES),
    trusted=st.booleans(),
)
@settings(max_examples=300)
def test_the_innermost_root_is_found_and_no_other_directory_is_allowed(
    links: dict[str, str], roots: list[tuple[str, bool]], directory: str, trusted: bool
) -> None:
    """links: where a link `l` is, and where it leads; roots: a place, and whether it is reached by its link."""
    with TemporaryDirectory(dir="/var/tmp") as top, pytest.MonkeyPatch.context() as patch:
        top = os.path.realpath(top)
        patch.setattr(project_roots, "RESERVED", ())
        patch.setattr(paths, "only_root_changes", lambda descriptor: trusted)
        for place in _PLACES:
            os.makedirs(f"{top}/{place}", exist_ok=True)
        for place, target in links.items():
            os.symlink(os.path.join(top, target), f"{top}/{place}/l")
        patch.chdir(f"{top}/{directory}")
        written = [f"{top}/{place}/l" if linked else f"{top}/{place}" for place, linked in roots]
        real = {
            os.path.realpath(root) for root in written if os.path.isdir(root) and (trusted or not os.path.islink(root))
        }
        here = os.getcwd()
        expected = max((root for root in real if here == root or here.startswith(f"{root}/")), key=len, default=None)
        policy = frozen(hostUsers={USER: host_user(*written)}, stateDir="/var/lib/pi-agent")
        try:
            found = project_roots.locate(policy, people.alice(top))
        except Refusal as refusal:
            assert expected is None and refusal.status == EX_NOPERM
        else:
            assert found.root == expected == paths.real_path(found.descriptor)
            os.close(found.descriptor)
