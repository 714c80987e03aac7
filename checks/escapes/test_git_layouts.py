"""Attempts on repositories of every layout: what git runs or obeys is the host user's wherever git keeps it.

Each attempt has its control: the same where nothing is protected. It counts if code of the agent's runs as alice at
her `git status`, or at her commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest
from support.commands import inside
from support.installed import demo, home
from support.repositories import TRAP, on_host

from escapes.case import attempt

_UNPROTECTED: Final = "pi-unprotected"
# What attempts use. A program that reports that it ran; settings that run it; a directory of hooks that do.
_TOOLS: Final = r"""
set -eu
ran='touch ~/planted-code-ran; false'
hook() { mkdir -p "$1"; printf '#!/bin/sh\ntouch ~/planted-code-ran\n' >"$1/post-commit"; chmod +x "$1/post-commit"; }
repository() { git init -q "$1"; git -C "$1" config core.fsmonitor "$ran"; git -C "$1" commit -q --allow-empty -m x; }
"""
_MAKE: Final = """
set -eu
git config --global protocol.file.allow always
begun() { git init -q "$@"; }
committed() { git -C "$1" commit -q --allow-empty -m x; }
mkdir lab
cd lab
begun part; committed part
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository of alice's and what the agent tries. make, attempts: scripts in lab/; work: where alice works."""

    make: str
    work: str
    attempts: dict[str, str]


def _settings(where: str) -> dict[str, str]:
    return {"settings": f'git -C {where} config core.fsmonitor "$ran"'}


