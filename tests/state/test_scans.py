from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import scans
from pi_agent.state.tree_entries import Entry, Kind
from tests.support.host_trees import filled, host_tree, make_special, planted_among_secrets
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.people import needs_root
from tests.support.trees import Nest


def scanned(top: Path, *roots: Path) -> tuple[dict[str, Entry], list[str]]:
    """The entries that the host's scan finds, and its notices."""
    scan = scans.scan_host(host_tree(top, *roots), lambda name: False)
    return dict(scan.entries), [*scan.notices]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A project root, which the agent can write to, that holds the user's configuration, beside the user's secrets."""
    return planted_among_secrets(tmp_path)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return filled(tmp_path)


def test_files_and_directories_are_found_with_size_and_mode(conf: Path) -> None:
    (conf / "AGENTS.md").chmod(0o755)
    found, told = scanned(conf)
    assert found.keys() == {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"}
    assert found["skills"].kind is Kind.DIRECTORY
    assert (found["skills/one/SKILL.md"].kind, found["skills/one/SKILL.md"].size) == (Kind.FILE, 5)
    assert found["AGENTS.md"].mode == 0o755
    assert told == []


def test_only_names_at_the_top_are_skipped(conf: Path) -> None:
    (conf / "skills/sessions").write_text("")
    (conf / "sessions").mkdir()
    (conf / "sessions/big").write_text("")
    found = scans.scan_host(host_tree(conf), lambda name: name == "sessions").entries
    assert "skills/sessions" in found
    assert not any(name.startswith("sessions") for name in found)


def test_what_is_skipped_is_not_even_looked_at(conf: Path) -> None:
    (conf / "sessions").symlink_to("sessions")
    assert scans.scan_host(host_tree(conf), lambda name: name == "sessions").notices == ()


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"new\nline", b"\x1b[2J", b"a b", b"-rf", b"\xc3\xa4", b"\\", b"x" * 255]
)
def test_odd_names_are_found_as_they_are(conf: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(conf), name), "wb") as file:
        file.write(b"x")
    found, told = scanned(conf)
    assert os.fsdecode(name) in found
    assert told == []


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
    found, told = scanned(conf)
    assert found.keys() == {"skills", "skills/one", "skills/one/SKILL.md", "AGENTS.md"}
    assert len(told) == 1
    assert f"{conf}/{where} " in told[0]


def test_a_link_above_the_top_is_followed_until_it_comes_back_to_the_top(conf: Path) -> None:
    before = scanned(conf)[0].keys()
    (conf.parent / "beside").write_text("")
    (conf / "up").symlink_to("..")
    found, told = scanned(conf)
    assert found.keys() == before | {"up", "up/beside"}
    assert told == [notices.loop_of_links(f"{conf}/up/conf")]


@needs_root
def test_a_device_is_passed_over_and_named(conf: Path) -> None:
    os.mknod(conf / "device", 0o20600, os.makedev(1, 3))
    found, told = scanned(conf)
    assert "device" not in found
    assert told == [notices.not_a_file(f"{conf}/device")]


@pytest.mark.parametrize("name", [b"\xff", b"a\nb", b"\x1b]0;owned\x07"])
def test_a_notice_shows_odd_names_harmlessly(conf: Path, name: bytes) -> None:
    os.mkfifo(os.path.join(os.fsencode(conf), name))
    (notice,) = scanned(conf)[1]
    assert notice.isprintable()


def test_an_unreadable_directory_is_passed_over_and_named(ordinary: Path) -> None:
    conf = filled(ordinary)
    (conf / "skills/one").chmod(0)
    found, told = scanned(conf)
    assert "skills/one/SKILL.md" not in found
    assert "AGENTS.md" in found
    assert told == [notices.left_out(f"{conf}/skills/one", "Permission denied")]
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
    host = host_tree(conf)

    def skip(name: str) -> bool:
        if name == "gone":
            (conf / "gone").rmdir()
        return False

    found = scans.scan_host(host, skip)
    assert "skills/one/SKILL.md" in found.entries
    assert found.notices == (notices.left_out(f"{conf}/gone", "No such file or directory"),)


def test_links_of_a_host_are_followed_as_pi_would(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles/prompts").mkdir(parents=True)
    (tmp_path / "dotfiles/prompts/review.md").write_text("abc")
    (conf / "prompts").symlink_to("../dotfiles/prompts")
    (conf / "models.json").symlink_to(tmp_path / "dotfiles/prompts/review.md")
    found, told = scanned(conf, tmp_path / "projects")
    assert (found["prompts"].kind, found["prompts/review.md"].size) == (Kind.DIRECTORY, 3)
    assert (found["models.json"].kind, found["models.json"].size) == (Kind.FILE, 3)
    assert told == []


def test_two_links_to_one_directory_are_no_loop(conf: Path) -> None:
    for name in ("prompts", "themes"):
        (conf / name).symlink_to("skills")
    found, told = scanned(conf)
    assert {"prompts/one/SKILL.md", "themes/one/SKILL.md"} <= found.keys()
    assert told == []


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
    for number in range(60):  # each is resolved from the top: two looks
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
    found, told = scanned(conf)
    assert {"AGENTS.md", "skills/one/SKILL.md"} <= found.keys()
    assert "listed/file" not in found
    assert told == [notices.left_out(f"{conf}/listed", "Permission denied")]
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


# -- links that the agent may have planted


def test_a_link_inside_a_root_that_leads_out_is_left_out_with_a_notice(planted: Path, tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    (planted / "skills").symlink_to("../../../secret")
    found, told = scanned(planted, projects)
    assert found == {}
    why = "a link inside a project root leads out of it"
    assert sorted(told) == [notices.left_out(f"{planted}/{name}", why) for name in ("AGENTS.md", "skills")]


def test_a_planted_link_behind_a_link_of_the_user_is_judged(planted: Path, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "skills").symlink_to(planted)
    (conf / "AGENTS.md").symlink_to(planted / "AGENTS.md")
    (planted / "AGENTS.md").symlink_to(tmp_path / "secret/id_ed25519")
    (planted / "good.md").write_text("")
    assert scanned(conf, tmp_path / "projects")[0].keys() == {"skills", "skills/good.md"}


def test_a_host_tree_is_followed_as_deep_as_any_configuration_and_no_deeper(nest: Nest, conf: Path) -> None:
    nest(conf, ["deep", *["d"] * 1500])
    found, told = scanned(conf)
    assert "skills/one/SKILL.md" in found
    depth = len([name for name in found if name.startswith("deep")])
    assert depth == scans.DEPTH_AT_MOST + 1
    deepest = "/".join(["deep", *["d"] * scans.DEPTH_AT_MOST])
    assert told == [notices.too_deep(f"{conf}/{deepest}")]


def test_a_scan_leaves_no_descriptor_open(conf: Path) -> None:
    (conf / "link").symlink_to("skills")
    (conf / "loop").symlink_to(".")
    host = host_tree(conf)
    before = open_descriptors()
    scans.scan_host(host, lambda name: False)
    assert open_descriptors() == before
