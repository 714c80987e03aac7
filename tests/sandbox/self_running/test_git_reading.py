from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.sandbox.self_running import git_reading
from tests.support import people
from tests.support.left_behind import real_policy

_TOOLS = real_policy().tools


def keys(content: bytes) -> list[str]:
    """The keys of the settings that run something."""
    pairs = git_reading.read(_TOOLS, content)
    assert pairs is not None
    return list(git_reading.shown(git_reading.running(pairs)))


_RUNNING = [
    ("[core]\nfsmonitor = ./x", "core.fsmonitor"),
    ("[CORE]\nFsMonitor = ./x", "core.fsmonitor"),
    ("[core]\nhooksPath = x", "core.hookspath"),
    ("[core]\nsshCommand = x", "core.sshcommand"),
    ("[core]\npager = x", "core.pager"),
    ("[core]\neditor = x", "core.editor"),
    ("[core]\naskPass = x", "core.askpass"),
    ("[core]\ngitProxy = x", "core.gitproxy"),
    ("[core]\nattributesFile = x", "core.attributesfile"),
    ("[sequence]\neditor = x", "sequence.editor"),
    ("[pager]\nstatus = x", "pager.status"),
    ('[filter "a.b"]\nclean = x', "filter.a.b.clean"),
    ('[filter "a"]\nsmudge = x', "filter.a.smudge"),
    ("[filter.a]\nprocess = x", "filter.a.process"),
    ("[diff]\nexternal = x", "diff.external"),
    ('[diff "a"]\ntextconv = x', "diff.a.textconv"),
    ('[diff "a"]\ncommand = x', "diff.a.command"),
    ('[merge "a"]\ndriver = x', "merge.a.driver"),
    ('[mergetool "a"]\ncmd = x', "mergetool.a.cmd"),
    ("[credential]\nhelper = x", "credential.helper"),
    ('[credential "https://x"]\nhelper = !x', "credential.https://x.helper"),
    ("[alias]\nst = !x", "alias.st"),
    ("[gpg]\nprogram = x", "gpg.program"),
    ('[gpg "ssh"]\nprogram = x', "gpg.ssh.program"),
    ('[gpg "ssh"]\ndefaultKeyCommand = x', "gpg.ssh.defaultkeycommand"),
    ("[include]\npath = x", "include.path"),
    ('[includeIf "gitdir:/"]\npath = x', "includeif.gitdir:/.path"),
    ('[remote "o"]\nuploadpack = x', "remote.o.uploadpack"),
    ('[remote "o"]\nreceivepack = x', "remote.o.receivepack"),
    ('[remote "o"]\nurl = ext::sh -c x', "remote.o.url"),
    ('[url "ext::x"]\ninsteadOf = a', "url.ext::x.insteadof"),
    ('[submodule "s"]\nupdate = !x', "submodule.s.update"),
    ("[init]\ntemplateDir = x", "init.templatedir"),
    ("[protocol]\nallow = always", "protocol.allow"),
    ("[gc]\nrecentObjectsHook = x", "gc.recentobjectshook"),
    ('[hook "a"]\ncommand = x\nevent = pre-commit', "hook.a.command"),
    ("[uploadpack]\npackObjectsHook = x", "uploadpack.packobjectshook"),
    ("[interactive]\ndiffFilter = x", "interactive.difffilter"),
    ("[sendemail]\nsmtpServer = /x", "sendemail.smtpserver"),
    ("[x]\nsomeNewCommand = x", "x.somenewcommand"),
]


@pytest.mark.parametrize(("content", "key"), _RUNNING, ids=[key for _, key in _RUNNING])
def test_settings_that_run_something_are_named(content: str, key: str) -> None:
    assert not git_reading.is_plain(content.encode())
    assert key in keys(content.encode())


_HARMLESS = """
[core]
    repositoryformatversion = 0
    filemode = true
    bare = false
    logallrefupdates = true
    fsmonitor = true
    hookversion = 2
[user]
    name = A
[remote "origin"]
    url = https://host.example/a.git
    fetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
    remote = origin
    merge = refs/heads/main
[submodule "s"]
    active = true
    url = ../s
    update = rebase
[alias]
    st = status --short
[pager]
    log = false
[http]
    proxyAuthMethod = basic
"""


def test_settings_that_run_nothing_are_not() -> None:
    assert keys(_HARMLESS.encode()) == []


def test_a_plain_configuration_needs_no_git() -> None:
    plain = _HARMLESS.partition("[alias]")[0].replace("    fsmonitor = true\n", "").replace("    hookversion = 2\n", "")
    assert git_reading.is_plain(plain.replace("    update = rebase\n", "").encode())
    assert git_reading.is_plain(b"")


@pytest.mark.parametrize("content", [b"[core", b'[core]\nx = "a', b"no section", b"[core]\n\x00bad"])
def test_what_git_cannot_read_is_no_configuration(content: bytes) -> None:
    assert git_reading.read(_TOOLS, content) is None


@people.needs_root
def test_git_runs_nothing_and_includes_nothing_and_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it stands in a repository that is armed."""
    mark = tmp_path / "ran"
    (tmp_path / "include").write_text("[core]\neditor = x\n")
    armed = f"[core]\nfsmonitor = touch {mark}\npager = touch {mark}\n[include]\npath = {tmp_path}/include\n"
    (tmp_path / ".git/objects").mkdir(parents=True)
    (tmp_path / ".git/refs").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git/config").write_text(armed)
    monkeypatch.chdir(tmp_path)
    assert keys(armed.encode()) == ["core.fsmonitor", "core.pager", "include.path"]
    assert not mark.exists()


_TEXT = st.binary(max_size=20).filter(lambda value: b"\0" not in value and b"\r" not in value)
_PAIRS = st.lists(
    st.tuples(
        st.sampled_from([b"core.editor", b"a.b", b"filter.x y.clean", b'url.q"\\.insteadof', b"a.b.c.d"]),
        st.one_of(st.none(), _TEXT),
    ),
    max_size=6,
)


@given(_PAIRS)
def test_what_is_written_is_read_again_as_it_was(pairs: list[git_reading.Pair]) -> None:
    assert git_reading.read(_TOOLS, git_reading.written(pairs)) == pairs


@given(st.binary(max_size=200))
def test_whatever_git_reads_in_a_plain_configuration_runs_nothing(content: bytes) -> None:
    if git_reading.is_plain(content):
        pairs = git_reading.read(_TOOLS, content)
        assert not git_reading.running(pairs or [])
