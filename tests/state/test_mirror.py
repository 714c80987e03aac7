from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_agent.linux import progress_bar
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import mirror, scans
from pi_agent.state.host_config import HostTree
from pi_agent.state.mirror import HostFiles, Plan
from tests.support import people
from tests.support.bench import bench
from tests.support.host_trees import host_tree
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.shapes import file_names
from tests.support.trees import Nest, await_tick, opened, put, snapshot

_TEMPORARY = ".pi-agent-new"


def mirrored(name: str) -> bool:
    return name in ("skills", "prompts") or name.endswith(".md")


class Sides:
    """A host directory and an isolated one, and the memory of the last mirroring."""

    def __init__(self, top: Path) -> None:
        self.host = top / "host"
        self.isolated = top / "isolated"
        self.outside = top / "outside"
        self.manifest: dict[str, list[int]] = {}
        self.notices: list[str] = []
        for directory in (self.host, self.isolated, self.outside):
            directory.mkdir()

    @contextmanager
    def opened(self) -> Iterator[tuple[HostTree, int]]:
        """Both directories, open."""
        tree = host_tree(self.host)
        with opened(self.isolated) as isolated:
            yield tree, isolated
        os.close(tree.descriptor)

    def plan(self) -> Plan:
        """The plan."""
        with self.opened() as (tree, isolated):
            host = scans.scan_host(tree, lambda name: False)
            present = scans.scan_isolated(isolated, lambda name: name != "sessions")
        self.notices += host.notices
        return mirror.plan(host.entries, present, self.manifest, mirrored)

    def carry_out(self, work: Plan) -> None:
        """Carry out the plan, and remember what was copied."""
        with self.opened() as (tree, isolated):
            done = mirror.carry_out(work, HostFiles(tree), people.alice("/"), people.agent("/"), isolated)
        self.notices += done.notices
        self.manifest |= {name: [*copy.host, *copy.isolated] for name, copy in done.copied.items()}
        self.manifest = {name: numbers for name, numbers in self.manifest.items() if (self.host / name).exists()}

    def mirror(self) -> Plan:
        """Plan, and carry out. Returns the plan."""
        work = self.plan()
        self.carry_out(work)
        return work

    def agree(self) -> None:
        """Check that mirrored entries match the host exactly, and that nothing is left to do."""
        assert of_mirrored(snapshot(self.isolated)) == of_mirrored(snapshot(self.host))
        assert self.mirror() == Plan((), (), ())


def of_mirrored(found: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if mirrored(name.split("/")[0])}


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def test_everything_is_copied_once(sides: Sides) -> None:
    put(sides.host / "skills/a/SKILL.md", "one")
    put(sides.host / "custom/tool.txt", "two")
    (sides.host / "prompts").mkdir()
    assert set(sides.mirror().copy) == {"skills/a/SKILL.md", "custom/tool.txt"}
    assert snapshot(sides.isolated) == snapshot(sides.host)
    sides.agree()
    assert sides.notices == []


def test_what_changes_on_the_host_is_copied_alone(sides: Sides) -> None:
    put(sides.host / "skills/a")
    put(sides.host / "skills/b")
    sides.mirror()
    put(sides.host / "skills/a", "longer")
    assert sides.mirror() == Plan((), (), ("skills/a",))
    sides.agree()


def test_what_the_agent_changed_is_put_back(sides: Sides) -> None:
    put(sides.host / "skills/a", "good")
    sides.mirror()
    put(sides.isolated / "skills/a", "evil!")
    assert sides.mirror().copy == ("skills/a",)
    assert (sides.isolated / "skills/a").read_text() == "good"
    sides.agree()


def test_what_the_agent_changed_while_keeping_size_and_time_is_put_back(sides: Sides) -> None:
    put(sides.host / "skills/a", "good")
    sides.mirror()
    path = sides.isolated / "skills/a"
    before = path.stat()
    await_tick(path)
    path.write_text("evil")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    sides.mirror()
    assert path.read_text() == "good"


