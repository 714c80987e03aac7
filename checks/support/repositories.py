"""Repositories of alice's with one of each path that is protected by default, and ways to see whether they changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import pytest

from support.commands import as_user
from support.installed import demo, home

# Planted code writes here that it ran. No session can write it.
TRAP: Final = "planted-code-ran"

# A program that reports that it ran, made by the owner: her own hooks still run.
OWN: Final = "own-hook-ran"

# Makes alice's repositories for the attempts, all below the current directory.
FORTRESS: Final = r"""
set -eu
git config --global protocol.file.allow always
hook() {
  printf '#!/bin/sh\necho hook >>"$HOME/own-hook-ran"\n' >"$1/pre-commit"
  chmod +x "$1/pre-commit"
}
repository() {
  git init --quiet "$1"
  (cd "$1"; echo file >file; git add file; git commit --quiet --message Begin; hook .git/hooks)
}
repository ../part
git -C ../part branch side
repository ../origin
repository inner
repository deep/er/est
git submodule --quiet add ../part lib
hook .git/modules/lib/hooks
git config extensions.worktreeConfig true
git config --worktree core.logAllRefUpdates true
git worktree add --quiet tree
git -C tree config --worktree core.logAllRefUpdates true
git remote add local ../origin
hook .git/hooks
printf 'inner\ndeep\ntree\n' >.gitignore
git add .gitignore
git commit --quiet --no-verify --message 'With a submodule'
echo 'echo direnv' >.envrc
mkdir -p .vscode .idea .pi/extensions .husky
echo '{}' >.vscode/tasks.json
echo '<a/>' >.idea/workspace.xml
echo 'export {}' >.pi/extensions/own.ts
echo 'npm test' >.husky/pre-commit
echo '{}' >checks.code-workspace
git add .
git commit --quiet --no-verify --message 'With what runs by itself'
for number in 1 2; do
  echo $number >number
  git add number
  git commit --quiet --no-verify --message "Number $number"
done
rm -f ~/own-hook-ran
"""

PROTECTED: Final = (
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/worktrees/tree/config.worktree",
    ".git/modules/lib/hooks",
    ".git/modules/lib/config",
    "lib/.git",
    "tree/.git",
    "inner/.git/hooks",
    "inner/.git/config",
    "deep/er/est/.git/hooks",
    "deep/er/est/.git/config",
    ".envrc",
    ".vscode",
    ".idea",
    ".pi",
    ".husky",
    "checks.code-workspace",
)


def snapshot(path: Path) -> dict[str, object]:
    """Everything that can be known about what is at path and below it, except access times."""
    found: dict[str, object] = {}
    for directory, directories, files in os.walk(path.parent if not path.is_dir() else path):
        for name in [".", *directories, *files]:
            there = Path(directory, name)
            if path.is_dir() or there == path:
                found[str(there)] = _facts(there)
    return found


def _facts(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content: bytes | str = b""
    if stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns, content)


def on_host(script: str, cwd: Path | str | None = None, user: str = "alice") -> str:
    """Run a script as the user on the host, and return its output."""
    return as_user(user, "bash", "-c", script, cwd=cwd, timeout=120).ok().text


@pytest.fixture
def fortress() -> Path:
    """A repository of alice's with one of each path that is protected by default."""
    on_host(FORTRESS)
    return demo("alice")


def assert_nothing_planted_runs(*repositories: Path) -> None:
    """Work in each repository on the host as its user does, and check that only her own hooks ran."""
    for repository in repositories:
        on_host(
            "git status; git add -A; git commit --quiet --allow-empty --message 'By herself'; git log -1;"
            "git switch --quiet -c by-herself; git diff HEAD~1; git gc --quiet",
            repository,
        )
    assert not (home("alice") / TRAP).exists()
