"""Attempts to change or replace a path of the project. A script makes each of them inside, and reports which succeed.

A denial proves something only if the same attempt succeeds on an ordinary path: see POSSIBLE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from support.commands import inside

PATIENCE: Final = 120.0

# Makes each attempt on the path $1 in a shell of its own, and prints what succeeded, and on what. Also tries the
# directories above, up to $2. $3: a copy to restore after each attempt, if they may succeed.
ATTEMPTS: Final = r"""
path=$1 above=$(dirname "$1") copy=${3-}
attempt() { # NAME SCRIPT TARGET
  (set -e; eval "$2") >/dev/null 2>&1 </dev/null && echo "$1 $3"
  rm -rf /tmp/new .new-file .new-directory .moved .hard 2>/dev/null
  echo planted >.new-file; mkdir .new-directory; echo planted >.new-directory/file
  test -z "$copy" || { rm -rf -- "$above"; mkdir -p -- "$above"; cp -a -- "$copy" "$path"; }
}
on() {
  t=$1
  attempt rename 'mv -T "$t" .moved' "$t"
  attempt rename-across 'python3 -c "import os, sys; os.rename(sys.argv[1], sys.argv[2])" "$t" "$HOME/moved"' "$t"
  attempt exchange 'mv --exchange -T .new-file "$t"' "$t"
  attempt exchange-directory 'mv --exchange -T .new-directory "$t"' "$t"
  attempt symlink-over 'ln -sfT /tmp "$t"' "$t"
  attempt symlink-renamed-over 'ln -s /tmp .hard; mv -fT .hard "$t"' "$t"
  attempt mount-over 'mount --bind .new-directory "$t" || mount --bind .new-file "$t"' "$t"
  attempt unmount 'umount "$t" || umount -l "$t"' "$t"
  attempt remount 'mount -o remount,bind,rw "$t"' "$t"
}
unchangeable() {
  on "$1"
  attempt chmod 'chmod 0777 "$t"' "$t"
  attempt touch 'touch "$t"' "$t"
  attempt attribute 'python3 -c "import os, sys; os.setxattr(sys.argv[1], \"user.checks\", b\"1\")" "$t"' "$t"
  attempt chown 'chown --no-dereference 65534 "$t"' "$t"
}
file() {
  unchangeable "$1"
  attempt append 'echo planted >>"$t"' "$t"
  attempt truncate ': >"$t"' "$t"
  attempt truncate-by-path 'truncate --size 0 "$t"' "$t"
  attempt read-write-open 'echo planted 1<>"$t"' "$t"
  attempt rename-over 'mv -fT .new-file "$t"' "$t"
  attempt copy-over 'cp --remove-destination .new-file "$t"' "$t"
  attempt link-over 'ln -fT .new-file "$t"' "$t"
  attempt unlink 'rm -f "$t"; test ! -e "$t"' "$t"
  attempt link-out 'ln -T "$t" .hard && echo planted >>.hard' "$t"
  attempt link-out-home 'ln -T "$t" ~/.hard' "$t"
  attempt reopen 'exec 3<"$t"; echo planted >>/proc/self/fd/3' "$t"
  attempt in-place 'sed -i s/./x/ "$t"' "$t"
}
directory() {
  unchangeable "$1"
  attempt create 'echo planted >"$t/planted"' "$t"
  attempt create-directory 'mkdir "$t/planted"' "$t"
  attempt rename-in 'mv -T .new-file "$t/planted"' "$t"
  attempt link-in 'ln -T .new-file "$t/planted"' "$t"
  attempt symlink-in 'ln -sT /tmp "$t/planted"' "$t"
  attempt remove 'rm -rf "$t"; test ! -e "$t"' "$t"
  attempt by-descriptor 'exec 3<"$t"; echo planted >/proc/self/fd/3/planted' "$t"
  attempt from-below 'cd "$t" && echo planted >planted' "$t"
}
attempt start 'false' ''
test -e "$path" || { echo "$path is not there to be attacked"; exit 1; }
if test -d "$path"; then
  directory "$path"
  while IFS= read -r below; do
    if test -d "$below"; then directory "$below"; else file "$below"; fi
  done < <(find "$path" -mindepth 1 | head -n 4)