def test_what_the_agent_removed_is_brought_back(sides: Sides) -> None:
    put(sides.host / "skills/a/b")
    sides.mirror()
    (sides.isolated / "skills/a/b").unlink()
    (sides.isolated / "skills/a").rmdir()
    sides.mirror()
    sides.agree()


def test_what_was_planted_among_mirrored_names_is_removed(sides: Sides) -> None:
    put(sides.host / "skills/a")
    sides.mirror()
    for name in ("skills/planted", "skills/deep/er/x", "prompts/x", "AGENTS.md", "skills/.hidden"):
        put(sides.isolated / name)
    (sides.isolated / "skills/link").symlink_to(sides.outside)
    os.mkfifo(sides.isolated / "skills/fifo")
    sides.mirror()
    assert snapshot(sides.isolated).keys() == {"skills", "skills/a"}
    assert sides.outside.is_dir()


def test_names_of_nobody_are_left_to_pi(sides: Sides) -> None:
    put(sides.host / "skills/a")
    for name in ("sessions/1.jsonl", "cache/x", "note.txt"):
        put(sides.isolated / name)
    sides.mirror()
    assert {"sessions/1.jsonl", "cache/x", "note.txt"} <= snapshot(sides.isolated).keys()


def test_elsewhere_only_our_own_unchanged_copies_are_removed(sides: Sides) -> None:
    for name in ("custom/kept", "custom/changed", "custom/dropped"):
        put(sides.host / name, "host")
    sides.mirror()
    put(sides.isolated / "custom/changed", "by the agent")
    put(sides.isolated / "custom/own", "by the agent")
    (sides.host / "custom/changed").unlink()
    (sides.host / "custom/dropped").unlink()
    assert sides.mirror().remove == ("custom/dropped",)
    assert snapshot(sides.isolated).keys() == {"custom", "custom/kept", "custom/changed", "custom/own"}


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"\x1b[2J", b"a b", b"-rf", b"*", b"\\x", b"x" * 255])
def test_odd_names_are_copied_and_removed(sides: Sides, name: bytes) -> None:
    odd = os.fsdecode(name)
    put(sides.host / "skills" / odd / odd, "odd")
    sides.mirror()
    assert (sides.isolated / "skills" / odd / odd).read_text() == "odd"
    sides.agree()
    (sides.host / "skills" / odd / odd).unlink()
    sides.mirror()
    sides.agree()


def test_names_that_sort_between_a_directory_and_its_content_do_not_confuse_removal(sides: Sides) -> None:
    put(sides.host / "skills/kept")
    for name in ("skills/a/x", "skills/a-b", "skills/a!", "skills/a b/y", "skills/a.d/z"):
        put(sides.isolated / name)
    assert sides.mirror().remove == ("skills/a", "skills/a b", "skills/a!", "skills/a-b", "skills/a.d")
    assert snapshot(sides.isolated).keys() == {"skills", "skills/kept"}


@pytest.mark.parametrize("planted", ["link to a directory", "link to a file", "dangling", "fifo", "file", "directory"])
@pytest.mark.parametrize("host", ["file", "directory"])
def test_another_kind_of_thing_in_the_place_gives_way(sides: Sides, planted: str, host: str) -> None:
    put(sides.outside / "precious", "precious")
    put(sides.host / ("skills/name" if host == "file" else "skills/name/below"), "good")
    place = sides.isolated / "skills/name"
    place.parent.mkdir()
    if planted == "fifo":
        os.mkfifo(place)
    elif planted == "file":
        put(place, "evil")
    elif planted == "directory":
        put(place / "below/evil", "evil")
    else:
        targets = {"link to a directory": sides.outside, "link to a file": sides.outside / "precious"}
        place.symlink_to(targets.get(planted, Path("/nonexistent")))
    sides.mirror()
    sides.agree()
    assert snapshot(sides.outside) == {"precious": b"precious"}


def test_a_planted_link_in_place_of_a_parent_directory_is_not_followed(sides: Sides) -> None:
    put(sides.host / "skills/a/b/SKILL.md", "good")
    put(sides.host / "custom/a/file", "good")
    sides.mirror()
    for name in ("skills", "custom"):
        (sides.isolated / name).rename(sides.isolated / f"{name}-away.md")
        (sides.isolated / name).symlink_to(sides.outside)
    put(sides.outside / "a/b/SKILL.md", "precious")
    before = snapshot(sides.outside)
    sides.mirror()
    assert snapshot(sides.outside) == before
    sides.agree()