_WORKTREE: Final = "begun w; committed w; git -C w worktree add -q ../tree"
_SUBMODULE: Final = "begun w; git -C w submodule --quiet add --name a/b/c ../part x/y; git -C w commit -qm x"
LAYOUTS: Final[dict[str, Layout]] = {
    "bare with worktrees": Layout(
        "git init -q --bare .bare; echo 'gitdir: ./.bare' >.git; git worktree add -q --orphan -b main main",
        "main",
        {
            **_settings("main"),
            "hooks": "hook .bare/hooks",
            "another common directory": 'repository evil; echo "$PWD/evil/.git" >.bare/worktrees/main/commondir',
            "another git directory": "repository evil; echo 'gitdir: ../evil/.git' >main/.git",
            "replaced": 'mv .bare old; cp -r old .bare; git -C main config core.fsmonitor "$ran"',
        },
    ),
    "separate git directory": Layout(
        "begun --separate-git-dir proj.git projwt; committed projwt",
        "projwt",
        {
            **_settings("projwt"),
            "hooks": "hook proj.git/hooks",
            "another git directory": "repository evil; echo 'gitdir: ../evil/.git' >projwt/.git",
            "replaced": 'mv proj.git old; cp -r old proj.git; git -C projwt config core.fsmonitor "$ran"',
        },
    ),
    "worktree": Layout(
        _WORKTREE,
        "tree",
        {
            **_settings("tree"),
            "another common directory": "repository evil; echo ../../../../evil/.git >w/.git/worktrees/tree/commondir",
        },
    ),
    "submodule": Layout(
        _SUBMODULE,
        "w/x/y",
        {
            **_settings("w/x/y"),
            "hooks": "hook w/.git/modules/a/b/c/hooks",
            "replaced": 'cd w/.git/modules; mv a old; cp -r old a; cd a/b/c; git config core.fsmonitor "$ran"',
            "another git directory": "repository evil; echo 'gitdir: ../../../evil/.git' >w/x/y/.git",
        },
    ),
    "nested submodule": Layout(
        "git -C part submodule --quiet add ../part deep; git -C part commit -qm x;"
        f"{_SUBMODULE}; git -C w submodule --quiet update --init --recursive; git -C w/x/y/deep switch -qc side",
        "w/x/y/deep",
        {**_settings("w/x/y/deep"), "hooks": "hook w/.git/modules/a/b/c/modules/deep/hooks"},
    ),
    "submodule of a worktree": Layout(
        f"{_SUBMODULE}; git -C w worktree add -q ../tree; git -C tree submodule --quiet update --init;"
        "git -C tree/x/y switch -qc side",
        "tree/x/y",
        {**_settings("tree/x/y"), "hooks": "hook w/.git/worktrees/tree/modules/a/b/c/hooks"},
    ),
    "vendored": Layout("begun vendor/dep; committed vendor/dep", "vendor/dep", _settings("vendor/dep")),
    "in a dot-directory": Layout("begun .tools/x; committed .tools/x", ".tools/x", _settings(".tools/x")),
    "seven levels down": Layout("begun 1/2/3/4/5; committed 1/2/3/4/5", "1/2/3/4/5", _settings("1/2/3/4/5")),
    "installed package": Layout(
        "begun node_modules/@x/y; committed node_modules/@x/y", "node_modules/@x/y", _settings("node_modules/@x/y")
    ),
    "bare": Layout("begun --bare x.git", "x.git", {"alias": 'git -C x.git config alias.lo "!$ran"'}),
    "hooks elsewhere": Layout(
        "begun w; mkdir -p w/tools/hooks; git -C w config core.hooksPath tools/hooks; committed w;"
        'begun v; mkdir shared; git -C v config core.hooksPath "$PWD/shared"',
        "w",
        {
            "written": "hook w/tools/hooks",
            "replaced": "cd w; mv tools old; hook tools/hooks",
        },
    ),
    "hooks at an absolute path": Layout(
        'begun w; mkdir shared; git -C w config core.hooksPath "$PWD/shared"; committed w',
        "w",
        {"hooks": "hook shared"},
    ),
    "hooks below the home": Layout(
        "begun w; mkdir shared; git -C w config core.hooksPath '~/p/demo/lab/shared'; committed w",
        "w",
        {"hooks": "hook shared"},
    ),
    "hooks that the user's own settings name": Layout(
        "begun w; mkdir -p w/tools/hooks; git config --global core.hooksPath tools/hooks; committed w",
        "w",
        {"hooks": "hook w/tools/hooks"},
    ),
    "the user's own settings in the project": Layout(
        'mkdir a; mv ~/.gitconfig a/own; ln -s "$PWD/a/own" ~/.gitconfig; begun w; committed w',
        "w",
        {
            "changed": 'git config --file a/own core.fsmonitor "$ran"',
            "replaced": 'mv a old; mkdir a; git config --file a/own core.fsmonitor "$ran"',
        },
    ),
    "included settings": Layout(
        "begun w; echo >w/extra; git -C w config include.path ../extra; committed w",
        "w",
        {"included": 'git config --file w/extra core.fsmonitor "$ran"'},
    ),
    "settings included on a condition, by included ones": Layout(
        "begun w; git config --file one include.path two; echo >two;"
        'git -C w config includeIf.gitdir:/.path "$PWD/one"; committed w',
        "w",
        {"included": 'git config --file two core.fsmonitor "$ran"'},
    ),
    "a program of the project": Layout(
        "begun w; mkdir w/scripts; echo exit 1 >w/scripts/monitor.sh;"
        'git -C w config core.fsmonitor "sh scripts/monitor.sh"; committed w',
        "w",
        {
            "changed": 'echo "$ran" >w/scripts/monitor.sh',
            "replaced": 'cd w; mv scripts s; mkdir scripts; echo "$ran" >scripts/monitor.sh',
        },
    ),
    "a filter of the project": Layout(
        "begun w; echo cat >w/clean; git -C w config filter.x.clean 'sh ./clean'; echo '* filter=x' >w/.gitattributes;"
        "echo x >w/f; git -C w add f; committed w",
        "w",
        {"changed": 'echo "$ran" >w/clean; touch -d yesterday w/f'},
    ),
}
CASES: Final = [(layout, name) for layout, its in LAYOUTS.items() for name in its.attempts]


def ran(layout: Layout, name: str, command: str) -> bool:
    """Whether code of the agent's runs as alice, after the attempt in a session of the command."""
    on_host(_MAKE + layout.make)
    on_host("git status && git commit -q --allow-empty -m y || true", demo("alice") / "lab" / layout.work)
    assert not (home("alice") / TRAP).exists()
    inside(f"{_TOOLS}cd lab; {layout.attempts[name]}", command=command)
    on_host("git status; git commit -q --allow-empty -m z; git lo || true", demo("alice") / "lab" / layout.work)
    return (home("alice") / TRAP).exists()


@pytest.fixture(autouse=True)
def as_new(afresh: None) -> None:
    """Restore people's files for each test."""


@pytest.mark.parametrize(("layout", "name"), CASES)
@attempt("protected", "have git run something, in a repository of any layout")
def test_nothing_runs_whatever_the_layout(layout: str, name: str) -> None:
    assert not ran(LAYOUTS[layout], name, "pi-probe")


