from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pi_agent.linux.identities import Identity
from pi_agent.linux.signatures import signature_of
from pi_agent.state import copying
from pi_agent.state.copying import Batch, LimitExceeded, Source, Synced, Target
from tests.support import people
from tests.support.limits import few_descriptors, no_room, open_descriptors
from tests.support.people import needs_root
from tests.support.trees import mode_of, opened, put, snapshot

_PLENTY = 1 << 40


class Copier:
    """Copies files from one directory to another, both flat."""

    def __init__(self, top: Path) -> None:
        self.source = top / "source"
        self.target = top / "target"
        self.steps: list[tuple[int, int]] = []
        self.source.mkdir()
        self.target.mkdir()

    @contextmanager
    def sides(self, *, executables: bool = True) -> Iterator[tuple[Source, Target]]:
        """Where files come from and go to."""
        with opened(self.source) as source, opened(self.target) as target:
            yield (
                Source(people.alice("/"), lambda name: os.open(name, os.O_RDONLY, dir_fd=source)),
                Target(people.agent("/"), lambda _: target, executables),
            )

    def copy(self, *names: str, at_most: int = _PLENTY, executables: bool = True) -> list[Batch]:
        """The outcome of each batch. Raises as `transfer` does."""
        with self.sides(executables=executables) as (source, target):
            return [*copying.transfer(names, source, target, at_most, lambda *step: self.steps.append(step))]


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path)


def test_files_are_copied_with_all_their_bytes_and_told_by_name(copier: Copier) -> None:
    for name, content in (("a", ""), ("b", "x"), ("c", "y" * 100_000)):
        put(copier.source / name, content)
    (batch,) = copier.copy("a", "b", "c")
    assert [name for name, _ in batch.copied] == ["a", "b", "c"]
    assert batch.left_out == ()
    assert snapshot(copier.target) == snapshot(copier.source)


def test_nothing_to_copy_is_no_batch(copier: Copier) -> None:
    assert copier.copy() == []


def test_what_is_told_are_the_signatures_of_both_files(copier: Copier) -> None:
    put(copier.source / "a", "content")
    ((_, synced),) = copier.copy("a")[0].copied
    assert synced == Synced(
        signature_of((copier.source / "a").stat()), signature_of((copier.target / "a").stat())
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "executables", "copied"),
    [
        (0o644, True, 0o600),
        (0o755, True, 0o700),
        (0o4777, True, 0o700),
        (0o610, True, 0o700),
        (0o755, False, 0o600),
        (0o444, False, 0o600),
    ],
)
def test_copies_are_private_and_executable_only_where_that_is_asked_for(
    copier: Copier, mode: int, executables: bool, copied: int
) -> None:
    put(copier.source / "a")
    (copier.source / "a").chmod(mode)
    copier.copy("a", executables=executables)
    assert mode_of(copier.target / "a") == copied


def test_the_time_of_a_file_is_kept(copier: Copier) -> None:
    put(copier.source / "a")
    os.utime(copier.source / "a", ns=(1, 1_234_567_890_123_456_789))
    copier.copy("a")
    assert (copier.target / "a").stat().st_mtime_ns == 1_234_567_890_123_456_789


def test_a_file_with_holes_is_copied_with_its_zeros(copier: Copier) -> None:
    with open(copier.source / "a", "wb") as file:
        file.truncate((1 << 24) + 5)  # more than one copy step
        file.write(b"begin")
    copier.copy("a")
    assert (copier.target / "a").read_bytes() == (copier.source / "a").read_bytes()


# -- failures


def test_a_source_that_cannot_be_opened_is_left_out_with_the_reason(copier: Copier) -> None:
    for name in ("a", "c"):
        put(copier.source / name)
    (batch,) = copier.copy("a", "b", "c")
    assert [name for name, _ in batch.copied] == ["a", "c"]
    assert batch.left_out == (("b", "No such file or directory"),)


def test_a_source_that_cannot_be_read_is_left_out_and_leaves_no_file(copier: Copier) -> None:
    (copier.source / "a").mkdir()
    put(copier.source / "b")
    (batch,) = copier.copy("a", "b")
    assert ([name for name, _ in batch.copied], [name for name, _ in batch.left_out]) == (["b"], ["a"])
    assert snapshot(copier.target) == {"b": b"x"}


def test_a_full_target_is_an_error_and_changes_no_file(copier: Copier) -> None:
    put(copier.source / "a", "new")
    put(copier.target / "a", "old")
    with no_room(), pytest.raises(OSError) as caught:
        copier.copy("a")
    assert caught.value.errno == errno.EFBIG
    assert snapshot(copier.target) == {"a": b"old"}


def test_a_target_that_may_not_be_written_to_is_an_error(ordinary: Path) -> None:
    copier = Copier(ordinary)
    put(copier.source / "a")
    copier.target.chmod(0o500)
    with pytest.raises(PermissionError):
        copier.copy("a")


