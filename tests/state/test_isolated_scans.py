from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.linux import directories
from pi_agent.state import scans
from pi_agent.state.scans import Overgrown
from pi_agent.state.tree_entries import Entry, Kind
from tests.support.host_trees import filled
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.trees import Nest, mode_of, opened


def isolated(top: Path) -> dict[str, Entry]:
    descriptor = os.open(top, os.O_RDONLY)
    try:
        return scans.scan_isolated(descriptor, lambda name: not name.startswith("skipped"))
    finally:
        os.close(descriptor)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return filled(tmp_path)


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
    """A session of the same user may be running, and do this on purpose."""
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
    for number in range(50):
        (conf / f"skills/{number}").write_text("")
    before = open_descriptors()
    with pytest.raises(Overgrown) as caught:
        isolated(conf)
    assert caught.value.name == "skills"
    assert open_descriptors() == before


def test_more_isolated_directories_side_by_side_than_descriptors_are_all_found(conf: Path) -> None:
    for number in range(60):
        (conf / f"skills/{number}").mkdir()
    with few_descriptors(40):
        assert len(isolated(conf)) == 64


def test_a_scan_of_an_isolated_tree_leaves_no_descriptor_open(conf: Path) -> None:
    (conf / "link").symlink_to("skills")
    before = open_descriptors()
    isolated(conf)
    assert open_descriptors() == before


def test_the_way_that_directories_are_entered_can_be_another(ordinary: Path) -> None:
    conf = filled(ordinary)
    (conf / "skills").chmod(0)
    with opened(conf) as top, pytest.raises(PermissionError):
        scans.scan_isolated(top, lambda name: True, directories.peek)
    assert mode_of(conf / "skills") == 0