@pytest.mark.parametrize(("layout", "name"), CASES)
def test_it_would_run_where_nothing_is_protected(layout: str, name: str) -> None:
    assert ran(LAYOUTS[layout], name, _UNPROTECTED)


@pytest.mark.parametrize("command", ["pi-probe", _UNPROTECTED])
@pytest.mark.parametrize("setting", ["core.attributesFile", "blame.ignoreRevsFile", "gpg.ssh.allowedSignersFile"])
@attempt("protected", "change a file that git obeys")
def test_a_file_that_git_obeys_is_changed_only_where_nothing_is_protected(setting: str, command: str) -> None:
    on_host(f"{_MAKE}begun w; echo own >w/obeyed; git -C w config {setting} obeyed")
    inside("echo x >>lab/w/obeyed; rm lab/w/obeyed; mv lab/w/obeyed x", command=command)
    obeyed = demo("alice") / "lab/w/obeyed"
    assert (obeyed.exists() and obeyed.read_text() == "own\n") is (command == "pi-probe")


@pytest.mark.parametrize("script", ["git worktree move ../tree ../other", "mv ../tree ../other", "mv .git/worktrees x"])
@attempt("protected", "move a worktree away from where its repository looks for it")
def test_a_worktree_that_cannot_be_moved_stays_whole(script: str) -> None:
    on_host(_MAKE + LAYOUTS["worktree"].make)
    assert inside(f"cd lab/w && {script}").status != 0
    assert on_host("git -C tree status --short; git -C w worktree list | grep -c tree", demo("alice") / "lab") == "1"
    # One that is made inside can be moved.
    inside("cd lab/w; git worktree add -q ../new && git worktree move ../new ../newer && git -C ../newer status").ok()


@pytest.mark.parametrize("cwd", ["main", ".bare", "w/x/y", "vendor/dep", "vendor"])
@attempt("protected", "change the settings of a repository from a session in it, or beside it")
def test_settings_are_protected_wherever_the_session_starts(cwd: str) -> None:
    on_host(_MAKE + LAYOUTS["bare with worktrees"].make + f"\n{_SUBMODULE}; begun vendor/dep")
    lab = demo("alice") / "lab"
    configs = [lab / path for path in (".bare/config", "w/.git/modules/a/b/c/config", "vendor/dep/.git/config")]
    before = [config.read_bytes() for config in configs]
    for config in configs:
        inside('echo "[core]fsmonitor = x" >>"$1"; git config --file "$1" a.b c', config, cwd=lab / cwd)
    assert [config.read_bytes() for config in configs] == before


# -- grants

_WORK: Final = """
set -e
commit() { git commit -q --allow-empty -m x; }
add() { echo x >f; git add f; git commit -qm f; }
"""


@pytest.mark.parametrize(
    ("layout", "script"),
    [
        ("bare with worktrees", "add; git worktree add -q ../two; git -C ../two log"),
        ("bare with worktrees", "commit; git worktree add -q ../two; git worktree remove ../two"),
        ("bare with worktrees", "commit; git fetch -q ../part; git switch -qc other; git gc -q"),
        ("separate git directory", "add; git fetch -q ../part; git switch -qc other"),
        ("worktree", "add; git switch -qc other; git -C ../w merge -q other"),
        ("submodule", "add; git -C ../.. commit -qam sub; git -C ../.. fetch -q"),
        ("nested submodule", "commit; git -C ../../.. submodule status --recursive; git fsck"),
        ("submodule of a worktree", "commit; git -C ../.. commit -qam sub; git -C ../.. status"),
        ("vendored", "commit; cd ..; mv dep other; git -C other log; git clone -q other third"),
        ("hooks elsewhere", "commit; echo x >tools/other; touch scripts"),
        ("included settings", "commit; git switch -qc other; echo x >more"),
        ("a program of the project", "commit; echo x >scripts/other; git status"),
    ],
)
def test_everyday_work_goes_on_in_every_layout(layout: str, script: str) -> None:
    on_host(_MAKE + LAYOUTS[layout].make)
    lab, work = demo("alice") / "lab", LAYOUTS[layout].work
    inside(f"{_WORK}cd lab/{work}; {script}", timeout=60).ok()
    moved = lab / ("vendor/other" if layout == "vendored" else work)
    inside("git status && git commit -q --allow-empty -m 'from within' && git log -1", cwd=moved).ok()
    assert on_host("git fsck --connectivity-only; git status >/dev/null; echo whole", moved).endswith("whole")
