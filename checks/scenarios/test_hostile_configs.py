"""A Pi configuration made to let root read what its owner may not, or wait: no secret leaks, nothing hangs.

Whatever alice puts there, no byte that she may not read reaches the isolated state, and every start ends with a session
or with a sentence.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine
from support.hostile import told
from support.installed import SECRETS, home, isolated, policy, state
from support.measured_starts import configuration, make, start
from support.sessions import session
from support.waiting import until

CANARY = b"canary-that-alice-may-not-read"


@pytest.fixture
def canaries() -> Iterator[list[Path]]:
    """Files that alice may not read: root's, bob's and one in her own home that root keeps from her."""
    places = [SECRETS / "canary", home("bob") / "canary", home("alice") / "p/canary"]
    for place in places:
        place.write_bytes(CANARY + b"\n")
        place.chmod(0o600)
    owner = home("bob").stat()
    os.chown(places[1], owner.st_uid, owner.st_gid)
    yield places


def holders() -> list[str]:
    """Files of any isolated state that contain the canary, or root's line in /etc/shadow."""
    [shadow] = [line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith("root:")]
    tops = {os.fspath(Path(policy(variant)["stateDir"])) for variant in ("pi", "pi-probe")}
    found = on_machine("grep", "-rlFa", "-e", CANARY, "-e", shadow, *sorted(tops))
    return found.text.splitlines()


def test_the_search_would_find_a_canary_in_the_state(canaries: list[Path]) -> None:
    as_user("alice", "pi-probe", "x").ok()
    assert holders() == []
    planted = state("alice", "pi-probe") / "planted"
    planted.write_bytes(b"before\0" + canaries[0].read_bytes())
    assert holders() == [os.fspath(planted)]


FORBIDDEN = ["/etc/shadow", "/etc/pi-agent-secrets/canary", "/home/bob/canary", "/home/alice/p/canary", "/root"]


@pytest.mark.parametrize("target", [*FORBIDDEN, "/home/bob/.pi/agent/settings.json", "/proc/self/environ", "/dev/null"])
def test_no_link_brings_in_what_alice_may_not_read(target: str, canaries: list[Path]) -> None:
    """A link as a file, below a directory, twice over, with dots, and as every name that is read in a special way."""
    make(
        'mkdir -p skills/deep; for name in linked AGENTS.md skills/deep/linked models.new; do ln -s "$1" $name; done;'
        'ln -s linked twice; ln -s "../agent/../../../..$1" dotted; ln -s "/proc/self/cwd/../../../../$1" magic',
        target,
    )
    result = start()
    assert result.status == 0
    assert "linked was left out: " in result.complaint
    assert CANARY not in result.stdout + result.stderr
    assert holders() == []
    for name in ("settings.json", "auth.json", ".env"):
        make('rm -f "$2"; ln -s "$1" "$2"', target, name)
        told(start(), name)
        make('rm "$1"', name)
    as_user(
        "alice",
        "sh",
        "-c",
        'ln -sf "$1" ~/.gitconfig; mkdir -p ~/.config/git; ln -s "$1" ~/.config/git/config',
        "sh",
        target,
    )
    assert start().status == 0
    assert holders() == []


@pytest.mark.parametrize("target", ["/home/bob", "/home/bob/.pi/agent", "/etc/pi-agent-secrets", "/root"])
def test_no_link_makes_a_directory_of_others_the_configuration_or_a_part_of_it(
    target: str, canaries: list[Path]
) -> None:
    make('ln -s "$1" skills', target)
    assert "skills was left out: Permission denied" in start().complaint
    as_user("alice", "sh", "-c", 'rm -r ~/.pi/agent; ln -s "$1" ~/.pi/agent', "sh", target).ok()
    told(start(), "the Pi configuration /home/alice/.pi/agent cannot be read: Permission denied")
    as_user("alice", "sh", "-c", 'rm ~/.pi/agent; rmdir ~/.pi; ln -s "$1" ~/.pi', "sh", target).ok()
    told(start(), "the Pi configuration /home/alice/.pi/agent cannot be read: Permission denied")
    assert holders() == []


def test_a_link_to_what_alice_may_read_is_followed_as_ever(canaries: list[Path]) -> None:
    (home("bob") / "canary").chmod(0o644)
    home("bob").chmod(0o755)
    make("ln -s /home/bob/canary linked")
    assert start().status == 0
    assert holders() == [os.fspath(isolated("alice", "linked", "pi-probe"))]


