"""`--sandbox-export`: what is copied where, with both identities our own."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from pi_agent.cli import parsing
from pi_agent.cli.commands import export
from pi_agent.cli.export import destination, record
from pi_agent.cli.export.record import Action, Copied
from pi_agent.messages import command_output
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal
from pi_agent.state import transcripts
from tests.support import people, policies
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.policies import frozen
from tests.support.trees import put, snapshot

OLD, NEW, OTHER = (1, 10), (2, 20), (3, 30)


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    return bench(tmp_path)


Counts = tuple[int, int, int]


def exported(here: Bench, where: Path, capfd: pytest.CaptureFixture[str]) -> tuple[Counts, str]:
    """Export to where. Returns how many were copied, unchanged and skipped, and the notices."""
    capfd.readouterr()
    assert export.run(call_of(here, "--sandbox-export", str(where))) == 0
    told = capfd.readouterr()
    copied, unchanged, skipped = map(int, re.findall(r"\d+", told.out.partition(":")[0]))
    assert told.out == command_output.exported(copied, unchanged, skipped, str(where)) + "\n"
    return (copied, unchanged, skipped), told.err


def refused(here: Bench, *words: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        export.run(call_of(here, "--sandbox-export", *words))
    return caught.value


def source(here: Bench, name: str) -> Path:
    return here.isolated / "sessions" / name


# -- where to


def on_host(*words: str) -> list[str]:
    return [*export.on_host(frozen(), parsing.parse(["--sandbox-export", *words], "pi"))]


def test_the_wrapper_gives_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert on_host("a b/../c") == ["--sandbox-export", "--", f"{tmp_path}/c"]
    assert on_host("/x//y/") == ["--sandbox-export", "--", "/x/y"]
    assert on_host("--", "-x") == ["--sandbox-export", "--", f"{tmp_path}/-x"]
    with pytest.raises(Refusal) as caught:
        on_host("")
    assert caught.value.status == EX_USAGE


@pytest.mark.parametrize(
    ("data", "place"), [("/data", "/data"), ("", "/home/alice/.local/share"), (None, "/home/alice/.local/share")]
)
def test_the_default_is_where_the_user_keeps_data(
    data: str | None, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    for name in ("xdg", "xdg.BaseDirectory"):  # it looks once, on import
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert on_host() == ["--sandbox-export", "--", f"{place}/pi-agent/sessions"]


@pytest.mark.parametrize("words", [[], [""], ["there"], ["./there"]])
def test_the_runner_takes_an_absolute_path_only(here: Bench, words: list[str]) -> None:
    assert refused(here, *words).status == EX_USAGE


# -- what is copied


@pytest.mark.parametrize(
    ("copy", "before", "action"),
    [
        (None, None, Action.COPY),
        (None, Copied(NEW, NEW), Action.COPY),
        (NEW, None, Action.UNCHANGED),
        (NEW, Copied(OLD, OLD), Action.UNCHANGED),
        (OLD, Copied(OLD, OLD), Action.COPY),
        (OLD, None, Action.KEEP),
        (OTHER, Copied(OLD, OLD), Action.KEEP),
        (OTHER, Copied(NEW, OLD), Action.KEEP),
        # A file system with less exact times.
        (OTHER, Copied(NEW, OTHER), Action.UNCHANGED),
    ],
)
def test_only_what_we_wrote_and_nobody_changed_is_written_over(
    copy: tuple[int, int] | None, before: Copied | None, action: Action
) -> None:
    assert record.action(NEW, copy, before) is action


def test_copies_are_private_and_like_what_they_were_made_from(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(source(here, "--p--/a.jsonl"), "one")
    source(here, "--p--/a.jsonl").chmod(0o755)
    put(source(here, "--p--/not.txt"))
    target = tmp_path / "deep/er/out"
    assert exported(here, target, capfd) == ((1, 0, 0), "")
    assert {name for name in snapshot(target) if name.endswith("l")} == {"--p--/a.jsonl"}
    copy = (target / "--p--/a.jsonl").stat()
    assert stat.S_IMODE(copy.st_mode) == 0o600
    assert copy.st_mtime_ns == source(here, "--p--/a.jsonl").stat().st_mtime_ns
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700


def test_the_next_time_only_what_changed_is_copied(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        put(source(here, f"{name}.jsonl"), "1")
    target = tmp_path / "out"
    assert exported(here, target, capfd)[0] == (3, 0, 0)
    put(source(here, "a.jsonl"), "22")
    put(source(here, "b.jsonl"), "33")
    put(target / "b.jsonl", "of the user")
    counts, notices = exported(here, target, capfd)
    assert counts == (1, 1, 1)
    assert command_output.transcript_skipped("b.jsonl", command_output.COPY_CHANGED) in notices
    assert [(target / f"{name}.jsonl").read_text() for name in "abc"] == ["22", "of the user", "1"]


@pytest.mark.parametrize("memory", [b"", b"not JSON", b"[]", b'{"a.jsonl": 3}', b'{"a.jsonl": [1]}', b"\xff", None])
def test_without_a_memory_what_differs_is_kept_and_what_is_the_same_is_known(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], memory: bytes | None
) -> None:
    put(source(here, "a.jsonl"), "1")
    put(source(here, "b.jsonl"), "1")
    target = tmp_path / "out"
    exported(here, target, capfd)
    (target / ".exported.json").unlink()
    if memory is not None:
        (target / ".exported.json").write_bytes(memory)
    put(source(here, "b.jsonl"), "22")
    assert exported(here, target, capfd)[0] == (0, 1, 1)


def test_an_export_that_is_cut_off_remembers_what_it_copied(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        put(source(here, f"{name}.jsonl"), "1")
    target = tmp_path / "out"
    sendfile = os.sendfile

    def failing(to: int, *rest: int) -> int:
        if (target / "a.jsonl").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return sendfile(to, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "sendfile", failing)
        failed = refused(here, str(target))
    assert failed.status == EX_UNAVAILABLE and "No space left" in failed.what
    assert sorted(os.listdir(target)) == [".exported.json", "a.jsonl"]
    put(source(here, "a.jsonl"), "22")
    assert exported(here, target, capfd)[0] == (2, 0, 0)


def test_a_file_that_vanishes_or_shrinks_meanwhile_is_no_error(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source(here, "a.jsonl"), "1")
    put(source(here, "b.jsonl"), "1")
    open_one = transcripts.open_one

    def losing(top: int, name: str) -> int:
        source(here, "a.jsonl").unlink(missing_ok=True)
        return open_one(top, name)

    monkeypatch.setattr(transcripts, "open_one", losing)
    counts, notices = exported(here, tmp_path / "out", capfd)
    assert counts == (1, 0, 1)
    assert "a.jsonl: No such file" in notices


def test_more_than_the_bound_is_for_the_next_time(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BYTES_AT_MOST", 10)
    for name in ("a", "b", "c"):
        put(source(here, f"{name}.jsonl"), "1" * 6)
    target = tmp_path / "out"
    counts, notices = exported(here, target, capfd)
    assert counts == (1, 0, 1)
    assert command_output.export_limit_reached(0) in notices
    exported(here, target, capfd)
    assert exported(here, target, capfd)[0] == (1, 2, 0)
    assert [(target / f"{name}.jsonl").read_text() for name in "abc"] == ["1" * 6] * 3


@pytest.mark.parametrize("lock", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_two_exports_into_one_place_do_not_meet(here: Bench, tmp_path: Path, lock: int) -> None:
    put(source(here, "a.jsonl"))
    target = tmp_path / "out"
    target.mkdir()
    other = os.open(target, os.O_RDONLY)
    fcntl.flock(other, lock)
    assert command_output.EXPORT_RUNNING in refused(here, str(target)).what
    os.close(other)


def test_names_are_made_harmless_and_stay_apart(here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = [
        "a\nb.jsonl",
        "a\\nb.jsonl",
        "c\udcff.jsonl",
        "c\\xff.jsonl",
        "d\x1b/x.jsonl",
        "é ☃.jsonl",
        "--p--/x.jsonl",
    ]
    for name in names:
        put(source(here, name), name.encode("unicode_escape").decode())
    put(source(here, "\x01" * 240 + ".jsonl"))
    target = tmp_path / "out"
    counts, notices = exported(here, target, capfd)
    assert counts == (7, 0, 1)
    assert "File name too long" in notices
    found = {name for name, content in snapshot(target).items() if content is not None}
    assert found - {".exported.json"} == {destination.name_of_copy(name) for name in names}
    assert all(name.isprintable() for name in found)
    assert {"é ☃.jsonl", "--p--/x.jsonl"} <= found
    assert exported(here, target, capfd)[0] == (0, 7, 1)


def test_many_complaints_are_counted(here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(50):
        os.mkfifo(source(here, f"{number:02}.jsonl"))
    counts, notices = exported(here, tmp_path / "out", capfd)
    assert counts == (0, 0, 50)
    assert len(notices.splitlines()) == 21 and command_output.more(30) in notices
    assert not (tmp_path / "out").exists()


def test_who_has_no_state_has_nothing_to_export(here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.rename(here.tree, tmp_path / "away")
    assert exported(here, tmp_path / "out", capfd) == ((0, 0, 0), "")
    assert not here.tree.exists()


# -- links and what stands in the way


def opened(path: Path, *agents: Path) -> Path:
    descriptor = destination.open_directory(str(path), people.alice("/"), [str(each) for each in agents])
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


@pytest.fixture
def own(ordinary: Path) -> Path:
    """Nobody else can change a directory on the way, except that everybody can write to /tmp above."""
    return ordinary


def test_ones_own_link_is_followed(own: Path) -> None:
    (own / "big").mkdir()
    (own / "link").symlink_to("big")
    assert opened(own / "link/a/b") == own / "big/a/b"
    assert opened(own / "link/a") == own / "big/a"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_link_in_a_directory_that_others_can_change_is_not(own: Path, mode: int) -> None:
    (own / "big").mkdir()
    (own / "open").mkdir()
    (own / "open/link").symlink_to(own / "big")
    (own / "open").chmod(mode)
    with pytest.raises(OSError, match=command_output.LINK_CHANGED_BY_OTHERS):
        opened(own / "open/link/x")
    assert list((own / "big").iterdir()) == []
    assert opened(own / "open/plain") == own / "open/plain"


def test_a_link_where_an_agent_works_is_not(own: Path) -> None:
    (own / "big").mkdir()
    put(own / "project/deep/x")
    for link in (own / "project/link", own / "project/deep/link"):
        link.symlink_to(own / "big")
        with pytest.raises(OSError, match=command_output.LINK_CHANGED_BY_OTHERS):
            opened(link, own / "project")
        assert opened(link) == own / "big"
    (own / "way").symlink_to("project")
    with pytest.raises(OSError, match=command_output.LINK_CHANGED_BY_OTHERS):
        opened(own / "way/link", own / "project")


@pytest.mark.parametrize("kind", ["dangling", "file", "fifo", "loop"])
def test_what_is_no_directory_is_none(own: Path, kind: str) -> None:
    path = own / "x"
    if kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to("x")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
    for where in (path, path / "y"):
        with pytest.raises(OSError):
            opened(where)
    assert not (own / "nowhere").exists()


def test_the_places_where_an_agent_works_are_the_projects_and_the_further_writable_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    policy = frozen(
        hostUsers={"alice": policies.host_user("~/p", f"{tmp_path}/link")},
    )
    assert set(destination.agent_writable(policy, people.alice("/home/alice"))) == {"/home/alice/p", f"{tmp_path}/real"}


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo", "folder-link", "folder-file"])
def test_what_stands_in_the_way_is_left_as_it_is(
    here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    put(source(here, "d/a.jsonl"), "from inside")
    target, mine = tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    put(mine / "file", "mine")
    path = target / "d/a.jsonl"
    path.parent.mkdir(parents=True)
    if kind.startswith("folder"):
        path.parent.rmdir()
    match kind:
        case "link":
            path.symlink_to(mine / "file")
        case "dangling":
            path.symlink_to(mine / "none")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "folder-link":
            path.parent.symlink_to(mine)
        case _:
            put(path.parent, "x")
    before = snapshot(target)
    counts, notices = exported(here, target, capfd)
    assert counts == (0, 0, 1)
    assert kind.startswith("folder") or command_output.DESTINATION_TAKEN in notices
    assert snapshot(target) == before
    assert snapshot(mine) == {"file": b"mine"}


def test_a_folder_that_is_swapped_for_a_link_while_it_is_copied_into_leads_nowhere(
    here: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source(here, "d/a.jsonl"), "from inside")
    target, mine = tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    open_one = transcripts.open_one

    def swapping(top: int, name: str) -> int:
        os.rename(target / "d", target / "away")
        (target / "d").symlink_to(mine)
        return open_one(top, name)

    monkeypatch.setattr(transcripts, "open_one", swapping)
    assert refused(here, str(target)).status == EX_UNAVAILABLE
    assert list(mine.iterdir()) == [] and list((target / "away").iterdir()) == []


def test_our_memorys_name_is_no_transcripts(here: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(source(here, ".exported.json/a.jsonl"))
    put(source(here, "b.jsonl"))
    assert exported(here, tmp_path / "out", capfd)[0] == (1, 0, 1)
    assert (tmp_path / "out/.exported.json").is_file()
