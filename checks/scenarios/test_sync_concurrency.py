"""Launches, running sessions and the host user change one configuration at once: nothing is torn or lost."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.commands import inside
from support.installed import Json, home, isolated
from support.sessions import session
from support.waiting import until

from pi_agent.state import settings_keys

VARIANT = "pi-probe"
# Sets a key of a document as Pi does: under its lock (proper-lockfile: a directory beside the file), as a whole file.
CHANGE = """
import json, os, sys, time
name, key, value = sys.argv[1:]
path = os.environ["PI_CODING_AGENT_DIR"] + "/" + name
while True:
    try:
        os.mkdir(path + ".lock")
        break
    except FileExistsError:
        time.sleep(0.005)
document = json.load(open(path))
document[key] = json.loads(value)
time.sleep(0.05)
with open(path + ".draft." + key, "w") as file:
    json.dump(document, file)
os.rename(path + ".draft." + key, path)
os.rmdir(path + ".lock")
"""
SESSION_FILE = (
    'mkdir -p "$PI_CODING_AGENT_DIR/sessions/x"; '
    'for i in $(seq 200); do echo "{\\"line\\":$i}"; done >>"$PI_CODING_AGENT_DIR/sessions/x/$1"'
)
DOCUMENTS = ("settings.json", "auth.json")
TASTES = sorted(settings_keys.TASTES - {"$schema", "theme"})


def put(name: str, content: Json) -> None:
    """The host user saves a document as a whole, as editors do."""
    path = home("alice") / ".pi/agent" / name
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.chmod(0o644)
    shutil.chown(draft, "alice", "users")
    draft.rename(path)


def inner(name: str) -> Json:
    value: Json = json.loads(isolated("alice", name, VARIANT).read_text())
    return value


class Watch:
    """Reads the documents as fast as it can, and records content that is not a JSON object."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self.reads = 0
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for name in DOCUMENTS:
                try:
                    assert isinstance(inner(name), dict)
                    self.reads += 1
                except (ValueError, AssertionError, FileNotFoundError) as error:
                    self.wrong.append(f"{name}: {error!r}")
            time.sleep(0.002)


def test_parallel_launches_and_writers_on_both_sides_lose_nothing() -> None:
    for name in DOCUMENTS:
        put(name, {"host": {"n": 0}})
    inside("true").ok()
    writers = 12

    def work(number: int) -> None:
        key, value = TASTES[number], json.dumps({"by": number})
        script = f'for name in settings.json auth.json; do python3 -c "$2" $name {key} "$3"; done; {SESSION_FILE}'
        inside(script, f"{number}.jsonl", CHANGE, value, timeout=120).ok()

    with Watch() as watch, ThreadPoolExecutor(6) as pool:
        running = [pool.submit(work, number) for number in range(writers)]
        for number in range(1, 30):
            for name in DOCUMENTS:
                put(name, {"host": {"n": number}})
            time.sleep(0.05)
        for each in running:
            each.result()
    assert watch.wrong == []
    assert watch.reads > 100
    inside("true").ok()
    for name in DOCUMENTS:
        found = inner(name)
        assert found.pop("host") == {"n": 29}
        found.pop("theme", None)
        assert found == {TASTES[number]: {"by": number} for number in range(writers)}
    expected = "".join(f'{{"line":{line}}}\n' for line in range(1, 201))
    sessions = isolated("alice", "sessions/x", VARIANT)
    assert {path.name for path in sessions.iterdir()} == {f"{number}.jsonl" for number in range(writers)}
    assert all(path.read_text() == expected for path in sessions.iterdir())
    assert not list(isolated("alice", ".", VARIANT).glob("*.lock"))
    assert not list(isolated("alice", ".", VARIANT).glob("*.displaced-*"))


