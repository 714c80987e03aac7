from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_agent.linux import progress_bar
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import copying, mirror, scans
from pi_agent.state.host_config import HostTree
from pi_agent.state.mirror import Plan
from tests.support import people
from tests.support.bench import bench
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.shapes import file_names
from tests.support.trees import Nest, await_tick, put, snapshot

_TEMPORARY = ".pi-agent-new"


def mirrored(name: str) -> bool:
    return name in ("skills", "prompts") or name.endswith(".md")


class Sides:
    """A host directory and an isolated one, and what was remembered of the last mirroring."""

    def __init__(self, top: Path) -> None:
        self.host = top / "host"
        self.isolated = top / "isolated"
        self.outside = top / "outside"
        self.manifest: dict[str, list[int]] = {}
        self.notices: list[str] = []
        for directory in (self.host, self.isolated, self.outside):
            directory.mkdir()

    def mirror(self) -> Plan:
        """Plan and carry out; return the plan."""
        host = HostTree(str(self.host), os.open(self.host, os.O_PATH), lambda: ())
        isolated = os.open(self.isolated, os.O_RDONLY)
        try:
            files = scans.scan_host(host, lambda name: False, self.notices.append)
            present = scans.scan_isolated(isolated, lambda name: name != "sessions")
            plan = mirror.plan(files, present, self.manifest, mirrored)
            who = people.alice("/"), people.agent("/")
            copied = mirror.carry_out(plan, host, *who, isolated, self.notices.append)
            self.manifest |= {name: [*done.host, *done.isolated] for name, done in copied.items()}
            self.manifest = {name: numbers for name, numbers in self.manifest.items() if name in files}
        finally:
            os.close(isolated)
            os.close(host.descriptor)
        return plan

    def agree(self) -> None:
        """Check that what is mirrored is exactly the host's, and that there is nothing left to do."""
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


def test_copies_are_private_and_executable_only_where_the_original_is(sides: Sides) -> None:
    for name, mode in (("a.md", 0o644), ("b.md", 0o755), ("c.md", 0o4777), ("d.md", 0o610)):
        put(sides.host / name)
        (sides.host / name).chmod(mode)
    (sides.host / "skills").mkdir(mode=0o777)
    sides.mirror()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sides.isolated.iterdir()}
    assert modes == {"a.md": 0o600, "b.md": 0o700, "c.md": 0o700, "d.md": 0o700, "skills": 0o700}


def test_the_time_of_a_file_is_kept(sides: Sides) -> None:
    put(sides.host / "a.md")
    os.utime(sides.host / "a.md", ns=(1, 1_234_567_890_123_456_789))
    sides.mirror()
    assert (sides.isolated / "a.md").stat().st_mtime_ns == 1_234_567_890_123_456_789


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
    host = HostTree(str(sides.host), os.open(sides.host, os.O_PATH), lambda: ())
    top = os.open(sides.isolated, os.O_RDONLY)
    files = scans.scan_host(host, lambda name: False, pytest.fail)
    plan = mirror.plan(files, scans.scan_isolated(top, lambda name: True), {}, mirrored)
    assert plan.remove == ("skills/old", "skills/parent/x", "skills/there/sub", "skills/there/x")
    assert plan.make == ("skills/new",)
    for name in ("old", "there", "parent"):
        (sides.isolated / "skills" / name).rename(sides.isolated / f"{name}-away")
    for name in ("old", "there", "parent", "new"):
        (sides.isolated / "skills" / name).symlink_to(sides.outside)
    try:
        mirror.carry_out(plan, host, people.alice("/"), people.agent("/"), top, pytest.fail)
    except OSError:  # giving up is as good as going on
        pass
    assert snapshot(sides.outside) == before


def test_a_link_planted_where_a_copy_goes_is_not_followed(sides: Sides) -> None:
    put(sides.host / "skills/there/SKILL.md", "good")
    (sides.isolated / "skills/there").mkdir(parents=True)
    put(sides.outside / "SKILL.md", "precious")
    host = HostTree(str(sides.host), os.open(sides.host, os.O_PATH), lambda: ())
    top = os.open(sides.isolated, os.O_RDONLY)
    files = scans.scan_host(host, lambda name: False, pytest.fail)
    plan = mirror.plan(files, scans.scan_isolated(top, lambda name: True), {}, mirrored)
    assert plan == Plan((), (), ("skills/there/SKILL.md",))
    (sides.isolated / "skills/there").rename(sides.isolated / "away")
    (sides.isolated / "skills/there").symlink_to(sides.outside)
    mirror.carry_out(plan, host, people.alice("/"), people.agent("/"), top, pytest.fail)
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
    host = HostTree(str(sides.host), os.open(sides.host, os.O_PATH), lambda: ())
    top = os.open(sides.isolated, os.O_RDONLY)
    plan = mirror.plan(scans.scan_host(host, lambda name: False, pytest.fail), {}, {}, mirrored)
    (sides.host / "skills/gone").unlink()
    notices: list[str] = []
    copied = mirror.carry_out(plan, host, people.alice("/"), people.agent("/"), top, notices.append)
    assert copied.keys() == {"skills/kept"}
    assert len(notices) == 1 and f"{sides.host}/skills/gone was left out" in notices[0]


def test_more_files_than_a_batch_holds_are_copied_in_few_descriptors(sides: Sides) -> None:
    for number in range(200):
        put(sides.host / f"skills/{number}", str(number))
    before = open_descriptors()
    sides.mirror()
    assert open_descriptors() == before
    sides.agree()


def test_at_most_the_budget_is_copied_from_a_file_that_grows(tmp_path: Path) -> None:
    put(tmp_path / "source", "x" * 100)
    source, target = os.open(tmp_path / "source", os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    into = copying.Target(people.agent(tmp_path), lambda folder: target, executables=True)
    copying._copy(source, target, "copy", into, 60, lambda files, size: None)
    assert (tmp_path / "copy").stat().st_size == 60


def test_a_deep_tree_is_removed_with_few_descriptors(nest: Nest, sides: Sides) -> None:
    """How deep a tree may be that is removed whole, test_files.py says."""
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
    host = HostTree(str(sides.host), os.open(sides.host, os.O_PATH), lambda: ())
    top = os.open(sides.isolated, os.O_RDONLY)
    found = scans.scan_host(host, lambda name: False, pytest.fail)
    plan = mirror.plan(found, scans.scan_isolated(top, lambda name: True), {}, mirrored)
    assert plan.remove == (vanishing,)
    shutil.rmtree(sides.isolated / "skills")
    copied = mirror.carry_out(plan, host, people.alice("/"), people.agent("/"), top, pytest.fail)
    sides.manifest = {name: [*done.host, *done.isolated] for name, done in copied.items()}
    sides.agree()


# Names that meet each other, and names of any bytes.
_NAMES = st.sampled_from(["skills", "prompts", "a.md", "custom", "a", "a-b"]) | file_names
_HOST = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map(tuple), st.sampled_from(["", "x", "yy"]), max_size=6
)
_ISOLATED = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map(tuple), st.sampled_from(["", "x", "link", "directory"]), max_size=6
)


def lay_out(top: Path, entries: Mapping[tuple[str, ...], str], outside: Path) -> None:
    """Make the entries; one whose way is barred by another, a link among them, is left out."""
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
