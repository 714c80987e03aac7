"""Attempts to gain something by a descriptor that one side of the sandbox lends to the other (unix(7), SCM_RIGHTS)."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from support.commands import inside, on_machine
from support.installed import SHARED, agent, demo, memory, owner, state
from support.leftovers import staged
from support.lending import Party, answers
from support.sessions import session

from escapes.case import attempt

pytestmark = pytest.mark.usefixtures("afresh")

_ALICE: Final = Party("alice")
_HER_AGENT: Final = Party("alice", "pi-probe")
# What a process of the host could make through a mount that maps owners both ways.
_MAKES: Final = {
    "a file": "os.close(os.open('made', os.O_CREAT | os.O_WRONLY, 0o777, dir_fd=lent))",
    "a setuid file": "os.close(os.open('suid', os.O_CREAT | os.O_WRONLY, 0o6755, dir_fd=lent))",
    "a file without a name": "os.close(os.open('.', os.O_TMPFILE | os.O_RDWR, 0o6755, dir_fd=lent))",
    "a directory": "os.mkdir('made-directory', 0o777, dir_fd=lent)",
    "a link": "os.symlink('x', 'made-link', dir_fd=lent)",
    "a pipe": "os.mkfifo('made-pipe', 0o666, dir_fd=lent)",
    "a socket": "os.mknod('made-socket', stat.S_IFSOCK | 0o666, dir_fd=lent)",
    "another name": "os.link('there', 'made-hard', src_dir_fd=lent, dst_dir_fd=lent)",
    "a new name": "os.rename('there', 'made-name', src_dir_fd=lent, dst_dir_fd=lent)",
}
_DIRECTORY: Final = """
os.makedirs(PLACE, exist_ok=True)
os.chmod(PLACE, 0o777)
open(os.path.join(PLACE, 'there'), 'w').close()
os.chmod(os.path.join(PLACE, 'there'), 0o666)
lent = os.open(PLACE, os.O_RDONLY | os.O_DIRECTORY)
"""


def _opening(place: str) -> str:
    return _DIRECTORY.replace("PLACE", repr(place))


def _owners(directory: Path) -> dict[str, str]:
    return {path.name: pwd.getpwuid(path.lstat().st_uid).pw_name for path in directory.rglob("*")}


def _all(answer: str) -> Mapping[str, str]:
    return dict.fromkeys(_MAKES, answer)


@attempt("privileges", "make a setuid file of the agent's, by a process of the user's that borrows a directory")
def test_the_user_makes_nothing_in_a_directory_that_her_agent_lends() -> None:
    assert answers(_HER_AGENT, _opening("lent-directory"), _ALICE, _MAKES) == _all("EOVERFLOW")
    made = demo("alice") / "lent-directory"
    assert _owners(made) == {"there": "alice"}
    # She can do all of it at the directory's own place, and her agent in the mount.
    own = {name: code for name, code in _MAKES.items() if name != "a setuid file"}
    assert answers(_ALICE, _opening("lent-directory"), _ALICE, own) == dict.fromkeys(own, "works")
    inside("cd lent-directory; touch of-agent; mkdir directory; ln -s x link; mkfifo pipe").ok()
    assert set(_owners(made).values()) == {"alice"}
    assert not [path for path in made.rglob("*") if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]


@attempt("state", "make a file in the state tree, by a process of the user's that borrows a directory")
@pytest.mark.parametrize("place", ["~", "~/.npm-global/bin", "~/lent-directory"])
def test_the_user_makes_nothing_in_the_state_that_her_agent_lends(place: str) -> None:
    opens = f"PLACE = os.path.expanduser({place!r})\n" + _DIRECTORY
    assert answers(_HER_AGENT, opens, _ALICE, _MAKES) == _all("EOVERFLOW")
    assert set(_owners(state("alice", "pi-probe")).values()) == {owner("pi-probe").pw_name}
    inside("touch ~/mine && mkdir -p ~/below && touch ~/below/mine").ok()


@attempt("places", "make a file in a further path of the policy, by a process of the user's that borrows it")
def test_the_user_makes_nothing_in_a_further_path_that_her_agent_lends() -> None:
    scratch = Path("/srv/scratch")
    lender = Party("alice", "pi-paths")
    mode = stat.S_IMODE(scratch.stat().st_mode)
    scratch.chmod(0o777)
    try:
        opens = "open('/srv/scratch/there', 'w').close(); os.chmod('/srv/scratch/there', 0o666)"
        opens += "; lent = os.open('/srv/scratch', os.O_RDONLY)"
        assert answers(lender, opens, _ALICE, _MAKES) == _all("EOVERFLOW")
        assert _owners(scratch)["there"] == "alice"
    finally:
        scratch.chmod(mode)
        (scratch / "there").unlink(missing_ok=True)


@attempt("privileges", "become another user's agent, or leave what is another agent's, by what is lent across users")
def test_nothing_of_an_agents_own_comes_to_be_through_what_another_user_lends() -> None:
    """In a root that both have, with a group that both are in."""
    for lends, borrows in (("alice", "bob"), ("bob", "alice")):
        lender = Party(lends, "pi-group", SHARED)
        found = answers(lender, _opening(str(SHARED / f"of-{lends}")), Party(borrows, None, SHARED), _MAKES)
        # What they make is theirs, as at the directory's own place, unless they share the lender's primary group.
        assert set(found.values()) <= {"works", "EOVERFLOW"}, found
        agents = {agent("pi-group", user).pw_uid for user in ("alice", "bob")} | {owner("pi-group").pw_uid}
        made = [path for path in (SHARED / f"of-{lends}").rglob("*")]
        assert not [path for path in made if path.lstat().st_uid in agents]
        assert {path.lstat().st_uid for path in made} <= {pwd.getpwnam(name).pw_uid for name in ("alice", "bob")}


# What her agent lends → code that opens it, and attempts to gain the agent's rights by it, as the agent can.
_GAINS: Final = {
    "a file": (
        "open('lent-file', 'w').close(); os.chmod('lent-file', 0o666); lent = os.open('lent-file', os.O_RDWR)",
        {
            "make it setuid": "os.fchmod(lent, 0o6755)",
            "take it": "os.fchown(lent, os.getuid(), -1)",
        },
    ),
    "a file of the state": (
        "place = os.path.expanduser('~/lent-file'); open(place, 'w').close(); lent = os.open(place, os.O_RDWR)",
        {
            "make it setuid": "os.fchmod(lent, 0o6755)",
            "give it capabilities": "os.setxattr(lent, 'security.capability', bytes(20))",
        },
    ),
    "memory": (
        "lent = os.memfd_create('lent')",
        {"make it setuid": "os.fchmod(lent, 0o6755)", "take it": "os.fchown(lent, os.getuid(), -1)"},
    ),
    "a process": (
        "lent = os.pidfd_open(os.getpid())",
        {
            "signal it": "import signal; signal.pidfd_send_signal(lent, signal.SIGURG)",
            "take its files": "checked(LIBC.syscall(438, lent, 0, 0))",
            "join its namespaces": "checked(LIBC.setns(lent, 0x10000000 | 0x20000))",
        },
    ),
    "a terminal": (
        "lent = os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)",
        {"make it setuid": "os.fchmod(lent, 0o6755)", "take it": "os.fchown(lent, os.getuid(), -1)"},
    ),
}


@pytest.mark.parametrize("what", _GAINS)
@attempt("privileges", "gain the agent's rights by a file, memory, a process or a terminal that it lends")
def test_nothing_of_the_agents_rights_is_lent_with_it(what: str) -> None:
    opens, tries = _GAINS[what]
    assert set(answers(_HER_AGENT, opens, _ALICE, tries).values()) <= {"EPERM", "EACCES", "EINVAL", "EOVERFLOW"}
    # Her own agent may signal its process, and she hers.
    if what == "a process":
        assert answers(_ALICE, opens, _ALICE, {"signal it": tries["signal it"]}) == {"signal it": "works"}
    elif what != "a terminal":
        again = opens.replace("lent-file", "own-file")
        assert answers(_ALICE, again, _ALICE, {"change it": "os.fchmod(lent, 0o4755)"}) == {"change it": "works"}


# What a process of alice's, or one with the ID of her agent, tries on the host while bob's session runs.
_OF_ANOTHER: Final = {
    "his state": "open(there['state']).read()",
    "the directory of his state": "os.listdir(os.path.dirname(there['state']))",
    "what sync remembers of him": "open(there['memory']).read()",
    "the directory of his session": "os.listdir(there['staging'])",
    "the gate of his session": "socket.socket(socket.AF_UNIX).connect(there['staging'] + '/gate')",
    "the environment of his agent": "open(f\"/proc/{there['pid']}/environ\", 'rb').read()",
    "the memory of his agent": "open(f\"/proc/{there['pid']}/mem\", 'rb').read(1)",
    "the files of his agent": "os.listdir(f\"/proc/{there['pid']}/fd\")",
    "the root of his agent": "os.listdir(f\"/proc/{there['pid']}/root\")",
    "his agent": "os.kill(there['pid'], 0)",
    "his agent's descriptors": "checked(LIBC.syscall(438, os.pidfd_open(there['pid']), 0, 0))",
}
_TRIES: Final = """
import ctypes, errno, json, os, socket, sys
LIBC = ctypes.CDLL(None, use_errno=True)
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "a call failed")
def answer(code, there):
    try:
        exec(code, {**globals(), "there": there})
    except OSError as error:
        return errno.errorcode[error.errno]
    return "works"