def test_a_launch_waits_for_a_lock_that_a_running_pi_holds_for_a_moment() -> None:
    put("settings.json", {"host": 1})
    slow = CHANGE.replace("time.sleep(0.05)", "print('locked', flush=True); time.sleep(1)")
    with session("alice", "pi-probe", "exec", "python3", "-c", slow, "settings.json", "tuiMode", "2") as running:
        put("settings.json", {"host": 3})
        since = time.monotonic()
        inside("true").ok()
        assert time.monotonic() - since > 0.5, "it did not wait"
        assert running.wait().status == 0
    assert (inner("settings.json")["tuiMode"], inner("settings.json")["host"]) == (2, 3)


HOLD = """
import os, time
path = os.environ["PI_CODING_AGENT_DIR"] + "/settings.json.lock"
os.mkdir(path)
print("locked", flush=True)
while True:
    os.utime(path)
    time.sleep(0.1)
"""


def test_a_lock_that_is_never_given_back_stops_no_launch() -> None:
    put("settings.json", {"host": 1})
    with session("alice", "pi-probe", "exec", "timeout", "20", "python3", "-c", HOLD) as running:
        put("settings.json", {"host": 2})
        inside("true", timeout=15).ok()
        assert inner("settings.json")["host"] == 2
        running.client.terminate()


# Writes settings.json as Pi does, again and again, until the session ends.
BUSY = """
import json, os, time
path = os.environ["PI_CODING_AGENT_DIR"] + "/settings.json"
print("busy", flush=True)
count = 0
while True:
    try:
        os.mkdir(path + ".lock")
    except FileExistsError:
        time.sleep(0.001)
        continue
    document = json.load(open(path))
    count += 1
    document["outputPad"] = count
    with open(path + ".draft", "w") as file:
        json.dump(document, file)
    os.rename(path + ".draft", path)
    os.rmdir(path + ".lock")
    time.sleep(0.003)
"""


def test_a_pi_that_writes_its_settings_all_the_time_refuses_no_launch_and_loses_nothing() -> None:
    put("settings.json", {"host": 0})
    inside("true").ok()
    with session("alice", "pi-probe", "exec", "timeout", "60", "python3", "-c", BUSY) as running:
        counted = 0
        for number in range(1, 11):
            put("settings.json", {"host": number})
            launched = inside("true").ok()
            assert launched.stderr == b""
            found = inner("settings.json")
            assert found["host"] == number and found["outputPad"] > counted
            counted = found["outputPad"]
        running.client.terminate()
    assert not list(isolated("alice", ".", VARIANT).glob("settings.json.displaced-*"))


@pytest.mark.parametrize("age", [11.0, 100_000.0, -100_000.0])
def test_a_lock_that_its_holder_left_costs_no_time(age: float) -> None:
    put("settings.json", {"host": 1})
    inside("true").ok()
    lock = Path(f"{isolated('alice', 'settings.json', VARIANT)}.lock")
    lock.mkdir()
    os.utime(lock, (time.time() - age,) * 2)
    put("settings.json", {"host": 2})
    inside("true").ok()
    assert inner("settings.json")["host"] == 2
    assert not lock.exists()


def test_a_choice_and_a_change_of_the_host_at_the_same_place() -> None:
    """The host's change is the later one, whichever was written first (README, How configuration comes together)."""
    put("settings.json", {"defaultModel": "host 1", "other": 1})
    inside("true").ok()
    with session(
        "alice",
        "pi-probe",
        "exec",
        "bash",
        "-c",
        f"echo ready; read; python3 -c '{CHANGE}' settings.json defaultModel '\"inside\"'; echo done; read",
    ) as one:
        put("settings.json", {"defaultModel": "host 2", "other": 1})
        inside("true").ok()
        one.say(b"go")
        assert one.hear() == b"done"
        inside("true").ok()
        assert inner("settings.json")["defaultModel"] == "inside", "a choice after the host's word stands"
        put("settings.json", {"defaultModel": "host 3", "other": 2})
        inside("true").ok()
        assert inner("settings.json")["defaultModel"] == "host 3"
        one.say(b"end")
        until(lambda: one.client.poll() is not None, "it has ended")
