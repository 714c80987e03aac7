from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pi_agent.linux import directories
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import host_config, scans, tree_entries
from pi_agent.state.host_config import HostTree, StrayLink
from pi_agent.state.scans import Overgrown
from pi_agent.state.tree_entries import Kind
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.people import needs_root
from tests.support.trees import Nest


def host_tree(top: Path, *roots: Path) -> HostTree:
    return HostTree(str(top), os.open(top, os.O_PATH), lambda: tuple(str(root) for root in roots))


def scanned(top: Path, *roots: Path) -> tuple[dict[str, tree_entries.Entry], list[str]]:
    """What the host's scan finds, and its notices."""
    notices: list[str] = []
    return scans.scan_host(host_tree(top, *roots), lambda name: False, notices.append), notices


def isolated(top: Path) -> dict[str, tree_entries.Entry]:
    descriptor = os.open(top, os.O_RDONLY)
    try:
        return scans.scan_isolated(descriptor, lambda name: not name.startswith("skipped"))
    finally:
        os.close(descriptor)


def filled(top: Path) -> Path:
    """A small configuration below top."""
    (top / "conf/skills/one").mkdir(parents=True)
    (top / "conf/skills/one/SKILL.md").write_text("12345")
    (top / "conf/AGENTS.md").write_text("")
    return top / "conf"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return filled(tmp_path)


def test_files_and_directories_are_found_with_size_and_mode(conf: Path) -> None:
    (conf / "AGENTS.md").chmod(0o755)
    found, notices = scanned(conf)
    assert found.keys() == {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"}
    assert found["skills"].kind is Kind.DIRECTORY
    assert (found["skills/one/SKILL.md"].kind, found["skills/one/SKILL.md"].size) == (Kind.FILE, 5)
    assert found["AGENTS.md"].mode == 0o755
    assert notices == []


def test_only_names_at_the_top_are_skipped(conf: Path) -> None:
    (conf / "skills/sessions").write_text("")
    (conf / "sessions").mkdir()
    (conf / "sessions/big").write_text("")
    found = scans.scan_host(host_tree(conf), lambda name: name == "sessions", pytest.fail)
    assert "skills/sessions" in found
    assert not any(name.startswith("sessions") for name in found)


def test_what_is_skipped_is_not_even_looked_at(conf: Path) -> None:
    (conf / "sessions").symlink_to("sessions")
    assert scans.scan_host(host_tree(conf), lambda name: name == "sessions", pytest.fail)


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"new\nline", b"\x1b[2J", b"a b", b"-rf", b"\xc3\xa4", b"\\", b"x" * 255]
)
def test_odd_names_are_found_as_they_are(conf: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(conf), name), "wb") as file:
        file.write(b"x")
    found, notices = scanned(conf)
    assert os.fsdecode(name) in found
    assert notices == []