print(json.dumps({name: answer(code, json.loads(sys.argv[2])) for name, code in json.loads(sys.argv[1]).items()}))
"""


@attempt("state", "find anything of another user's session with a process of each account that a user can have")
def test_a_process_of_each_account_finds_nothing_of_another_users() -> None:
    command = ("exec", "bash", "-c", "echo x >~/secret; echo ready; cat >/dev/null")
    with session("bob", "pi-probe", *command) as his:
        [staging] = [path for path in staged() if path.name == his.unit.removesuffix(".service")]
        there = {
            "state": str(state("bob", "pi-probe") / "secret"),
            "memory": str(memory("bob", "pi-probe") / "memory.json"),
            "staging": str(staging),
            "pid": his.main_pid(),
        }
        for account in (pwd.getpwnam("alice"), agent("pi-probe")):
            ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
            words = ("python3", "-c", _TRIES, json.dumps(_OF_ANOTHER), json.dumps(there))
            found = json.loads(on_machine("setpriv", *ids, *words).ok().text)
            assert set(found.values()) <= {"EACCES", "EPERM"}, (account.pw_name, found)
        found = json.loads(on_machine(*words).ok().text)
        assert {name for name, answer in found.items() if answer == "works"} >= {"his state", "his agent"}, found


# What alice can open on the host and pass in: code that sets `lent`, and what is to be reached by it.
_LENT_IN: Final = {
    "the root directory": ("os.open('/', os.O_RDONLY)", "var/lib/pi-probe/users/bob/.pi/agent/settings.json"),
    "the directory of all state": ("os.open('/var/lib', os.O_RDONLY)", "pi-probe/users/bob/.pi/agent/settings.json"),
    "the root directory, for sync": ("os.open('/', os.O_RDONLY)", "var/lib/pi-probe-sync/bob/memory.json"),
    "the root directory, for her own sync": ("os.open('/', os.O_RDONLY)", "var/lib/pi-probe-sync/alice/memory.json"),
    "the root directory, for her own state": ("os.open('/', os.O_RDONLY)", "var/lib/pi-probe/users/alice/.pi/.env"),
    "the root directory, for sessions": ("os.open('/', os.O_RDONLY)", "run/pi-agent/1001"),
    "the root directory, for bob's home": ("os.open('/', os.O_RDONLY)", "home/bob/p/demo/README"),
    "the root directory, for her home": ("os.open('/', os.O_RDONLY)", "home/alice/.ssh/id_ed25519"),
}


@pytest.mark.parametrize("way", _LENT_IN)
@attempt("state", "reach another user's state, or root's memory of it, by a directory that the user passes in")
def test_a_directory_from_outside_opens_nothing_of_others(way: str) -> None:
    opens, path = _LENT_IN[way]
    inside("echo secret >>~/.pi/.env; echo '{}' >>~/.pi/agent/settings.json", user="bob").ok()
    inside("echo secret >>~/.pi/.env").ok()
    tries = {
        "read": f"os.close(os.open({path!r}, os.O_RDONLY, dir_fd=lent))",
        "write": f"os.close(os.open({path!r}, os.O_WRONLY, dir_fd=lent))",
        "look": f"os.stat({path!r}, dir_fd=lent)",
        "plant": f"os.mkdir({os.path.dirname(path)!r} + '/planted', dir_fd=lent)",
        "move": f"os.rename({path!r}, {path!r} + '.away', src_dir_fd=lent, dst_dir_fd=lent)",
    }
    found = answers(_ALICE, f"lent = {opens}", _HER_AGENT, tries)
    assert set(found.values()) <= {"EACCES", "EXDEV"}, found
    if "home" not in way and "sessions" not in way:
        assert os.path.lexists(f"/{path}" if opens.startswith("os.open('/',") else f"/var/lib/{path}")
