"""Node's compile cache: made by a service, read by every session of Pi, written by none of them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support import doctor
from support.commands import CLEAN, Result, as_user, on_machine, pi
from support.installed import FACTS, agent, policy
from support.units import shown

# The service's own bound, in seconds.
_MINUTES: Final = 600
UNIT: Final = "m3ta-pi-agent-compile-cache.service"
SHOWN: Final = Path("/run/pi-agent-compile-cache")
CACHE: Final = Path(policy()["compileCache"])
# What Node says of each entry that it reads, and of each module that it compiles.
_READ: Final = re.compile(r"\.\.\. success, size=")
_COMPILED: Final = re.compile(r"V8 code cache for \w+ (\S+) was (?:not initialized|rejected)")
# What undici loads with the first answer of a server.
_LATE: Final = {"llhttp_simd-wasm.js"}


@pytest.fixture(autouse=True)
def restored(tmp_path: Path) -> Iterator[None]:
    """What the service has made, which is put in its place again afterwards."""
    assert (shown(UNIT, "ActiveState"), CACHE.is_dir()) == ("active", True)
    top = CACHE.parent.parent.resolve()
    on_machine("cp", "--archive", f"{top}/.", tmp_path / "kept").ok()
    yield
    on_machine("sh", "-euc", 'rm -rf "$0"/*; cp --archive "$1/." "$0"', top, tmp_path / "kept").ok()


def entries() -> Path:
    """The folder of entries, to which the others are links."""
    return next(path for path in CACHE.iterdir() if not path.is_symlink())


def watched(prompt: str = "hello") -> Result:
    """A turn of Pi, which says where each of its modules came from."""
    script = "echo NODE_DEBUG_NATIVE=COMPILE_CACHE >~/.pi/.env"
    as_user("alice", "sh", "-c", script, cwd="/").ok()
    return pi(prompt).ok()


def counts(turn: Result) -> tuple[int, int]:
    """How many entries were read from the cache, and how many modules were compiled."""
    compiled = {path.rpartition("/")[2] for path in _COMPILED.findall(turn.complaint)} - _LATE
    return len(_READ.findall(turn.complaint)), len(compiled)


def test_every_module_of_pis_own_comes_from_the_cache() -> None:
    read, compiled = counts(watched())
    assert read > 0
    assert compiled == 0


def test_bobs_agent_uses_it_as_well_under_its_own_name() -> None:
    names = {name.rpartition("-")[2] for name in os.listdir(CACHE)}
    assert {str(agent(user=user).pw_uid) for user in ("alice", "bob")} < names
    script = "echo NODE_DEBUG_NATIVE=COMPILE_CACHE >~/.pi/.env"
    as_user("bob", "sh", "-c", script, cwd="/").ok()
    read, compiled = counts(pi("hello", user="bob").ok())
    assert (read > 0, compiled) == (True, 0)


def test_what_pi_starts_has_no_part_in_it() -> None:
    cached = "require('node:module').enableCompileCache().directory"
    answer = pi(f'run: env | grep -c ^NODE_; node -p "{cached}"').ok().text
    assert answer.split()[-2:] == ["0", "/tmp/node-compile-cache"]
    # A session that starts no Pi is not told of it either.
    told = as_user("alice", "pi", "--sandbox-shell", stdin=b"env | grep -c ^NODE_\n")
    assert told.text == "0"


def test_a_session_cannot_write_it_and_reads_it_only_as_pi_does() -> None:
    before = {path: path.lstat().st_ctime_ns for path in CACHE.rglob("*")}
    attempts = (
        f"touch {SHOWN}/new", f"rm -rf {SHOWN}/*", f"mv {SHOWN}/* /tmp/", f"chmod 777 {SHOWN}/*", f"umount {SHOWN}",
        f"mount -o remount,bind,rw {SHOWN}", f"ln -s /tmp {SHOWN}/link", f"mkdir -p {SHOWN}/v1-x64-abc-$UID",
        f"mv -T {SHOWN} /run/moved", f"for file in {SHOWN}/*/*; do echo x >>$file; done",
    )  # fmt: skip
    script = "".join(f"({attempt}) 2>/dev/null && echo done: '{attempt}'\n" for attempt in attempts)
    told = as_user("alice", "pi", "--sandbox-shell", stdin=f"{script}ls {SHOWN} | wc -l\n".encode())
    assert told.text == str(len(os.listdir(CACHE)))
    assert {path: path.lstat().st_ctime_ns for path in CACHE.rglob("*")} == before


def test_outside_only_root_gets_to_it() -> None:
    for user in ("alice", agent().pw_name):
        refused = on_machine("setpriv", f"--reuid={user}", "--clear-groups", "ls", CACHE)
        assert (refused.status, "Permission denied" in refused.complaint) == (2, True)
    on_machine("ls", CACHE).ok()


def _other_node(folder: Path) -> None:
    for path in folder.parent.iterdir():
        path.rename(path.with_name(path.name.replace("v", "v1", 1)))


def _other_processor(folder: Path) -> None:
    for path in folder.parent.iterdir():
        version, architecture, tag, uid = path.name.rsplit("-", 3)
        path.rename(path.with_name(f"{version}-{architecture}-{tag[::-1]}-{uid}"))


def _half_written(folder: Path) -> None:
    for entry in folder.iterdir():
        os.truncate(entry, entry.stat().st_size // 2)


def _of_another_package(folder: Path) -> None:
    entries = list(folder.iterdir())
    largest = max(entries, key=lambda entry: entry.stat().st_size)
    for entry in entries:
        if entry != largest:
            shutil.copyfile(largest, entry)
    largest.unlink()


def _broken(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.write_bytes(b"\0" * 4096)


def _unreadable(folder: Path) -> None:
    folder.chmod(0)


def _emptied(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.unlink()


def _absent(folder: Path) -> None:
    shutil.rmtree(folder.parent.parent)


@pytest.mark.parametrize(
    "spoil",
    [_other_node, _other_processor, _half_written, _of_another_package, _broken, _unreadable, _emptied, _absent],
)
def test_a_cache_that_does_not_fit_changes_nothing_but_the_time(spoil: Callable[[Path], None]) -> None:
    expected = pi("hello").ok()
    spoil(entries())
    found = pi("hello")
    assert (found.status, found.stdout, found.stderr) == (0, expected.stdout, expected.stderr)
    assert counts(watched())[0] == 0


@contextmanager
def packages() -> Iterator[Callable[[str], None]]:
    """Runs the service with another program in the place of Pi's."""
    own = re.search(r"argv\[\]=(.*?) ;", shown(UNIT, "ExecStart"))
    assert own is not None
    folder = Path(f"/run/systemd/system/{UNIT}.d")
    folder.mkdir(parents=True)

    def run(program: str) -> None:
        assert own is not None
        command = own[1].replace(policy()["program"], program)
        (folder / "program.conf").write_text(f"[Service]\nExecStart=\nExecStart={command}\n")
        on_machine("systemctl", "daemon-reload").ok()
        on_machine("systemctl", "restart", UNIT, timeout=_MINUTES).ok()

    try:
        yield run
    finally:
        shutil.rmtree(folder)
        on_machine("systemctl", "daemon-reload").ok()