def test_a_hard_link_to_a_file_of_others_is_no_way_to_read_it(canaries: list[Path]) -> None:
    # The kernel keeps users from making such links (proc_sys_fs(5), protected_hardlinks). Root makes them here.
    (configuration() / "skills").mkdir()
    for number, canary in enumerate(canaries):
        for name in (f"hard{number}", f"skills/hard{number}"):
            os.link(canary, configuration() / name)
    result = start()
    assert result.status == 0
    assert result.complaint.count("was left out: Permission denied") == 6
    assert holders() == []
    for name in ("settings.json", "auth.json", ".env"):
        (configuration() / name).unlink(missing_ok=True)
        os.link(canaries[0], configuration() / name)
        told(start(), name, "Permission denied")
        (configuration() / name).unlink()
    assert [canary.stat().st_mode for canary in canaries] == [stat.S_IFREG | 0o600] * 3


SPECIAL: dict[str, Callable[[Path], object]] = {
    "pipe": lambda path: os.mkfifo(path),
    "zero": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    "random": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 8)),
    "terminal": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(5, 0)),
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.fspath(path)),
    "directory": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_left_out_or_refused_and_nothing_waits_for_it(kind: str) -> None:
    SPECIAL[kind](configuration() / "odd")
    result = start()
    assert result.status == 0
    assert ("odd was left out: it is a pipe, socket or device" in result.complaint) == (kind != "directory")
    SPECIAL[kind](home("alice") / ".config-git")
    (home("alice") / ".gitconfig").unlink()
    (home("alice") / ".config-git").rename(home("alice") / ".gitconfig")
    assert start().status == 0
    for name in ("settings.json", "auth.json", ".env"):
        (configuration() / name).unlink(missing_ok=True)
        SPECIAL[kind](configuration() / name)
        told(start(), name)
        on_machine("rm", "-r", configuration() / name).ok()
    on_machine("rm", "-r", configuration()).ok()
    SPECIAL[kind](configuration())
    result = start()
    if kind == "directory":  # root's own, but alice may enter it
        assert result.status == 0
    else:
        told(result, "the Pi configuration /home/alice/.pi/agent is not a directory")


def test_a_file_that_changes_while_it_is_read_arrives_whole_or_not_at_all() -> None:
    """Replaced, grown, cut and removed without pause. Each start copies a version that existed."""
    change = (
        "import os\n"
        "n = 0\n"
        "while True:\n"
        "    n = (n + 1) % 10\n"
        "    open('new', 'w').write(str(n) * 100_000); os.rename('new', 'replaced')\n"
        "    open('grown', 'a').write('x' * 5000)\n"
        "    if os.path.getsize('grown') > 10**8: os.truncate('grown', 0)\n"
        "    open('gone', 'w').close(); os.unlink('gone')\n"
        "    os.makedirs('dir/dir', exist_ok=True); os.rmdir('dir/dir'); os.rmdir('dir')\n"
    )
    where = configuration() / "changing"
    where.mkdir(mode=0o777)
    where.chmod(0o777)
    with subprocess.Popen([sys.executable, "-I", "-c", change], cwd=where) as changing:
        try:
            until((where / "replaced").exists, "it changes")
            for _ in range(15):
                assert start().status == 0
                copied = isolated("alice", "changing/replaced", "pi-probe").read_bytes()
                assert len(copied) == 100_000 and len(set(copied)) == 1
        finally:
            changing.kill()


def test_a_time_beyond_sixty_four_bits_is_no_trouble() -> None:
    # tmpfs and btrfs keep any second of 64 bits, which is more in nanoseconds.
    on_machine("mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", configuration()).ok()
    try:
        for moment in ("@99999999999", "@-99999999999", "@9223372036854775807"):
            make('echo "$1" >x; touch -d "$1" x', moment)
            assert start().status == 0
            assert isolated("alice", "x", "pi-probe").read_text() == f"{moment}\n"
    finally:
        on_machine("umount", configuration()).ok()


def test_permissions_that_deny_leave_out_what_they_deny_and_the_rest_arrives() -> None:
    make("for m in 000 111 222 333 444 666; do mkdir d$m; echo x >d$m/x; chmod $m d$m; echo x >f$m; chmod $m f$m; done")
    result = start()
    assert result.status == 0
    for mode in ("000", "111", "222", "333", "444", "666"):
        # In a directory that can be listed but not entered, only the names are known.
        assert f"/d{mode} was left out: Permission denied" in result.complaint
        readable = int(mode[0]) & 4 != 0
        assert (f"/f{mode} was left out: Permission denied" in result.complaint) != readable
        assert isolated("alice", f"f{mode}", "pi-probe").exists() == readable
    (configuration()).chmod(0o600)
    told(start(), "/home/alice/.pi/agent", "Permission denied")


def test_a_configuration_that_goes_away_during_a_session_harms_neither_it_nor_the_next() -> None:
    with session("alice", "pi-probe", "exec", "sh", "-c", "echo ready; cat; cat ~/.pi/agent/settings.json") as running:
        on_machine("rm", "-r", configuration()).ok()
        assert running.wait().status == 0
    assert inside("cat ~/.pi/agent/settings.json").status == 0
