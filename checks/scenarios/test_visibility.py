"""What a program in the sandbox can see and change of the machine.

The program looks from inside. Each denial is proven to be one: what is absent inside exists outside.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.commands import inside, on_machine
from support.installed import SHARED, demo, home, policy, state
from support.sessions import IDLE, session

ALLOWED = {
    "bin",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "nix",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "var",
}


def test_the_root_directory_holds_nothing_but_the_allow_list() -> None:
    seen = set(inside("ls -A /").ok().text.split())
    # A session that was shown something there has left the name, and nothing in it.
    elsewhere = {"srv", "opt"}
    assert seen - elsewhere <= ALLOWED
    assert {"dev", "etc", "home", "nix", "proc", "tmp", "usr", "var"} <= seen
    assert elsewhere <= set(os.listdir("/"))
    assert inside("cat <(ls -A /srv) <(ls -A /opt) 2>/dev/null").ok().text == ""


@pytest.mark.parametrize(
    ("directory", "content"),
    [
        ("/home", {"alice"}),
        ("/home/alice", {"p"}),
        ("/home/alice/p", {"demo"}),
        ("/var", {"hidden", "lib", "run", "tmp"}),
        ("/var/lib", {"pi-probe"}),
        ("/nix", {"store", "var"}),
        ("/nix/var/nix", {"daemon-socket", "profiles"}),
        ("/tmp", set()),
        ("/var/tmp", set()),
        ("/dev/shm", set()),
        ("/dev/mqueue", set()),
    ],
)
def test_a_directory_on_the_way_holds_nothing_but_the_way(directory: str, content: set[str]) -> None:
    assert set(inside('ls -A "$1"', directory).ok().text.split()) == content


def test_what_the_host_has_in_run_is_not_there() -> None:
    seen = set(inside("ls -A /run").ok().text.split())
    assert seen <= {"current-system", "host", "nscd", "systemd", "user"}
    assert {"pi-agent", "dbus", "sudo"} <= set(os.listdir("/run")) - seen
    assert inside("ls -A /run/user").ok().text == ""
    # Ways to ask system services for something.
    for socket in ("/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/socket"):
        assert Path(socket).exists()
        assert inside('test -e "$1"', socket).status == 1


def test_every_mount_but_our_own_is_read_only_or_empty_and_none_honours_setuid() -> None:
    seen = inside("cat /proc/self/mountinfo").ok().text.splitlines()
    writable = set()
    for line in seen:
        fields = line.split()
        target, options = fields[4], fields[5].split(",")
        assert "nosuid" in options, line
        # Mounts over themselves that keep protected paths in place, within the project.
        if "rw" in options and not target.startswith(f"{demo('alice')}/"):
            writable.add(target)
    assert writable <= {
        str(demo("alice")),
        policy("pi-probe")["stateDir"],
        "/dev/shm",
        "/dev/mqueue",
        "/dev/pts",
        "/dev/hugepages",
        "/proc",
        "/run",
        "/tmp",
        "/var/tmp",
    }
    assert {str(demo("alice")), policy("pi-probe")["stateDir"], "/tmp"} <= writable


def test_the_project_is_read_write() -> None:
    seen = inside("cat README; echo new >README; rm -f gone; mkdir d; touch d/f; mv d e; ln -s f e/l; rm e/l").ok()
    assert seen.text == "A project of alice."
    assert (demo("alice") / "README").read_text() == "new\n"
    assert (demo("alice") / "e/f").exists()


def test_a_project_root_can_be_a_parent_of_many_projects() -> None:
    for name in ("one", "two"):
        on_machine("install", "-d", "-o", "alice", home("alice") / "p" / name).ok()
    seen = inside("pwd; ls ..; touch ../two/here", cwd=home("alice") / "p" / "one").ok().text.split()
    assert seen == [str(home("alice") / "p" / "one"), "demo", "one", "two"]
    assert (home("alice") / "p/two/here").exists()


def test_tmp_is_private_and_gone_afterwards() -> None:
    outside = Path("/tmp/checks-of-the-host")
    outside.write_text("the host's")
    try:
        words = ("pi-probe", "exec", "bash", "-c", "ls -A /tmp; echo x >/tmp/checks-mine; echo ready; cat >/dev/null")
        with session("alice", *words) as first:
            assert first.client.stdout is not None
            assert inside("ls -A /tmp /var/tmp | grep checks", user="bob").status == 1
            assert not Path("/tmp/checks-mine").exists()
        assert inside("ls -A /tmp | grep checks").status == 1
        found = on_machine("find", "/tmp", "/var/tmp", "-name", "checks-mine").ok()
        assert found.text == ""
    finally:
        outside.unlink()


def test_shared_memory_and_queues_are_private() -> None:
    Path("/dev/shm/checks-of-the-host").write_text("the host's")
    make = "echo mine >/dev/shm/checks-mine; ls /dev/shm; echo ready; cat >/dev/null"
    try:
        with session("alice", "pi-probe", "exec", "bash", "-c", make):
            assert inside("ls -A /dev/shm /dev/mqueue | grep checks", user="bob").status == 1
            assert not Path("/dev/shm/checks-mine").exists()
            on_machine("ipcmk", "--queue").ok()
            assert "0x" not in inside("ipcs --queues").ok().text
            assert "0x" in on_machine("ipcs", "--queues").ok().text
    finally:
        Path("/dev/shm/checks-of-the-host").unlink()
        on_machine("ipcrm", "--all=msg").ok()


def test_from_the_outer_root_another_project_is_there() -> None:
    other = home("alice") / "p" / "other"
    other.mkdir()
    (other / "file").write_text("another project")
    assert inside('cat "$1/file"', os.fspath(other), cwd=other).ok().text == "another project"


def test_two_sessions_at_once_do_not_see_each_others_files() -> None:
    with session("bob", "pi-probe", *IDLE):
        assert inside("ls -d /home/bob").status != 0
        assert inside("ls -A /home", user="bob").ok().text == "bob"
        inside('touch "$HOME/of alice"').ok()
    assert (state("alice", "pi-probe") / "of alice").exists()
    assert not (state("bob", "pi-probe") / "of alice").exists()


def test_a_root_that_two_people_were_given_is_shared_by_their_agents() -> None:
    with session("bob", "pi-group", *IDLE, cwd=SHARED):
        inside("echo shared >'for both'; chmod g+w 'for both'", command="pi-group", cwd=SHARED).ok()
        seen = inside("cat 'for both' && echo more >>'for both'", command="pi-group", user="bob", cwd=SHARED)
        assert seen.ok().text == "shared"
    assert (SHARED / "for both").read_text() == "shared\nmore\n"


def test_a_session_in_the_outer_root_sees_its_whole_tree_and_no_more() -> None:
    seen = inside("ls -A /home /home/alice /home/alice/p", cwd=home("alice") / "p").ok().text.split()
    assert seen == ["/home:", "alice", "/home/alice:", "p", "/home/alice/p:", "demo"]


def test_the_policy_inside_is_the_one_that_was_asked_for() -> None:
    # Everybody can read the Nix store by design: the policy holds no secret.
    text = json.dumps(policy())
    assert "from an environment file" not in text