else
  file "$path"
fi
while test "$above" != . && test "$above" != "$2"; do
  on "$above"
  above=$(dirname "$above")
done
rm -rf .new-file .new-directory .moved .hard
"""

# What each attempt does to an ordinary path of the project. Without this, its denial would prove nothing.
_OF_EITHER: Final = {"rename", "exchange", "exchange-directory", "chmod", "touch", "attribute"}
POSSIBLE: Final = {
    "file": {
        *_OF_EITHER,
        *("symlink-over", "symlink-renamed-over", "append", "truncate", "truncate-by-path", "read-write-open"),
        *("rename-over", "copy-over", "link-over", "unlink", "link-out", "reopen", "in-place"),
    },
    "directory": {
        *_OF_EITHER,
        *("create", "create-directory", "rename-in", "link-in", "symlink-in", "remove", "by-descriptor", "from-below"),
    },
}
# Attempts that succeed on no path inside, and why.
IMPOSSIBLE: Final = {
    "chown": "the system call filter",
    "link-out-home": "the state is another mount",
    "rename-across": "the state is another mount",
    "mount-over": "nobody mounts",
    "remount": "nobody mounts",
    "unmount": "nobody mounts",
}
NAMES: Final = frozenset(re.findall(r"^ +attempt ([\w-]+) '", ATTEMPTS, re.MULTILINE))


def made(path: str, copy: str) -> set[str]:
    """The attempts that succeed on a path of alice's project, which is restored from copy after each."""
    said = inside(ATTEMPTS, path, ".", copy, timeout=PATIENCE).ok().text
    pairs = (line.partition(" ") for line in said.splitlines())
    return {name for name, _, target in pairs if target == path}


def made_in_one_session(paths: Mapping[str, str]) -> dict[str, str]:
    """One session's report of attempts on paths of alice's project and on those above, up to a directory each."""
    script = (
        'attempts=$1; shift; for pair; do echo "= $pair"; bash -c "$attempts" attempts ${pair%:*} ${pair##*:}; done'
    )
    pairs = (f"{path}:{top}" for path, top in paths.items())
    said = inside(script, ATTEMPTS, *pairs, timeout=PATIENCE).ok().text
    return {part.partition(":")[0].strip(): part.partition("\n")[2].strip() for part in said.split("= ")[1:]}


# What an agent could leave for the user's next command, in every place that it can reach.
PLANT: Final = r"""
code='#!/bin/sh
touch "$HOME/planted-code-ran"
'
for git in .git .git/modules/lib inner/.git deep/er/est/.git; do
  for name in pre-commit post-commit post-checkout reference-transaction post-index-change pre-auto-gc; do
    printf '%s' "$code" >"$git/hooks/$name"
    chmod +x "$git/hooks/$name"
  done
  printf '%s' "$code" >/tmp/code; chmod +x /tmp/code; cp /tmp/code "$PWD/code"
  printf '[core]\n\thooksPath = %s\n\tfsmonitor = %s\n\tpager = %s\n' "$PWD" "$PWD/code" "$PWD/code" >>"$git/config"
  git --git-dir="$git" config core.fsmonitor "$PWD/code"
  git --git-dir="$git" config --worktree core.fsmonitor "$PWD/code"
  git --git-dir="$git" config alias.status "!$PWD/code"
  git --git-dir="$git" config include.path "$PWD/evil"
  mv "$git" "$git.old"; cp -r "$git.old" "$git"
  mv "$git/hooks" "$git/old"; cp -r "$git/old" "$git/hooks"
  mkdir "$git/hooks"; cp /tmp/code "$git/hooks/post-commit"
done 2>/dev/null
ln -sfT "$PWD/evil" .git/config
rm -f lib/.git; cp -r .git/modules/lib lib/.git; cp code lib/.git/hooks/post-commit
mkdir -p evil/hooks; cp code evil/hooks/post-commit
true
"""
