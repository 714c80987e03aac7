"""A running Pi writes its documents, under its lock, as fast as it can. No launch that syncs meanwhile is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pi_agent.state import pi_lock, sync
from pi_agent.state.document_kinds import DOCUMENTS, Kind
from tests.support.bench import Bench, bench
from tests.support.trees import displaced, read, write

# Counts in a document that it changes as Pi does: the lock is a directory beside it, the file is replaced as a whole.
_PI: Final = """
import json, os, sys, time
path, held, free = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
count = 0
while not os.path.exists(path + ".enough"):
    try:
        os.mkdir(path + ".lock")
    except FileExistsError:
        time.sleep(0.0005)
        continue
    try:
        document = json.load(open(path))
    except FileNotFoundError:
        document = {}
    count += 1
    document["outputPad"] = count
    time.sleep(held)
    with open(path + ".draft", "w") as file:
        json.dump(document, file)
    os.rename(path + ".draft", path)
    try:
        os.rmdir(path + ".lock")
    except FileNotFoundError:  # it was taken over
        pass
    time.sleep(free)
print(count)
"""


@contextmanager
def busy(document: Path, held: float, free: float) -> Iterator[list[int]]:
    """A Pi that alternately holds and releases the document's lock, for so many seconds, and has written once.

    Yields how often it wrote.
    """
    counts: list[int] = []
    words = [sys.executable, "-I", "-c", _PI, str(document), str(held), str(free)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as pi:
        try:
            while "outputPad" not in read(document):
                time.sleep(0.001)
            yield counts
        finally:
            enough = document.with_name(f"{document.name}.enough")
            enough.touch()
            counts.append(int(pi.communicate(timeout=30)[0]))
            enough.unlink()


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    made = bench(tmp_path)
    write(made.host / "settings.json", {"host": 0})
    write(made.host / "auth.json", {"provider": {"n": 0}})
    made.sync()
    return made


@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
def test_no_launch_is_refused_and_nothing_of_either_side_gets_lost(here: Bench, name: str) -> None:
    with busy(here.isolated / name, 0.002, 0.004) as counts:
        number = 0
        while number < 40 or read(here.isolated / name)["outputPad"] <= 10:
            number += 1
            write(here.host / "settings.json", {"host": number})
            write(here.host / "auth.json", {"provider": {"n": number}})
            assert here.sync() == []
            assert read(here.isolated / "settings.json")["host"] == number
    here.sync()
    assert read(here.isolated / name)["outputPad"] == counts[0] > 10
    assert read(here.isolated / "auth.json")["provider"] == {"n": number}
    assert displaced(here.isolated, name) == []
    assert not [each for each in os.listdir(here.isolated) if each.endswith(".lock")]


def test_a_lock_that_is_hardly_ever_free_refuses_no_launch_and_tears_no_document(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = tuple(Kind(kind.name, kind.depth, kind.lasts, patience=0.1) for kind in DOCUMENTS)
    monkeypatch.setattr(sync, "DOCUMENTS", impatient)
    with busy(here.isolated / "settings.json", 0.003, 0.0):
        for number in range(1, 15):
            write(here.host / "settings.json", {"host": number})
            assert here.sync() == []
            assert isinstance(read(here.isolated / "settings.json"), dict)
    # Pi may have written back what it read before its lock was taken over. The host's next version counts.
    write(here.host / "settings.json", {"host": 15})
    here.sync()
    assert read(here.isolated / "settings.json")["host"] == 15


def test_a_launch_that_was_planned_before_pi_wrote_brings_what_pi_wrote_with_it(here: Bench) -> None:
    write(here.host / "settings.json", {"host": 1})
    planned = here.plan()
    with busy(here.isolated / "settings.json", 0.001, 0.002) as counts:
        while read(here.isolated / "settings.json").get("outputPad", 0) < 5:
            pass
        assert here.carry_out(planned) == []
    found = read(here.isolated / "settings.json")
    assert found == {"host": 1, "outputPad": counts[0]}


def test_where_there_is_nothing_to_write_the_lock_is_not_even_asked_for(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pi_lock.PiLock, "take", lambda lock: pytest.fail("nobody needs to wait"))
    (here.isolated / "settings.json.lock").mkdir()
    assert here.sync() == []
