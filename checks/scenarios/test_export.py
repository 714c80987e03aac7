"""`--sandbox-export` copies transcripts from a tree of the agent's to files of their user's, and nothing else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from support import strace
from support.commands import Result, as_user, inside, pi
from support.installed import FACTS, demo, home, isolated
from support.sessions import session
from support.terminals import ended
from support.transcripts import IN_SESSIONS, planted

from pi_agent.messages import command_output, progress_texts

RUNNER = (FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"])


def export(*words: str | bytes, user: str = "alice", cwd: Path | str | None = "/") -> Result:
    return as_user(user, "pi-probe", "--sandbox-export", *words, cwd=cwd)


def default(user: str = "alice") -> Path:
    return home(user) / ".local/share/pi-agent/sessions"


def copies(top: Path) -> dict[str, bytes]:
    """The copies of transcripts below top, without following a link."""
    return {
        os.path.relpath(os.path.join(folder, name), top): Path(folder, name).read_bytes()
        for folder, _, names in os.walk(top)
        for name in names
        if name.endswith(".jsonl")
    }


def counts(result: Result) -> tuple[int, ...]:
    """The numbers of transcripts copied, unchanged and skipped."""
    return tuple(map(int, re.findall(r"\d+", result.ok().text.splitlines()[-1].partition(":")[0])))


def test_transcripts_become_the_callers_own_files() -> None:
    turn = pi("hello there")
    turn.ok()
    done = as_user("alice", "pi", "--sandbox-export", cwd="/")
    assert counts(done) == (1, 0, 0)
    assert done.text.endswith(str(default()))
    [(name, content)] = copies(default()).items()
    source = isolated("alice", f"sessions/{name}")
    assert content == source.read_bytes() and b"hello there" in content
    status, alice = (default() / name).stat(), home("alice").stat()
    assert (status.st_uid, status.st_gid) == (alice.st_uid, alice.st_gid)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_mtime_ns == source.stat().st_mtime_ns
    for directory in (default(), default() / os.path.dirname(name)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert directory.stat().st_uid == alice.st_uid
    assert as_user("alice", "cat", default() / name).ok().stdout == content
    assert as_user("bob", "cat", default() / name).status != 0
    # Bob's export contains none of it.
    assert counts(as_user("bob", "pi", "--sandbox-export", cwd="/")) == (0, 0, 0)
    assert not default("bob").exists()


def test_only_what_changed_is_copied_again() -> None:
    planted("--p--/a.jsonl", "one")
    planted("--p--/b.jsonl", "two")
    assert counts(export()) == (2, 0, 0)
    before = (default() / "--p--/b.jsonl").stat()
    inside(IN_SESSIONS + "echo more >>$S/--p--/a.jsonl; echo new >$S/--p--/c.jsonl").ok()
    assert counts(export()) == (2, 1, 0)
    assert counts(export()) == (0, 3, 0)
    assert copies(default())["--p--/a.jsonl"] == b"one\nmore\n"
    after = (default() / "--p--/b.jsonl").stat()
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    # The user keeps what the agent removes.
    inside(IN_SESSIONS + "rm $S/--p--/b.jsonl").ok()
    assert counts(export()) == (0, 2, 0)
    assert copies(default())["--p--/b.jsonl"] == b"two\n"


def test_what_the_user_changed_is_kept_and_told() -> None:
    planted("--p--/a.jsonl", "one")
    export().ok()
    as_user("alice", "sh", "-c", 'echo note >>"$1"', "sh", default() / "--p--/a.jsonl").ok()
    inside(IN_SESSIONS + "echo more >>$S/--p--/a.jsonl").ok()
    done = export()
    assert counts(done) == (0, 0, 1)
    assert "--p--/a.jsonl" in done.complaint and command_output.COPY_CHANGED in done.complaint
    assert copies(default())["--p--/a.jsonl"] == b"one\nnote\n"
    (default() / "--p--/a.jsonl").rename(default() / "--p--/mine")
    assert counts(export()) == (1, 0, 0)
    assert copies(default())["--p--/a.jsonl"] == b"one\nmore\n"


def test_where_to_is_the_users_word_or_the_environments() -> None:
    planted("--p--/a.jsonl", "one")
    script = 'mkdir -p ~/there && cd ~/there && XDG_DATA_HOME=~/data pi-probe --sandbox-export && pi-probe "$@"'
    done = as_user("alice", "sh", "-c", script, "sh", "--sandbox-export", "a b/c", cwd="/").ok()
    places = [home("alice") / "data/pi-agent/sessions", home("alice") / "there/a b/c"]
    assert [line.rpartition(": ")[2] for line in done.text.splitlines()] == [str(place) for place in places]
    assert [list(copies(place)) for place in places] == [["--p--/a.jsonl"]] * 2
    assert export("").status == 64


def test_the_runner_by_itself_wants_an_absolute_path() -> None:
    planted("--p--/a.jsonl", "one")
    for words in ([], ["there"], [""]):
        assert as_user("alice", *RUNNER, "--sandbox-export", *words, cwd=home("alice")).status == 64
    as_user("alice", *RUNNER, "--sandbox-export", home("alice") / "out", cwd="/").ok()
    assert list(copies(home("alice") / "out")) == ["--p--/a.jsonl"]


@pytest.mark.parametrize(
    "where", ["/root/x", "/etc/x", "/home/bob/x", "/var/lib/pi-agent/x", "/proc/self/x", "/dev/null"]
)
def test_where_the_caller_may_not_write_nothing_is_written(where: str) -> None:
    planted("--p--/a.jsonl", "one")
    refused = export(where)
    assert refused.status == 69, refused.complaint
    assert not Path(where).is_dir()


def test_the_callers_own_links_are_followed_and_those_of_others_are_not() -> None:
    planted("--p--/a.jsonl", "one")
    as_user("alice", "sh", "-c", "mkdir ~/big && ln -s big ~/link && chmod 755 ~", cwd="/").ok()
    export(str(home("alice") / "link/out")).ok()
    assert list(copies(home("alice") / "big/out")) == ["--p--/a.jsonl"]
    # The agent's link in the project belongs to alice on disk, and leads to a place that she can write to.
    inside("ln -s /home/alice/big planted; ln -s /home/alice/.ssh keys").ok()
    for name in ("planted", "planted/deep", "keys"):
        refused = export(str(demo("alice") / name))
        assert refused.status == 69, name
        assert command_output.LINK_CHANGED_BY_OTHERS in refused.complaint
    Path("/srv/shared/hers").symlink_to("/home/alice/big")
    assert export("/srv/shared/hers/x").status == 69
    assert not (home("alice") / "big/deep").exists() and not (home("alice") / "big/x").exists()
    assert not list((home("alice") / ".ssh").rglob("*.jsonl"))
    # A plain directory in a project is allowed.
    export(str(demo("alice") / "plain")).ok()
    assert list(copies(demo("alice") / "plain")) == ["--p--/a.jsonl"]


HOSTILE_TREE = r"""
cd $S/--p--; echo fine >fine.jsonl
ln -s /etc/shadow shadow.jsonl; ln -s /etc/passwd passwd.jsonl; ln -s ~/.pi/agent/auth.json auth.jsonl
mkfifo pipe.jsonl; mkdir dir.jsonl; echo two >two.jsonl; ln two.jsonl names.jsonl
truncate -s 1T sparse.jsonl; echo x >other.sh; echo x >.bashrc
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket.jsonl")'
ln -s / ../--root--; ln -s ../.. ../--up--; ln -s . ../--loop--
mkdir ../--shut--; echo shut >../--shut--/a.jsonl; chmod 0 ../--shut--
echo x >run.jsonl; chmod 4755 run.jsonl
printf one >"$(printf 'new\nline\033[2J.jsonl')"; printf two >"$(printf 'bytes\377\376.jsonl')"
mkdir "../$(printf -- '--esc\033--')"; echo three >"../$(printf -- '--esc\033--')/a.jsonl"
mkdir ../.pi-agent-new; echo x >../.pi-agent-new/a.jsonl
mkdir ../.exported.json; echo x >../.exported.json/a.jsonl; echo x >none.jsonl; chmod 0 none.jsonl
cd $S; python3 -c 'import os
for number in range(300): os.mkdir("d"); os.chdir("d")
open("deep.jsonl", "w").write("x")'
"""


def test_a_hostile_tree_gives_its_transcripts_and_nothing_else() -> None:
    inside(IN_SESSIONS + HOSTILE_TREE).ok()
    done = export()
    assert b"\x1b" not in done.stdout + done.stderr
    found = copies(default())
    assert found == {
        "--p--/fine.jsonl": b"fine\n",
        "--p--/run.jsonl": b"x\n",
        "--p--/new\\nline\\x1b[2J.jsonl": b"one",
        "--p--/bytes\\xff\\xfe.jsonl": b"two",
        "--shut--/a.jsonl": b"shut\n",
        "--esc\\x1b--/a.jsonl": b"three\n",
    }
    for folder, directories, names in os.walk(default()):
        for name in [*directories, *names]:
            status = os.lstat(os.path.join(folder, name))
            assert status.st_uid == home("alice").stat().st_uid
            assert stat.S_IMODE(status.st_mode) == (0o700 if stat.S_ISDIR(status.st_mode) else 0o600), name
    for name in ("shadow", "passwd", "auth", "pipe", "two", "names", "sparse", "socket", "none"):
        assert f"--p--/{name}.jsonl: " in done.complaint
    assert counts(export())[0] == 0


def test_what_stands_in_the_way_in_dir_is_left_alone() -> None:
    for name in ("link", "dangling", "dir", "pipe"):
        planted(f"--p--/{name}.jsonl", "from inside")
    planted("--linked--/a.jsonl", "from inside")
    planted("--file--/a.jsonl", "from inside")
    as_user(
        "alice",
        "sh",
        "-c",
        """mkdir -p "$1/--p--/dir.jsonl" ~/other && echo mine >~/mine && cd "$1"
        ln -s ~/mine ./--p--/link.jsonl; ln -s ~/nowhere ./--p--/dangling.jsonl; mkfifo ./--p--/pipe.jsonl
        ln -s ~/other ./--linked--; echo mine >./--file--""",
        "sh",
        default(),
    ).ok()
    done = export()
    assert counts(done) == (0, 0, 6)
    assert (home("alice") / "mine").read_text() == "mine\n"
    assert not (home("alice") / "nowhere").exists()
    assert list((home("alice") / "other").iterdir()) == []


def test_a_swapped_directory_leads_nowhere() -> None:
    """The agent swaps a directory of transcripts for a link, and the directory of copies in its project for another."""
    target = demo("alice") / "out"
    inside(IN_SESSIONS + "mkdir $S/--x--; for n in $(seq 300); do echo $n >$S/--x--/$n.jsonl; done").ok()
    swap = """
    exec 3>&1; cd "$2"; mkdir -p --x--; echo ready >&3
    while read -t 0.001 -r _ || [ $? -gt 128 ]; do
      mv "$1/--x--" "$1/away" && ln -s /etc "$1/--x--"; rm "$1/--x--"; mv "$1/away" "$1/--x--"
      mv --x-- away && ln -s /home/alice/.ssh ./--x--; rm ./--x--; mv away --x--
      echo >>swaps
    done
    """
    target.mkdir()
    os.chown(target, home("alice").stat().st_uid, home("alice").stat().st_gid)
    before = sorted(path.name for path in (home("alice") / ".ssh").iterdir())
    sessions = str(isolated("alice", "sessions", "pi-probe")).replace("/users/alice", "")
    with session("alice", "pi-probe", "exec", "bash", "-c", swap, "swap", sessions, str(target)):
        for _ in range(15):
            done = export(str(target))
            assert done.status in (0, 69), done.complaint
    assert sorted(path.name for path in (home("alice") / ".ssh").iterdir()) == before
    assert (target / "swaps").stat().st_size > 15
    assert not [name for name, content in copies(target).items() if b"root:" in content]


# Independent of the machine's copying speed: here one file takes longer than a second.
SLOW = strace.slow("sendfile", 2)


def test_a_long_export_shows_how_far_it_is_on_a_terminal_and_nothing_in_a_pipe() -> None:
    inside(IN_SESSIONS + "for n in $(seq 8); do echo $n >$S/--p--/$n.jsonl; done").ok()
    screen = strace.at_terminal(SLOW, strace.runner("--sandbox-export", home("alice") / "copies"), Path("/"))
    screen.expect(progress_texts.COPYING_TRANSCRIPTS + r" \[#*-*\] \d of 8 files, \d+ MiB")
    screen.expect_exact(command_output.exported(8, 0, 0, str(home("alice") / "copies")))
    assert ended(screen) == 0
    done, log = strace.trace(SLOW, strace.runner("--sandbox-export", home("alice") / "again"), Path("/"))
    assert "(DELAYED)" in log
    assert (counts(done), done.stderr) == ((8, 0, 0), b"")
