"""Further paths, read-only and read-write: what they show, to whom, and when they refuse the start."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.commands import Result, as_user, inside, on_machine
from support.installed import home
from support.servers import connects, listening

SCRATCH: Final = Path("/srv/scratch")


@pytest.fixture(autouse=True)
def scratch() -> Iterator[Path]:
    """The further path of pi-paths, empty, and restored afterwards as fixtures made it."""

    def renew() -> None:
        on_machine("rm", "-rf", SCRATCH, *Path("/srv").glob("checks-*")).ok()
        on_machine("install", "-d", "-m", "0755", "-o", "alice", "-g", "users", SCRATCH).ok()

    renew()
    yield SCRATCH
    renew()


def paths(script: str, *arguments: str, user: str = "alice") -> Result:
    """Run a script inside the variant with further paths."""
    return inside(script, *arguments, command="pi-paths", user=user)


def test_further_paths_are_there_and_nothing_beside_them(scratch: Path) -> None:
    (scratch / "file").write_text("from the host")
    assert paths("cat /srv/scratch/file").ok().text == "from the host"
    assert paths("head -n 1 /opt/pi-agent/module.nix").ok().text != ""
    assert paths("ls -A /srv /opt").ok().text.split() == ["/opt:", "pi-agent", "/srv:", "scratch"]
    # Without the option, they are absent.
    assert inside("test -e /srv/scratch || test -e /opt/pi-agent").status == 1


def test_a_read_write_path_is_written_as_the_user(scratch: Path) -> None:
    paths("cd /srv/scratch; echo x >made; mkdir d; mv made d; chmod 600 d/made; ln -s d/made l; rm l").ok()
    made = (scratch / "d/made").stat()
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (home("alice").stat().st_uid, 0o600)
    as_user("alice", "rm", "-r", scratch / "d", cwd="/").ok()


def test_a_read_only_path_is_not_written() -> None:
    for attempt in ("touch /opt/pi-agent/planted", ": >>/opt/pi-agent/module.nix", "mkdir /opt/pi-agent/d"):
        assert paths(attempt).status != 0
    mounted = [line.split() for line in paths("cat /proc/self/mountinfo").ok().text.splitlines()]
    options = {fields[4]: set(fields[5].split(",")) for fields in mounted}
    assert {"ro", "nosuid", "nodev"} <= options["/opt/pi-agent"]
    assert {"rw", "nosuid", "nodev"} <= options[str(SCRATCH)]
    for place in ("/opt/pi-agent", "/srv/scratch"):
        assert (
            paths('umount "$1" || mount -o remount,bind,rw "$1" || mv "$1" "$1.old" || rmdir "$1"', place).status != 0
        )


def test_permissions_on_a_further_path_are_those_of_the_user(scratch: Path) -> None:
    on_machine("install", "-m", "0600", "-o", "bob", "/dev/null", scratch / "of-bob").ok()
    (scratch / "of-root").write_text("root's")
    (scratch / "of-root").chmod(0o600)
    on_machine("install", "-m", "0600", "-o", "alice", "/dev/null", scratch / "of-alice").ok()
    assert paths("cat /srv/scratch/of-alice").status == 0
    for name in ("of-bob", "of-root"):
        assert paths('cat "/srv/scratch/$1" || chmod 666 "/srv/scratch/$1"', name).status != 0
    # To bob's agent, the same directory belongs to a stranger.
    assert paths("cat /srv/scratch/of-bob", user="bob").status == 0
    assert paths("cat /srv/scratch/of-alice || touch /srv/scratch/new", user="bob").status != 0


def test_a_setuid_program_in_a_read_write_path_gives_no_rights(scratch: Path) -> None:
    program = shutil.which("id")
    assert program
    shutil.copy(program, scratch / "id")
    (scratch / "id").chmod(0o4755)
    assert paths("/srv/scratch/id -u").ok().text != "0"
    paths('cp "$(command -v id)" /srv/scratch/mine; chmod 4755 /srv/scratch/mine; chmod u+s /srv/scratch/mine')
    assert not (scratch / "mine").stat().st_mode & stat.S_ISUID


def test_a_missing_path_refuses_the_start_by_name(scratch: Path) -> None:
    scratch.rmdir()
    refused = paths("echo started")
    assert refused.status == 78
    assert refused.stdout == b""
    assert "/srv/scratch" in refused.complaint
    assert "No such file or directory" in refused.complaint
    # Another variant without the option starts.
    assert inside("echo started").ok().text == "started"


def test_a_link_that_a_user_can_redirect_refuses_the_start(scratch: Path) -> None:
    place = Path("/srv/checks-alice")
    on_machine("install", "-d", "-o", "alice", place).ok()
    (place / "link").symlink_to("/root")
    scratch.rmdir()
    scratch.symlink_to(place / "link")
    refused = paths("ls -A /srv/scratch")
    assert refused.status == 78
    assert refused.stdout == b""
    assert "link" in refused.complaint
    # Also if the link is one of the directories on the way.
    (place / "link").unlink()
    (place / "real/scratch").mkdir(parents=True)
    (place / "link").symlink_to("real")
    scratch.unlink()
    scratch.symlink_to(place / "link/scratch")
    assert paths("true").status == 78


def test_a_link_that_only_root_can_change_is_followed(scratch: Path) -> None:
    place = Path("/srv/checks-real")
    place.mkdir()
    (place / "file").write_text("behind a link\n")
    scratch.rmdir()
    scratch.symlink_to(place)
    assert paths("cat /srv/scratch/file; ls /srv").ok().text.split() == ["behind", "a", "link", "scratch"]


def test_a_further_path_can_be_a_file_or_a_socket(scratch: Path) -> None:
    scratch.rmdir()
    scratch.write_text("a file")
    on_machine("chown", "alice", scratch).ok()
    assert paths("cat /srv/scratch; echo more >>/srv/scratch").ok().text == "a file"
    assert scratch.read_text() == "a filemore\n"
    scratch.unlink()
    with listening(socket.AF_UNIX, str(scratch)):
        on_machine("chmod", "0666", scratch).ok()
        assert connects("pi-paths", "unix", str(scratch))
        assert not connects("pi-probe", "unix", str(scratch))


def test_a_further_path_of_an_odd_kind_keeps_nobody_waiting(scratch: Path) -> None:
    scratch.rmdir()
    os.mkfifo(scratch)
    assert paths("echo started; test -p /srv/scratch").ok().text == "started"
    scratch.unlink()
    on_machine("mknod", "-m", "666", scratch, "c", "1", "3").ok()
    assert paths("echo x >/srv/scratch").status != 0