def test_links_planted_between_plan_and_execution_are_not_followed(sides: Sides) -> None:
    for name in ("new/SKILL.md", "there/SKILL.md"):
        put(sides.host / "skills" / name, "good")
    for name in ("old/x", "there/x", "there/sub/x", "parent/x"):
        put(sides.isolated / "skills" / name, "old")
    put(sides.host / "skills/parent/kept")
    for name in ("x", "sub/x", "SKILL.md"):
        put(sides.outside / name, "precious")
    before = snapshot(sides.outside)
    plan = sides.plan()
    assert plan.remove == ("skills/old", "skills/parent/x", "skills/there/sub", "skills/there/x")
    assert plan.make == ("skills/new",)
    for name in ("old", "there", "parent"):
        (sides.isolated / "skills" / name).rename(sides.isolated / f"{name}-away")
    for name in ("old", "there", "parent", "new"):
        (sides.isolated / "skills" / name).symlink_to(sides.outside)
    try:
        sides.carry_out(plan)
    except OSError:  # giving up is acceptable, and so is going on
        pass
    assert snapshot(sides.outside) == before


def test_a_link_planted_where_a_copy_goes_is_not_followed(sides: Sides) -> None:
    put(sides.host / "skills/there/SKILL.md", "good")
    (sides.isolated / "skills/there").mkdir(parents=True)
    put(sides.outside / "SKILL.md", "precious")
    plan = sides.plan()
    assert plan == Plan((), (), ("skills/there/SKILL.md",))
    (sides.isolated / "skills/there").rename(sides.isolated / "away")
    (sides.isolated / "skills/there").symlink_to(sides.outside)
    sides.carry_out(plan)
    assert snapshot(sides.outside) == {"SKILL.md": b"precious"}
    assert (sides.isolated / "skills/there/SKILL.md").read_text() == "good"


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_a_killed_sync_left_is_cleared(sides: Sides, kind: str) -> None:
    put(sides.host / "skills/a", "good")
    put(sides.host / "top.md", "good")
    put(sides.outside / "precious", "precious")
    for place in (sides.isolated / "skills" / _TEMPORARY, sides.isolated / _TEMPORARY):
        if kind == "file":
            put(place, "half")
        elif kind == "directory":
            put(place / "x/y")
        else:
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(sides.outside / "precious")
    sides.mirror()
    sides.agree()
    assert not list(sides.isolated.rglob(_TEMPORARY))
    assert snapshot(sides.outside) == {"precious": b"precious"}


def test_a_host_file_that_vanishes_meanwhile_is_named_and_the_rest_copied(sides: Sides) -> None:
    put(sides.host / "skills/gone")
    put(sides.host / "skills/kept")
    plan = sides.plan()
    (sides.host / "skills/gone").unlink()
    sides.carry_out(plan)
    assert sides.manifest.keys() == {"skills/kept"}
    assert sides.notices == [notices.left_out(f"{sides.host}/skills/gone", "No such file or directory")]


def test_mirroring_leaves_no_descriptor_open(sides: Sides) -> None:
    put(sides.host / "skills/a/b/file")
    put(sides.isolated / "skills/planted/x")
    before = open_descriptors()
    sides.mirror()
    assert open_descriptors() == before


def test_a_deep_tree_is_removed_with_few_descriptors(nest: Nest, sides: Sides) -> None:
    """The host removed the tree. linux/test_removal.py tests removal at any depth."""
    nest(sides.isolated, ["skills", *["d"] * scans.DEPTH_AT_MOST])
    with few_descriptors(20):
        sides.mirror()
    assert snapshot(sides.isolated) == {}


