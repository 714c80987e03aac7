from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.linux import directories, paths
from pi_agent.linux.directories import Trail
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.state import host_config
from pi_agent.state.host_config import HostTree, StrayLink
from tests.support import people
from tests.support.host_trees import filled, host_tree, make_special, planted_among_secrets
from tests.support.limits import open_descriptors
from tests.support.policies import USER, frozen, host_user
from tests.support.trees import put


def landed(tree: HostTree, name: str) -> str | None:
    """The real path that a name in the configuration leads to; None for a link that must not be followed."""
    try:
        found = tree.look(name)
    except StrayLink:
        return None
    try:
        return paths.real_path(found)
    finally:
        os.close(found)


# -- links that the agent may have planted


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A project root, which the agent can write to, that holds the user's configuration, beside the user's secrets."""
    return planted_among_secrets(tmp_path)


def test_a_link_inside_a_root_that_leads_out_is_not_followed(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    (planted / "skills").symlink_to("../../../secret")
    tree = host_tree(planted, tmp_path / "projects")
    for name in ("AGENTS.md", "skills", "skills/id_ed25519"):
        assert landed(tree, name) is None
        with pytest.raises(StrayLink):
            tree.open(name)
        with pytest.raises(StrayLink):
            tree.status(name)


def test_the_same_link_outside_of_every_root_is_followed(planted: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret/id_ed25519"
    (planted / "AGENTS.md").symlink_to(secret)
    assert landed(host_tree(planted, tmp_path / "elsewhere"), "AGENTS.md") == str(secret)
    beside = host_tree(planted, tmp_path / "project", tmp_path / "projects/dotfiles/p")
    assert landed(beside, "AGENTS.md") == str(secret), "roots whose names only begin alike"


def test_a_link_within_its_root_is_followed(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to("../../inside")
    (planted / "models.json").symlink_to(tmp_path / "projects/inside")
    for name in ("AGENTS.md", "models.json"):
        assert landed(host_tree(planted, tmp_path / "projects"), name) == str(tmp_path / "projects/inside")


def test_a_link_from_one_root_into_another_is_not_followed(planted: Path, tmp_path: Path) -> None:
    put(tmp_path / "other/file")
    (planted / "AGENTS.md").symlink_to(tmp_path / "other/file")
    assert landed(host_tree(planted, tmp_path / "projects", tmp_path / "other"), "AGENTS.md") is None


def test_a_link_out_of_the_inner_of_two_roots_is_not_followed(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to(tmp_path / "projects/inside")
    assert landed(host_tree(planted, tmp_path / "projects", tmp_path / "projects/dotfiles"), "AGENTS.md") is None


def test_a_link_into_the_store_is_followed(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_config, "STORE", str(tmp_path / "store"))
    put(tmp_path / "store/abc-AGENTS.md")
    put(tmp_path / "store-not/file")
    (planted / "AGENTS.md").symlink_to(tmp_path / "store/abc-AGENTS.md")
    (planted / "models.json").symlink_to(tmp_path / "store-not/file")
    tree = host_tree(planted, tmp_path / "projects")
    assert landed(tree, "AGENTS.md") == str(tmp_path / "store/abc-AGENTS.md")
    assert landed(tree, "models.json") is None


def test_a_link_that_goes_out_and_comes_back_is_judged_by_where_it_lands(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("secret/id_ed25519")
    (tmp_path / "back").symlink_to("projects/inside")
    (planted / "AGENTS.md").symlink_to(tmp_path / "out")
    (planted / "models.json").symlink_to(tmp_path / "back")
    tree = host_tree(planted, tmp_path / "projects")
    assert landed(tree, "AGENTS.md") is None
    assert landed(tree, "models.json") == str(tmp_path / "projects/inside")


def test_a_directory_swapped_for_a_link_is_judged_anew(planted: Path, tmp_path: Path) -> None:
    put(planted / "skills/id_ed25519", "mine")
    tree = host_tree(planted, tmp_path / "projects")
    with Trail(tree.descriptor, directories.peek) as trail:
        os.close(tree.open_along(trail, "skills/id_ed25519"))
    (planted / "skills").rename(planted / "away")
    (planted / "skills").symlink_to(tmp_path / "secret")
    with pytest.raises(StrayLink):
        tree.open("skills/id_ed25519")
    with Trail(tree.descriptor, directories.peek) as trail, pytest.raises(StrayLink):
        tree.open_along(trail, "skills/id_ed25519")


@pytest.mark.parametrize("target", ["/proc/self/environ", "/proc/version", "/sys/kernel", "/dev/null"])
def test_no_link_leads_into_the_kernels_own_files(tmp_path: Path, target: str) -> None:
    conf = filled(tmp_path)
    (conf / "link").symlink_to(target)
    (conf / "skills/one/indirect.md").symlink_to("../../link")
    tree = host_tree(conf)
    assert landed(tree, "link") is None
    assert landed(tree, "skills/one/indirect.md") is None


def test_a_link_that_only_passes_through_the_kernels_files_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = filled(tmp_path)
    put(tmp_path / "proc/file")
    monkeypatch.chdir(tmp_path)
    (conf / "link").symlink_to("/proc/self/cwd/proc/file")
    assert landed(host_tree(conf), "link") == str(tmp_path / "proc/file")


# -- opening


def test_only_regular_files_are_opened_and_nothing_is_waited_for(tmp_path: Path) -> None:
    conf = filled(tmp_path)
    tree = host_tree(conf)
    kinds = ("fifo", "socket", "device", "loop", "dangling")
    for kind in kinds:
        make_special(conf / kind, kind)
    with Trail(tree.descriptor, directories.peek) as trail:
        for name in (*kinds, "skills", "none", "none/below"):
            with pytest.raises(OSError):
                tree.open(name)
            with pytest.raises(OSError):
                tree.open_along(trail, name)


def test_a_file_is_opened_the_same_by_its_whole_way_and_along_a_trail(tmp_path: Path) -> None:
    conf = filled(tmp_path)
    (conf / "prompts").symlink_to("skills")
    (conf / "skills/one/linked.md").symlink_to("SKILL.md")
    tree = host_tree(conf)
    with Trail(tree.descriptor, directories.peek) as trail:
        for name in ("skills/one/SKILL.md", "skills/one/linked.md", "prompts/one/SKILL.md"):
            for descriptor in (tree.open(name), tree.open_along(trail, name)):
                assert os.read(descriptor, 9) == b"12345"
                os.close(descriptor)


def test_a_name_can_begin_at_a_directory_of_the_configuration(tmp_path: Path) -> None:
    conf = filled(tmp_path)
    tree = host_tree(conf)
    start = tree.open_directory("skills")
    assert tree.status("one/SKILL.md", start).st_size == 5
    os.close(start)
    with pytest.raises(NotADirectoryError):
        tree.open_directory("AGENTS.md")


def test_opening_leaves_no_other_descriptor_open(tmp_path: Path) -> None:
    conf = filled(tmp_path)
    (conf / "out").symlink_to("/dev/null")
    tree = host_tree(conf)
    before = open_descriptors()
    os.close(tree.open("skills/one/SKILL.md"))
    for name in ("skills", "out", "none"):
        with pytest.raises(OSError):
            tree.open(name)
    assert open_descriptors() == before


# -- finding the configuration


def policy(config_path: str, *roots: str) -> Policy:
    return frozen(hostUsers={USER: host_user(*roots, config_path=config_path)})


def found(tmp_path: Path, using: Policy) -> str | None:
    """The path of the configuration that is opened for alice, whose home is tmp_path/home."""
    tree = host_config.open_host_config(using, people.alice(tmp_path / "home"))
    if tree is None:
        return None
    assert paths.real_path(tree.descriptor) == os.path.realpath(tree.path)
    os.close(tree.descriptor)
    return tree.path


def test_the_configuration_is_found_from_home_by_tilde_and_by_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "home/conf/pi").mkdir(parents=True)
    for config_path in ("conf/pi", "~/conf/pi", f"{tmp_path}/home/conf/pi", "conf/../conf//pi/"):
        assert found(tmp_path, policy(config_path)) == f"{tmp_path}/home/conf/pi"


def test_there_is_none_where_nothing_exists_and_where_sync_is_off(tmp_path: Path) -> None:
    (tmp_path / "home/.pi/agent").mkdir(parents=True)
    assert found(tmp_path, policy("none/at/all")) is None
    assert found(tmp_path, frozen(syncConfigFromHost=False)) is None
    assert found(tmp_path, frozen()) == f"{tmp_path}/home/.pi/agent"


@pytest.mark.parametrize("kind", ["file", "fifo", "below a file", "loop", "closed"])
def test_a_configuration_that_is_no_readable_directory_is_refused_with_its_path(ordinary: Path, kind: str) -> None:
    path = ordinary / "home/conf"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to("conf")
    elif kind == "closed":
        path.mkdir(0)
    else:
        path.write_text("")
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        found(ordinary, policy("conf/x" if kind == "below a file" else "conf"))
    assert caught.value.status == EX_DATAERR
    assert str(path) in caught.value.what
    assert open_descriptors() == before


def test_a_configuration_behind_the_users_own_link_is_found(tmp_path: Path) -> None:
    put(tmp_path / "home/dotfiles/pi/AGENTS.md")
    (tmp_path / "home/conf").symlink_to("dotfiles/pi")
    assert found(tmp_path, policy("conf", "~/projects")) == f"{tmp_path}/home/conf"


@pytest.mark.parametrize("target", ["../.ssh", "/proc/self"])
def test_a_configuration_behind_a_link_that_the_agent_may_have_planted_is_refused(tmp_path: Path, target: str) -> None:
    put(tmp_path / "home/.ssh/id_ed25519", "private")
    (tmp_path / "home/projects").mkdir()
    (tmp_path / "home/projects/conf").symlink_to(target)
    with pytest.raises(Refusal) as caught:
        found(tmp_path, policy("projects/conf", "~/projects"))
    assert caught.value.status == EX_DATAERR


def test_the_roots_of_the_user_are_real_paths(tmp_path: Path) -> None:
    """A root that is itself a link still shows which links lead out of it."""
    put(tmp_path / "home/.ssh/id_ed25519", "private")
    (tmp_path / "home/real/conf").mkdir(parents=True)
    (tmp_path / "home/projects").symlink_to("real")
    (tmp_path / "home/real/conf/AGENTS.md").symlink_to("../../.ssh/id_ed25519")
    tree = host_config.open_host_config(policy("real/conf", "~/projects"), people.alice(tmp_path / "home"))
    assert tree is not None
    assert landed(tree, "AGENTS.md") is None
    os.close(tree.descriptor)