def test_what_was_copied_before_the_target_failed_is_told_first(copier: Copier) -> None:
    for name in ("a", "b", "c"):
        put(copier.source / name)
    folders = iter([True, False])

    with copier.sides() as (source, target):

        def full_after_the_first(folder: str) -> int:
            if not next(folders):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))  # whatever the error is, the target causes it
            return target.folder(folder)

        failing = Target(target.identity, full_after_the_first, executables=False)
        batches = copying.transfer(["a", "b", "c"], source, failing, _PLENTY, lambda *_: None)
        told = next(batches)
        assert ([name for name, _ in told.copied], told.left_out) == (["a"], ())
        with pytest.raises(FileNotFoundError):
            next(batches)
    assert snapshot(copier.target) == {"a": b"x"}


# -- bounds


@pytest.mark.parametrize(("at_most", "copied"), [(9, [4, 5]), (10, [4, 5, 1]), (11, [4, 5, 2])])
def test_no_more_bytes_are_copied_than_allowed_and_the_last_batch_is_told(
    copier: Copier, at_most: int, copied: list[int]
) -> None:
    for name, size in (("a", 4), ("b", 5), ("c", 6)):
        put(copier.source / name, "x" * size)
    told: list[str] = []
    with copier.sides() as (source, target), pytest.raises(LimitExceeded):
        for batch in copying.transfer(["a", "b", "c"], source, target, at_most, lambda *_: None):
            told += [name for name, _ in batch.copied]
    assert [(copier.target / name).stat().st_size for name in told] == copied


def test_a_file_that_shrinks_while_it_is_copied_ends_nothing_and_looks_changed_the_next_time(
    copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(copier.source / "a", "x" * 100)
    put(copier.source / "b", "y")
    sendfile = os.sendfile

    def shrinking(target: int, source: int, offset: int, count: int) -> int:
        os.truncate(copier.source / "a", 10)
        return sendfile(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", shrinking)
    (batch,) = copier.copy("a", "b", at_most=1000)
    assert [name for name, _ in batch.copied] == ["a", "b"] and not batch.limited
    assert snapshot(copier.target) == {"a": b"x" * 10, "b": b"y"}
    assert batch.copied[0][1].host != signature_of((copier.source / "a").stat())


def test_as_many_bytes_as_are_allowed_are_copied_without_an_error(copier: Copier) -> None:
    put(copier.source / "a", "x" * 4)
    put(copier.source / "b", "x" * 6)
    (batch,) = copier.copy("a", "b", at_most=10)
    assert [name for name, _ in batch.copied] == ["a", "b"]


@pytest.mark.parametrize("added", [1, 10])
def test_a_file_that_grows_while_it_is_copied_is_not_copied_for_ever_and_looks_changed_the_next_time(
    copier: Copier, monkeypatch: pytest.MonkeyPatch, added: int
) -> None:
    put(copier.source / "a", "x" * 10)
    before = signature_of((copier.source / "a").stat())
    sendfile = os.sendfile

    def growing(target: int, source: int, offset: int, count: int) -> int:
        with open(copier.source / "a", "a") as file:
            file.write("y" * added)
        return sendfile(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", growing)
    ((_, synced),) = copier.copy("a", at_most=1000)[0].copied
    assert synced.host == before != signature_of((copier.source / "a").stat())


def test_many_files_need_few_descriptors(copier: Copier) -> None:
    names = [str(number) for number in range(200)]
    for name in names:
        put(copier.source / name, name)
    before = open_descriptors()
    with few_descriptors(80):
        batches = copier.copy(*names)
    assert open_descriptors() == before
    assert [name for batch in batches for name, _ in batch.copied] == names
    assert snapshot(copier.target) == snapshot(copier.source)


def test_every_file_and_every_byte_is_a_step(copier: Copier) -> None:
    for name, size in (("a", 4), ("b", 0), ("c", 6)):
        put(copier.source / name, "x" * size)
    copier.copy("a", "b", "gone", "c")
    assert (sum(files for files, _ in copier.steps), sum(size for _, size in copier.steps)) == (3, 10)


# -- whose rights


@needs_root
def test_neither_side_needs_the_rights_of_the_other(tmp_path: Path) -> None:
    copier = Copier(tmp_path)
    tmp_path.chmod(0o755)
    reader, writer = (Identity(name, uid, uid, (uid,), "/") for name, uid in (("reader", 54321), ("writer", 54322)))
    put(copier.source / "a", "private")
    put(copier.source / "roots", "root's own")
    (copier.source / "roots").chmod(0o600)
    os.chown(copier.source / "a", reader.uid, reader.gid)
    (copier.source / "a").chmod(0o400)
    os.chown(copier.target, writer.uid, writer.gid)
    copier.target.chmod(0o700)
    with copier.sides() as (source, target):
        source, target = Source(reader, source.open), Target(writer, target.folder, executables=False)
        (batch,) = copying.transfer(["a", "roots"], source, target, _PLENTY, lambda *_: None)
    assert [name for name, _ in batch.copied] == ["a"]
    assert batch.left_out == (("roots", "Permission denied"),)
    status = (copier.target / "a").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (writer.uid, writer.gid, 0o600)