def make_special(path: Path | str, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(os.path.dirname(path))  # the address of a socket is short
        try:
            socket.socket(socket.AF_UNIX).bind(os.path.basename(path))
        finally:
            os.chdir(here)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind == "loop":
        os.symlink(os.path.basename(path), path)
    elif kind == "up":
        os.symlink("..", path)
    elif kind == "top":
        os.symlink(".", path)
    elif kind == "dangling":
        os.symlink("/nonexistent/x", path)
    else:
        raise ValueError(kind)


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *[(kind, "odd") for kind in ("fifo", "socket", "device", "loop", "top", "dangling")],
        *[(kind, "skills/odd") for kind in ("fifo", "socket", "device", "loop", "up", "top", "dangling")],
        *[(kind, "skills/one/odd") for kind in ("fifo", "socket", "device", "loop", "up", "top", "dangling")],
    ],
)
def test_what_cannot_be_copied_is_passed_over_and_named(conf: Path, kind: str, where: str) -> None:
    make_special(conf / where, kind)
    found, notices = scanned(conf)
    assert found.keys() == {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"}
    assert len(notices) == 1
    assert f"{conf}/{where} " in notices[0]


def test_a_link_above_the_top_is_followed_until_it_comes_back_to_the_top(conf: Path) -> None:
    before = scanned(conf)[0].keys()
    (conf.parent / "beside").write_text("")
    (conf / "up").symlink_to("..")
    found, notices = scanned(conf)
    assert found.keys() == before | {"up", "up/beside"}
    assert notices == [f"{conf}/up/conf is a loop of links and was left out"]


@needs_root
def test_a_device_is_passed_over_and_named(conf: Path) -> None:
    os.mknod(conf / "device", 0o20600, os.makedev(1, 3))
    found, notices = scanned(conf)
    assert "device" not in found
    assert f"{conf}/device is a pipe, socket or device" in notices[0]


@pytest.mark.parametrize("name", [b"\xff", b"a\nb", b"\x1b]0;owned\x07"])
def test_a_notice_shows_odd_names_harmlessly(conf: Path, name: bytes) -> None:
    os.mkfifo(os.path.join(os.fsencode(conf), name))
    (notice,) = scanned(conf)[1]
    assert notice.isprintable()


def test_an_unreadable_directory_is_passed_over_and_named(ordinary: Path) -> None:
    conf = filled(ordinary)
    (conf / "skills/one").chmod(0)
    found, notices = scanned(conf)
    assert "skills/one/SKILL.md" not in found
    assert "AGENTS.md" in found
    assert any(f"{conf}/skills/one was left out: Permission denied" in notice for notice in notices)
    assert (conf / "skills/one").stat().st_mode & 0o777 == 0, "the host's own are not opened up"


def test_an_unreadable_top_is_refused(ordinary: Path) -> None:
    conf = filled(ordinary)
    conf.chmod(0)
    with pytest.raises(Refusal) as caught:
        scanned(conf)
    assert caught.value.status == EX_DATAERR
    assert str(conf) in caught.value.what


def test_what_vanishes_meanwhile_is_passed_over_and_named(conf: Path) -> None:
    (conf / "gone").mkdir()
    host, notices = host_tree(conf), list[str]()

    def skip(name: str) -> bool:
        if name == "gone":
            (conf / "gone").rmdir()
        return False

    found = scans.scan_host(host, skip, notices.append)
    assert "skills/one/SKILL.md" in found
    assert notices == [f"{conf}/gone was left out: No such file or directory"]


def test_links_of_a_host_are_followed_as_pi_would(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles/prompts").mkdir(parents=True)
    (tmp_path / "dotfiles/prompts/review.md").write_text("abc")
    (conf / "prompts").symlink_to("../dotfiles/prompts")
    (conf / "models.json").symlink_to(tmp_path / "dotfiles/prompts/review.md")
    found, notices = scanned(conf, tmp_path / "projects")
    assert (found["prompts"].kind, found["prompts/review.md"].size) == (Kind.DIRECTORY, 3)
    assert (found["models.json"].kind, found["models.json"].size) == (Kind.FILE, 3)
    assert notices == []


def test_two_links_to_one_directory_are_no_loop(conf: Path) -> None:
    for name in ("prompts", "themes"):
        (conf / name).symlink_to("skills")
    found, notices = scanned(conf)
    assert {"prompts/one/SKILL.md", "themes/one/SKILL.md"} <= found.keys()
    assert notices == []


def test_links_that_multiply_without_a_loop_meet_the_limit(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 500)
    for level in range(12):
        (conf / f"d{level}").mkdir()
        for name in ("x", "y"):
            (conf / f"d{level}" / name).symlink_to(f"../d{level + 1}")
    with pytest.raises(Refusal) as caught:
        scanned(conf)
    assert caught.value.status == EX_DATAERR


def test_what_is_passed_over_and_long_ways_count_as_looks(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "LOOKS_AT_MOST", 100)
    for number in range(60):  # each is looked for from the top: two looks
        (conf / f"skills/{number}").symlink_to("nowhere")
    with pytest.raises(Refusal) as caught:
        scanned(conf)
    assert caught.value.status == EX_DATAERR
    assert "100 looks" in caught.value.what
    for number in range(30, 60):
        (conf / f"skills/{number}").unlink()
    assert len(scanned(conf)[1]) == 30
    for number in range(60):
        os.mkfifo(conf / f"skills/{number + 60}")
    with pytest.raises(Refusal):
        scanned(conf)


def test_a_directory_that_can_be_listed_and_not_entered_is_named_and_the_rest_is_found(ordinary: Path) -> None:
    conf = filled(ordinary)
    (conf / "listed").mkdir()
    (conf / "listed/file").write_text("")
    (conf / "listed").chmod(0o600)
    found, notices = scanned(conf)
    assert {"AGENTS.md", "skills/one/SKILL.md"} <= found.keys()
    assert "listed/file" not in found
    assert notices == [f"{conf}/listed was left out: Permission denied"]
    (conf / "listed").chmod(0o700)
    conf.chmod(0o600)
    try:
        with pytest.raises(Refusal) as caught:
            scanned(conf)
        assert caught.value.status == EX_DATAERR
    finally:
        conf.chmod(0o700)


def test_too_many_entries_are_refused_and_as_many_as_allowed_are_not(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 4)
    assert len(scanned(conf)[0]) == 4
    (conf / "one-more").write_text("")
    with pytest.raises(Refusal) as caught:
        scanned(conf)
    assert caught.value.status == EX_DATAERR
    assert str(conf) in caught.value.what
    assert "4 entries" in caught.value.what


def test_too_many_bytes_are_refused_and_as_many_as_allowed_are_not(conf: Path) -> None:
    os.truncate(conf / "AGENTS.md", scans.BYTES_AT_MOST - 5)
    assert scanned(conf)[0]
    os.truncate(conf / "AGENTS.md", scans.BYTES_AT_MOST - 4)
    with pytest.raises(Refusal) as caught:
        scanned(conf)
    assert caught.value.status == EX_DATAERR
    assert "2 GiB" in caught.value.what


def test_more_directories_side_by_side_than_descriptors_are_all_found(conf: Path) -> None:
    for number in range(60):
        (conf / f"skills/{number}").mkdir()
        (conf / f"skills/{number}/SKILL.md").write_text("")
    with few_descriptors(40):
        found, _ = scanned(conf)
    assert len([name for name in found if name.endswith("/SKILL.md")]) == 61


def test_more_isolated_directories_side_by_side_than_descriptors_are_all_found(conf: Path) -> None:
    for number in range(60):
        (conf / f"skills/{number}").mkdir()
    with few_descriptors(40):
        assert len(isolated(conf)) == 64


def test_no_scan_leaves_a_descriptor_open(conf: Path) -> None:
    (conf / "link").symlink_to("skills")
    (conf / "loop").symlink_to(".")
    host = host_tree(conf)
    before = open_descriptors()
    scans.scan_host(host, lambda name: False, lambda notice: None)
    isolated(conf)
    assert open_descriptors() == before


# -- links that the agent may have planted


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A project root, which the agent can write to, holding the user's configuration, beside the user's secrets."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/id_ed25519").write_text("private")
    (tmp_path / "projects/dotfiles/pi").mkdir(parents=True)
    (tmp_path / "projects/inside").write_text("public")
    return tmp_path / "projects/dotfiles/pi"


def names(top: Path, *roots: Path) -> set[str]:
    return set(scanned(top, *roots)[0])


def test_a_link_inside_a_root_that_leads_out_is_left_out_with_a_notice(planted: Path, tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    (planted / "skills").symlink_to("../../../secret")
    found, notices = scanned(planted, projects)
    assert found == {}
    assert sorted(notice.split(" ")[0] for notice in notices) == [f"{planted}/AGENTS.md", f"{planted}/skills"]
    assert all("leads out" in notice for notice in notices)
    with pytest.raises(StrayLink):
        host_tree(planted, projects).open("AGENTS.md")
    with pytest.raises(StrayLink):
        host_tree(planted, projects).open("skills/id_ed25519")


def test_the_same_links_outside_of_any_root_are_followed(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    assert names(planted, tmp_path / "elsewhere") == {"AGENTS.md"}
    assert names(planted, tmp_path / "project", tmp_path / "projects/dotfiles/p") == {"AGENTS.md"}


def test_a_link_within_its_root_is_followed(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to("../../inside")
    (planted / "models.json").symlink_to(tmp_path / "projects/inside")
    assert names(planted, tmp_path / "projects") == {"AGENTS.md", "models.json"}


def test_a_link_from_one_root_into_another_is_left_out(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("")
    (planted / "AGENTS.md").symlink_to(tmp_path / "other/file")
    assert names(planted, tmp_path / "projects", tmp_path / "other") == set()


def test_a_link_out_of_the_inner_of_two_roots_is_left_out(planted: Path, tmp_path: Path) -> None:
    (planted / "AGENTS.md").symlink_to(tmp_path / "projects/inside")
    assert names(planted, tmp_path / "projects", tmp_path / "projects/dotfiles") == set()


def test_a_link_into_the_store_is_followed(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_config, "STORE", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    (tmp_path / "store/abc-AGENTS.md").write_text("")
    (tmp_path / "store-not").mkdir()
    (tmp_path / "store-not/file").write_text("")
    (planted / "AGENTS.md").symlink_to(tmp_path / "store/abc-AGENTS.md")
    (planted / "models.json").symlink_to(tmp_path / "store-not/file")
    assert names(planted, tmp_path / "projects") == {"AGENTS.md"}


def test_a_planted_link_behind_a_link_of_the_user_is_judged(planted: Path, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "skills").symlink_to(planted)
    (conf / "AGENTS.md").symlink_to(planted / "AGENTS.md")
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    (planted / "good.md").write_text("")
    assert names(conf, tmp_path / "projects") == {"skills", "skills/good.md"}


def test_a_planted_link_that_goes_out_and_comes_back_by_name_is_judged_by_where_it_lands(
    planted: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to("secret/id_ed25519")
    (tmp_path / "back").symlink_to("projects/inside")
    (planted / "AGENTS.md").symlink_to(tmp_path / "out")
    (planted / "models.json").symlink_to(tmp_path / "back")
    assert names(planted, tmp_path / "projects") == {"models.json"}


def test_a_directory_swapped_for_a_link_after_the_scan_is_still_judged(planted: Path, tmp_path: Path) -> None:
    (planted / "skills").mkdir()
    (planted / "skills/id_ed25519").write_text("mine")
    host = host_tree(planted, tmp_path / "projects")
    assert "skills/id_ed25519" in scans.scan_host(host, lambda name: False, pytest.fail)
    (planted / "skills").rename(planted / "away")
    (planted / "skills").symlink_to(tmp_path / "secret")
    with pytest.raises(StrayLink):
        host.open("skills/id_ed25519")


@pytest.mark.parametrize(
    "target", ["/proc/self/environ", "/proc/version", "/sys/kernel", "/dev/null", "/proc/self/cwd/x"]
)
def test_no_link_leads_into_the_kernels_own_files(
    conf: Path, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("")
    (conf / "link").symlink_to(target)
    (conf / "skills/one/indirect.md").symlink_to("../../link")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/file").write_text("")
    (conf / "fine.md").symlink_to("../proc/file")
    found, notices = scanned(conf)
    allowed = target == "/proc/self/cwd/x"  # that one only passes through, to a file of the user
    assert found.keys() - {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"} == (
        {"fine.md", "link", "skills/one/indirect.md"} if allowed else {"fine.md"}
    )
    assert len(notices) == (0 if allowed else 2)


def test_only_regular_files_are_opened_and_nothing_is_waited_for(conf: Path) -> None:
    host = host_tree(conf)
    for kind in ("fifo", "socket", "device", "loop", "dangling"):
        make_special(conf / kind, kind)
    for name in ("fifo", "socket", "device", "loop", "dangling", "skills", "none"):
        with pytest.raises(OSError):
            host.open(name)
    descriptor = host.open("skills/one/SKILL.md")
    assert os.read(descriptor, 9) == b"12345"
    os.close(descriptor)


# -- the isolated tree


def test_the_isolated_scan_follows_nothing_and_names_everything(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/x").write_text("")
    (conf / "directory-link").symlink_to("../secret")
    (conf / "file-link").symlink_to("../secret/x")
    os.mkfifo(conf / "skills/fifo")
    (conf / "skipped-1").mkdir()
    (conf / "skills/skipped-2").mkdir()
    found = isolated(conf)
    assert found.keys() == {
        "skills", "skills/one", "skills/one/SKILL.md", "skills/fifo", "skills/skipped-2", "AGENTS.md",
        "directory-link", "file-link",
    }  # fmt: skip
    others = {name for name, entry in found.items() if entry.kind is Kind.OTHER}
    assert others == {"skills/fifo", "directory-link", "file-link"}


@pytest.mark.parametrize("mode", [0, 0o100, 0o400])
def test_a_directory_that_the_agent_closed_to_itself_is_looked_into(ordinary: Path, mode: int) -> None:
    conf = filled(ordinary)
    (conf / "skills/one").chmod(mode)
    (conf / "skills").chmod(mode)
    assert isolated(conf).keys() == {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"}


@pytest.mark.parametrize("vanishing", ["gone", "skills/one"])
@pytest.mark.parametrize("into", ["nothing", "link", "file"])
def test_an_isolated_directory_that_vanishes_meanwhile_is_no_error(
    conf: Path, monkeypatch: pytest.MonkeyPatch, vanishing: str, into: str
) -> None:
    """A session of the same user may be running, and do so on purpose."""
    (conf / "gone").mkdir()
    (conf / "other/kept").mkdir(parents=True)
    enter = directories.enter

    def late(parent: int, name: str) -> int:
        if name == os.path.basename(vanishing) and not (conf.parent / "away").exists():
            (conf / vanishing).rename(conf.parent / "away")
            if into == "link":
                (conf / vanishing).symlink_to("/etc")
            elif into == "file":
                (conf / vanishing).write_text("")
        return enter(parent, name)

    monkeypatch.setattr(directories, "enter", late)
    found = isolated(conf)
    assert {"AGENTS.md", "other/kept"} <= found.keys()
    assert not any(name.startswith(f"{vanishing}/") for name in found)


def test_only_wanted_names_at_the_top_are_looked_at(conf: Path) -> None:
    (conf / "sessions").mkdir()
    (conf / "skills/sessions").mkdir()
    descriptor = os.open(conf, os.O_RDONLY)
    try:
        assert scans.scan_isolated(descriptor, lambda name: name == "skills").keys() == {
            "skills", "skills/one", "skills/one/SKILL.md", "skills/sessions",
        }  # fmt: skip
    finally:
        os.close(descriptor)


def test_a_tree_deeper_than_any_configuration_is_overgrown(nest: Nest, conf: Path) -> None:
    (conf / "deep" / "/".join(["d"] * (scans.DEPTH_AT_MOST + 1))).mkdir(parents=True)
    assert len(isolated(conf)) == 4 + 1 + scans.DEPTH_AT_MOST + 1
    nest(conf, ["deeper", *["d"] * 3000])
    with pytest.raises(Overgrown) as caught:
        isolated(conf)
    assert caught.value.name == "deeper"


def test_a_tree_larger_than_any_configuration_is_overgrown(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 40)
    before = open_descriptors()
    for number in range(50):
        (conf / f"skills/{number}").write_text("")
    with pytest.raises(Overgrown) as caught:
        isolated(conf)
    assert caught.value.name == "skills"
    assert open_descriptors() == before


def test_a_host_tree_is_followed_as_deep_as_any_configuration_and_no_deeper(nest: Nest, conf: Path) -> None:
    nest(conf, ["deep", *["d"] * 1500])
    found, notices = scanned(conf)
    assert "skills/one/SKILL.md" in found
    depth = len([name for name in found if name.startswith("deep")])
    assert depth == scans.DEPTH_AT_MOST + 1
    assert len(notices) == 1 and "lies too deep" in notices[0] and notices[0].isprintable()