def test_files_that_grow_past_the_limit_after_they_were_counted_are_refused(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(sides.host / "skills/a", "12345")
    put(sides.host / "skills/b", "12345")
    monkeypatch.setattr(mirror, "BYTES_AT_MOST", 11)
    sides.mirror()
    sides.agree()
    put(sides.host / "skills/a", "1234567")
    put(sides.host / "skills/b", "1234567")
    with pytest.raises(Refusal) as caught:
        sides.mirror()
    assert caught.value.status == EX_DATAERR
    assert str(sides.host) in caught.value.what


@pytest.mark.parametrize("closed", ["skills", "skills/there", "skills/planted", "skills/there/planted"])
def test_what_the_agent_closed_to_itself_is_mirrored_all_the_same(ordinary: Path, closed: str) -> None:
    (ordinary / "sides").mkdir()
    sides = Sides(ordinary / "sides")
    put(sides.host / "skills/there/a", "old")
    sides.mirror()
    put(sides.host / "skills/there/a", "newer")
    put(sides.host / "skills/there/b", "new")
    for name in ("skills/planted", "skills/there/planted"):
        put(sides.isolated / name / "below/x", "evil")
        (sides.isolated / name / "below").chmod(0)
    (sides.isolated / closed).chmod(0)
    sides.mirror()
    sides.agree()
    assert sides.notices == []


@pytest.mark.parametrize("vanishing", ["skills/planted/x", "skills/planted", "skills"])
def test_what_was_to_be_removed_and_vanishes_meanwhile_is_no_error(sides: Sides, vanishing: str) -> None:
    put(sides.isolated / "skills/planted/x")
    if vanishing != "skills":
        put(sides.host / "skills/kept")
    if vanishing == "skills/planted/x":
        put(sides.host / "skills/planted/kept")
    plan = sides.plan()
    assert plan.remove == (vanishing,)
    shutil.rmtree(sides.isolated / "skills")
    sides.carry_out(plan)
    assert sides.notices == []
    sides.agree()


# Names that collide, and names of any bytes.
_NAMES = st.sampled_from(["skills", "prompts", "a.md", "custom", "a", "a-b"]) | file_names
_HOST = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map(tuple), st.sampled_from(["", "x", "yy"]), max_size=6
)
_ISOLATED = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map(tuple), st.sampled_from(["", "x", "link", "directory"]), max_size=6
)


def lay_out(top: Path, entries: Mapping[tuple[str, ...], str], outside: Path) -> None:
    """Make the entries. An entry whose path is blocked by another, such as a link, is left out."""
    for parts, content in entries.items():
        path = top.joinpath(*parts)
        if any(above.is_symlink() for above in path.parents if above.is_relative_to(top)):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content == "link":
                path.symlink_to(outside)
            elif content == "directory":
                path.mkdir()
            elif not path.is_symlink():
                path.write_text(content)
        except OSError:
            continue


@settings(max_examples=40)
@given(_HOST, _ISOLATED, _HOST, _ISOLATED)
def test_whatever_stood_on_either_side_the_mirrored_names_agree_afterwards(
    host: dict[tuple[str, ...], str],
    isolated: dict[tuple[str, ...], str],
    later: dict[tuple[str, ...], str],
    planted: dict[tuple[str, ...], str],
) -> None:
    with TemporaryDirectory() as top:
        sides = Sides(Path(top))
        put(sides.outside / "precious")
        lay_out(sides.host, host, sides.outside)
        lay_out(sides.isolated, isolated, Path("../outside"))
        sides.mirror()
        sides.agree()
        lay_out(sides.host, later, sides.outside)
        lay_out(sides.isolated, planted, sides.outside)
        sides.mirror()
        sides.agree()
        assert sides.notices == []
        assert snapshot(sides.outside).keys() == {"precious"}


def test_a_long_copy_says_on_a_terminal_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    here = bench(tmp_path)
    for name in ("a.md", "b.md"):
        put(here.host / name)
    monkeypatch.setattr(progress_bar, "_AFTER", 0)
    here.sync()
    assert capfd.readouterr().err == ""
    put(here.host / "c.md")
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 2)
    here.sync()
    assert "copying your configuration [" in capfd.readouterr().err
    here.sync()
    assert capfd.readouterr().err == ""