def test_another_package_replaces_the_cache_and_the_service_makes_it_again() -> None:
    (CACHE.parent.parent / "an-older-package").mkdir()
    for entry in entries().iterdir():
        entry.write_bytes(b"")
    on_machine("systemctl", "restart", UNIT, timeout=_MINUTES).ok()
    assert os.listdir(CACHE.parent.parent) == [CACHE.parent.name]
    read, compiled = counts(watched())
    assert (read > 0, compiled) == (True, 0)


def test_where_the_package_is_not_nodes_nothing_happens_and_nothing_fails() -> None:
    with packages() as run:
        for program in (FACTS["probe"], shutil.which("false"), "/nonexistent/pi"):
            assert program is not None
            run(program)
            assert shown(UNIT, "Result") == "success"
            assert list(CACHE.parent.iterdir()) == []
            assert pi("hello").ok().text == "echo: hello"
            told = doctor.asked()
            doctor.well(told)
            assert "has no use for Node's compile cache" in told.text


# Reports, as an entry of the cache, what it gets at.
_CURIOUS: Final = """
[[ $1 == --version ]] || exit 0
report=$NODE_COMPILE_CACHE/v1-x64-abc-$(id -u)/report
mkdir "${report%/*}"
attempt() { (eval "$2") >/dev/null 2>&1 && echo "$1" >>"$report"; }
attempt home 'ls /home/alice /root'
attempt secret 'cat /etc/pi-agent-secrets/base.env'
attempt state 'ls /var/lib/pi-agent/users'
attempt network 'exec 3<>/dev/tcp/127.0.0.1/8317'
attempt bus 'test -S /run/dbus/system_bus_socket'
for place in /etc /usr /run /var/lib /var/cache; do
  attempt "write $place" "touch $place/checks-curious && rm $place/checks-curious"
done
attempt capability '! grep -q "^CapEff:.0*$" /proc/self/status'
attempt privilege 'grep -q "^NoNewPrivs:.0" /proc/self/status'
echo end >>"$report"
"""


def test_the_service_gets_at_nothing_but_the_cache(tmp_path: Path) -> None:
    program = Path("/srv/checks-curious")
    program.write_text(f"#!{shutil.which('bash')}{_CURIOUS}")
    program.chmod(0o755)
    try:
        on_machine(program, "--version", env={**CLEAN, "NODE_COMPILE_CACHE": str(tmp_path)}).ok()
        assert len((tmp_path / "v1-x64-abc-0/report").read_text().splitlines()) == 13
        with packages() as run:
            run(str(program))
            assert (entries() / "report").read_text() == "end\n"
    finally:
        program.unlink()


def test_doctor_says_what_is_wrong_with_the_cache_and_how_to_mend_it() -> None:
    well = doctor.asked()
    doctor.well(well)
    assert re.search(r"ok +cache +Node's compile cache has \d+ entries", well.text)
    entries().chmod(0o757)
    doctor.failing(doctor.asked(), "cache", remedy="systemctl restart m3ta-pi-agent-compile-cache")
    entries().chmod(0o755)
    next(path for path in CACHE.iterdir() if path.name.endswith(f"-{agent().pw_uid}")).unlink()
    told = doctor.asked()
    doctor.well(told)
    assert f"made before the account {agent().pw_name}" in told.text
    _absent(entries())
    told = doctor.asked()
    doctor.well(told)
    assert "journalctl -b -u m3ta-pi-agent-compile-cache" in told.text
