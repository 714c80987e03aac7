"""Files of a project that the host runs by itself: the agent reads them and cannot change, replace or move them.

Each attempt is made inside, on its own; afterwards the host looks whether anything of the file has changed, and works
in the repository as its user does, to see that nothing which was planted runs.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

import pytest

from scenarios.guest import IDLE, as_user, demo, home, inside, policy, session

# Planted code says here that it ran; no session can.
TRAP: Final = "planted-code-ran"
# A program that tells, made by the owner: her own hooks still run.
OWN: Final = "own-hook-ran"

# Makes the repositories of alice that the attempts are made on, all below the current directory.
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

# Each attempt on the path $1 in a shell of its own; what succeeded is printed. The project is put back by fixtures.
ATTEMPTS: Final = r"""
path=$1
attempt() { # NAME SCRIPT TARGET
  (set -e; eval "$2") >/dev/null 2>&1 </dev/null && echo "$1 $3"
  rm -rf /tmp/new .new-file .new-directory .moved .hard 2>/dev/null
  echo planted >.new-file; mkdir .new-directory; echo planted >.new-directory/file
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
above=$(dirname "$path")
while test "$above" != . && test "$above" != "$2"; do
  on "$above"
  above=$(dirname "$above")
done
rm -rf .new-file .new-directory .moved .hard
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
    """All that can be told of what is at path and below it, but for times of access."""
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
    """Run a script as the user on the host and return what it prints."""
    return as_user(user, "bash", "-c", script, cwd=cwd, timeout=120).ok().text


@pytest.fixture
def fortress() -> Path:
    """A repository of alice's with one of each path that is protected by default."""
    on_host(FORTRESS)
    return demo("alice")


def assert_nothing_planted_runs(*repositories: Path) -> None:
    """Work in each repository on the host as its user does, and see that only her own hooks ran."""
    for repository in repositories:
        on_host(
            "git status; git add -A; git commit --quiet --allow-empty --message 'By herself'; git log -1;"
            "git switch --quiet -c by-herself; git diff HEAD~1; git gc --quiet",
            repository,
        )
    assert not (home("alice") / TRAP).exists()


def work_tree(path: str) -> str:
    """The repository of FORTRESS that a protected path belongs to, relative to the project; empty for the project's."""
    return next((name for name in ("inner", "deep/er/est", "lib", "tree") if path.startswith(f"{name}/")), "")


@pytest.mark.parametrize("path", PROTECTED)
def test_no_attempt_changes_or_replaces(path: str, fortress: Path) -> None:
    before = snapshot(fortress / path)
    assert before
    result = inside(ATTEMPTS, path, work_tree(path) or ".", timeout=120).ok()
    assert result.text == "", result.text
    assert snapshot(fortress / path) == before
    # It is there to be read all the same.
    inside('find "$1" -type f -exec cat {} + >/dev/null', path).ok()


@pytest.mark.parametrize("path", PROTECTED)
def test_the_same_is_allowed_beside_it(path: str, fortress: Path) -> None:
    beside = "beside/one"
    on_host('mkdir beside; cp -r "$0" beside/one'.replace("$0", path), fortress)
    result = inside(ATTEMPTS, beside, ".", timeout=120)
    done = {line.split()[0] for line in result.text.splitlines()}
    assert {"chmod", "touch", "symlink-over"} & done, result.text
    assert {"rename", "exchange", "exchange-directory"} & done
    assert not {"mount-over", "unmount", "remount"} & done


def test_the_host_sees_nothing_of_the_protection(fortress: Path) -> None:
    before = snapshot(fortress)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    with session("alice", "pi-probe", *IDLE):
        assert snapshot(fortress) == before
        there = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        assert [path for path in there if path.startswith(str(home("alice")))] == []
        on_host("git config checks.mine 1; echo more >>.envrc; mv inner moved; git commit --quiet --allow-empty -m x")
    assert len(Path("/proc/self/mountinfo").read_text().splitlines()) == len(mounts)


def test_removing_everything_that_can_be_removed_leaves_what_is_protected(fortress: Path) -> None:
    protected = [path for path in PROTECTED if (fortress / path).exists()]
    before = {path: snapshot(fortress / path) for path in protected}
    inside("chmod -R u+rwx . ; rm -rf ./* ./.[!.]* ; git init; git config core.hooksPath /tmp; true", timeout=60).ok()
    assert not (fortress / "README").exists()
    assert {path: snapshot(fortress / path) for path in protected} == before


# What an agent could leave for the user's next command; each in whatever place it can reach.
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


def test_a_commit_on_the_host_runs_nothing_that_the_agent_tried_to_plant(fortress: Path) -> None:
    inside(PLANT, timeout=60)
    assert_nothing_planted_runs(fortress, fortress / "inner", fortress / "deep/er/est", fortress / "lib")
    # Her own hooks did run, so that planted ones would have.
    assert (home("alice") / OWN).read_text() == "hook\n" * 4


def test_the_trap_would_catch_a_planted_hook(fortress: Path) -> None:
    # What is not there yet is not protected: nothing is created to protect it.
    on_host("git init --quiet --template= bare-bones", fortress)
    inside(
        "mkdir .git/hooks; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' >.git/hooks/post-commit;"
        "chmod +x .git/hooks/post-commit",
        cwd=fortress / "bare-bones",
    ).ok()
    with pytest.raises(AssertionError):
        assert_nothing_planted_runs(fortress / "bare-bones")


@pytest.mark.xfail(strict=True, reason="a file .git/commondir has git take hooks and settings from elsewhere")
def test_a_new_commondir_does_not_redirect_git(fortress: Path) -> None:
    inside(
        "cp -r .git evil; mkdir -p evil/hooks; rm -rf evil/hooks evil/config;"
        "mkdir evil/hooks; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' >evil/hooks/post-commit;"
        "chmod +x evil/hooks/post-commit; cp .git/config evil/config; echo ../evil >.git/commondir"
    )
    on_host("git commit --quiet --allow-empty --message 'By herself' || true")
    assert not (home("alice") / TRAP).exists()


@pytest.mark.xfail(strict=True, reason="the directory of a nested repository is no mount point and can be replaced")
def test_a_nested_repository_as_a_whole_cannot_be_replaced(fortress: Path) -> None:
    inside(
        "mv inner moved; cp -r moved inner; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' "
        ">inner/.git/hooks/post-commit;"
        "chmod +x inner/.git/hooks/post-commit"
    )
    assert_nothing_planted_runs(fortress / "inner")


def test_moving_a_nested_repository_takes_its_protection_along(fortress: Path) -> None:
    before = snapshot(fortress / "inner/.git/hooks")
    inside("mv inner other; ! touch other/.git/hooks/planted; ! mv other/.git other/git; ! rm other/.git/config").ok()
    moved = snapshot(fortress / "other/.git/hooks")
    assert list(moved.values()) == list(before.values())


def test_the_directories_between_the_root_and_the_working_directory_cannot_be_replaced(fortress: Path) -> None:
    on_host("mkdir -p deep/er/place; echo x >deep/.envrc; echo y >deep/er/place/.envrc", fortress)
    cwd = fortress / "deep/er/place"
    for path in ("../../.envrc", ".envrc"):
        assert inside('echo x >>"$1" || mv "$1" x || rm "$1"', path, cwd=cwd).status != 0
    assert inside("cd ../..; mv er re || mv place elsewhere || mv ../deep ../shallow", cwd=cwd).status != 0
    assert (cwd / ".envrc").read_text() == "y\n"
    inside("cd ..; touch free; mv free freed; mkdir d; mv d e", cwd=cwd).ok()


# -- grants


@pytest.mark.parametrize(
    "script",
    [
        'echo new >new; git add new; git commit --quiet --no-verify -m new; test -z "$(git status --short)"',
        "git log --oneline --all | grep -q Begin; git show HEAD:file || git show HEAD:README",
        "git branch other; git switch --quiet other; git switch --quiet -; git branch -d other",
        "git switch --quiet -c fresh; git commit --quiet --no-verify --allow-empty -m x; git switch --quiet -",
        "git fetch --quiet ../origin && git fetch --quiet local; git rev-parse local/main FETCH_HEAD",
        "git worktree add --quiet --detach second; git -C second status; git worktree remove second",
        "git worktree add --quiet -b third third; git worktree list | grep -q third; git worktree remove third",
        "git submodule status; git -C lib log --oneline; git -C lib switch --quiet side; git submodule foreach git log",
        "git -C lib switch --quiet side; git -C lib commit --quiet --no-verify --allow-empty -m x; git add lib;"
        "git commit --quiet --no-verify -m lib; git -C lib fetch --quiet ../.git/modules/lib side",
        pytest.param(
            'git -C lib switch --quiet side; git submodule update; test -z "$(git status --short)"',
            marks=pytest.mark.xfail(
                strict=True, reason="git writes core.worktree anew into the submodule's settings at every update"
            ),
        ),
        "git gc --quiet; git fsck",
        "echo x >>README; git stash --quiet; git stash pop --quiet; git diff --stat | grep -q README; git stash list",
        "git switch --quiet -c topic HEAD~1; echo t >t; git add t; git commit --quiet --no-verify -m t;"
        "git rebase --quiet main; git log --oneline",
        "git commit --quiet --no-verify --amend --no-edit; git reset --quiet --soft HEAD~1; git tag v1; git tag -d v1",
        "git switch --quiet -c m HEAD~1; git commit --quiet --no-verify --allow-empty -m m; "
        "git merge --quiet --no-verify -m merged main",
        "git -C inner commit --quiet --no-verify --allow-empty -m x; git -C deep/er/est gc --quiet",
        "git -C tree commit --quiet --no-verify --allow-empty -m 'in a worktree'; git -C tree log --oneline",
        "git commit --quiet --allow-empty -m 'with the hooks of the user'",
        "git clone --quiet . /tmp/copy; cd /tmp/copy; git commit --quiet --allow-empty -m x",
        "git clone --quiet . copy; cd copy; echo x >x; git add x; git commit --quiet -m x; git config checks.mine 1;"
        "git push --quiet origin HEAD:refs/heads/pushed",
        "git init --quiet made; cd made; git config checks.mine 1; touch .git/hooks/mine; git remote add a ..",
        "echo x >>README; mv README r; mkdir -p x/y; mv r x/y; rm -r x; chmod 600 file 2>/dev/null || true",
        "touch .gitattributes; echo x >.env; mkdir .github; echo x >package.json; mv .github .gh",
        "git bisect start; git bisect bad; git bisect good HEAD~2; git bisect reset; git cherry-pick --abort || true",
    ],
)
def test_everyday_work_goes_on(script: str, fortress: Path) -> None:
    result = inside(f"set -e; {script}", timeout=120, cwd=fortress)
    # From the outer root the remotes beside the project are there too.
    if "../origin" in script or "fetch" in script:
        result = inside(f"set -e; cd demo; {script}", timeout=120, cwd=home("alice") / "p")
    result.ok()
    assert on_host("git fsck --connectivity-only --no-dangling; git status --short >/dev/null; echo whole") == "whole"


@pytest.mark.parametrize(
    "script",
    [
        "git config checks.mine 1",
        "git config --local core.hooksPath evil",
        "git config --worktree core.fsmonitor evil",
        "git remote add other ..",
        "git branch -m main other",
        "git -C inner config core.fsmonitor evil",
        "git -C lib config core.fsmonitor evil",
        "git -C tree config core.fsmonitor evil",
    ],
)
def test_what_would_change_the_settings_of_a_repository_fails_and_harms_nothing(script: str, fortress: Path) -> None:
    before = {path: snapshot(fortress / path) for path in PROTECTED}
    refused = inside(script)
    assert refused.status != 0
    assert "config" in refused.complaint
    assert {path: snapshot(fortress / path) for path in PROTECTED} == before
    assert on_host("git fsck --connectivity-only --no-dangling; git status >/dev/null; echo whole") == "whole"


# -- shapes of repositories


def names(path: Path) -> set[str]:
    """Everything at and below path, by name."""
    return {str(Path(directory, name)) for directory, subs, files in os.walk(path) for name in [*subs, *files]}


def test_nothing_is_created_in_a_project_to_protect_it() -> None:
    on_host("mkdir ../none ../bare; git init --quiet --template= ../empty; rm ../empty/.git/config")
    for name in ("none", "bare", "empty"):
        place = home("alice") / "p" / name
        before = names(place)
        with session("alice", "pi-probe", *IDLE, cwd=place):
            assert names(place) == before
        assert names(place) == before


@pytest.fixture
def linked() -> Path:
    """A project whose `.git` is a link to a directory in it."""
    on_host("mkdir store; mv .git store/git; ln -s store/git .git; git status")
    return demo("alice")


def test_a_git_directory_behind_a_link_is_protected_where_it_is(linked: Path) -> None:
    before = snapshot(linked / "store/git/hooks")
    inside("git commit --quiet --no-verify --allow-empty -m inside").ok()
    for path in (".git", "store/git"):
        script = 'echo x >>"$1/config" || touch "$1/hooks/planted" || mv "$1/hooks" "$1/old" || mv "$1/config" "$1/c"'
        assert inside(script, path).status != 0, path
    assert inside("mv store/git store/other").status != 0
    assert snapshot(linked / "store/git/hooks") == before


def test_a_link_to_a_git_directory_cannot_be_replaced(linked: Path) -> None:
    assert inside("rm -f .git && mkdir .git || mv -T .git old || ln -sfT evil .git").status != 0
    assert os.readlink(linked / ".git") == "store/git"


def test_a_directory_above_what_a_link_leads_to_cannot_be_replaced(linked: Path) -> None:
    assert inside("mv store away && mkdir -p store/git/hooks").status != 0
    assert (linked / "store/git/config").exists()


@pytest.mark.parametrize("name", [".envrc", ".vscode", ".pi"])
def test_a_protected_link_cannot_be_replaced(name: str) -> None:
    target = "shared-file" if name == ".envrc" else "shared-directory"
    on_host(f"echo x >shared-file; mkdir shared-directory; ln -s {target} {name}")
    assert inside(f"rm {name} && echo planted >{name}").status != 0
    assert inside(f"mv -T {name} moved || ln -sfT README {name}").status != 0
    assert os.readlink(demo("alice") / name) == target


def test_hooks_behind_a_link_are_protected_where_they_are(fortress: Path) -> None:
    on_host("mv .git/hooks scripts; ln -s ../scripts .git/hooks; git commit --quiet --allow-empty -m x", fortress)
    before = snapshot(fortress / "scripts")
    for path in (".git/hooks", "scripts"):
        assert inside('touch "$1/planted" || echo x >>"$1/pre-commit"', path).status != 0
    assert inside("mv scripts other").status != 0
    assert snapshot(fortress / "scripts") == before


@pytest.mark.parametrize(
    "target", ["/etc", "../../..", "/home/bob", "nowhere", ".git", "hooks", "/home/alice/p/origin/.git/hooks"]
)
def test_hooks_that_lead_out_or_nowhere_do_not_keep_a_session_from_starting(target: str, fortress: Path) -> None:
    on_host(f"rm -rf .git/hooks; ln -s {target} .git/hooks", fortress)
    result = inside("echo started").ok()
    assert result.text == "started"
    assert os.readlink(fortress / ".git/hooks") == target


def test_git_files_of_all_kinds_do_not_keep_a_session_from_starting() -> None:
    for name, content in {"a": "gitdir: /nowhere", "b": "nonsense", "c": "", "d": "gitdir: ../../../../etc"}.items():
        on_host(f"mkdir {name}; printf '%s' '{content}' >{name}/.git")
        inside("echo started").ok()
        inside("echo started", cwd=demo("alice") / name).ok()
    for name, make in {"e": "mkfifo", "f": "ln -s .git", "g": "ln -s /home/bob", "h": "mkdir -m 000"}.items():
        on_host(f"mkdir {name}; {make} {name}/.git")
        assert inside("echo started", cwd=demo("alice") / name).ok().text == "started"
    on_host("chmod 700 h/.git")


@pytest.mark.parametrize("where", ["tree", "lib"])
def test_a_session_in_a_worktree_or_submodule_protects_its_repository_too(where: str, fortress: Path) -> None:
    before = {path: snapshot(fortress / path) for path in PROTECTED}
    cwd = fortress / where
    inside("git commit --quiet --no-verify --allow-empty -m inside; git log -1", cwd=cwd).ok()
    script = (
        'git config core.hooksPath /tmp || touch "$(git rev-parse --git-path hooks)/planted" || mv .git x || rm .git'
    )
    assert inside(script, cwd=cwd).status != 0
    after = {path: snapshot(fortress / path) for path in PROTECTED}
    assert after == before


@pytest.mark.parametrize("where", ["p", "p/demo", "p/demo/inner", "p/demo/deep/er", "p/demo/deep/er/est"])
def test_a_session_above_in_and_below_a_repository_protects_it(where: str, fortress: Path) -> None:
    before = {path: snapshot(fortress / path) for path in PROTECTED}
    relative = os.path.relpath(fortress, home("alice") / where)
    for path in (".git/hooks/planted", "inner/.git/hooks/planted", "deep/er/est/.git/hooks/planted", ".envrc"):
        assert inside('echo x >"$1"', f"{relative}/{path}", cwd=home("alice") / where).status != 0, path
    assert {path: snapshot(fortress / path) for path in PROTECTED} == before


def test_a_root_without_a_repository_is_a_project_like_any_other() -> None:
    place = home("alice") / "p" / "plain"
    on_host("mkdir ../plain; echo x >../plain/.envrc")
    result = inside("git status 2>&1; touch ok; echo x >>.envrc || echo denied", cwd=place).ok()
    assert "not a git repository" in result.text
    assert result.text.endswith("denied")
    assert (place / "ok").exists()


def test_hundreds_of_nested_repositories_are_protected_and_keep_nobody_waiting() -> None:
    on_host(
        "for number in $(seq 300); do mkdir -p many/$((number % 20))/$number;"
        "  (cd many/$((number % 20))/$number; mkdir -p .git/hooks .git/objects .git/refs; echo 'ref: x' >.git/HEAD;"
        "  echo >.git/config; echo >.envrc); done"
    )
    began = time.monotonic()
    script = (
        "denied=0; for path in many/*/*/.git/hooks; do touch $path/planted 2>/dev/null || denied=$((denied + 1)); done;"
        "for path in many/*/*/.envrc many/*/*/.git/config; do"
        "  : 2>/dev/null >>$path || denied=$((denied + 1)); done; echo $denied"
    )
    assert inside(script, timeout=60).ok().text == "900"
    taken = time.monotonic() - began
    print(f"a session with 300 repositories took {taken:.1f} seconds")
    assert taken < 10


def test_many_empty_directories_do_not_hide_a_repository_from_its_protection() -> None:
    """A first session cannot exhaust the search of the next."""
    on_host("git init --quiet some/where; mkdir -p noise; cd noise; mkdir $(seq 2500)")
    on_host("mkdir -p $(printf 'a%04d ' $(seq 2500))")
    assert inside("touch some/where/.git/hooks/planted").status != 0


def test_what_changes_meanwhile_never_keeps_a_session_from_starting(fortress: Path) -> None:
    """Another session tears at the same repository while sessions start."""
    tear = (
        "echo ready; while read -t 0 2>/dev/null; test ! -e stop; do mkdir -p nest/.git/hooks; echo >nest/.git/config;"
        "echo >nest/.envrc; mv nest tsen; ln -s /etc nest; rm nest; rm -rf tsen; done"
    )
    with session("alice", "pi-probe", "exec", "bash", "-c", tear, cwd=home("alice") / "p/demo"):
        for _ in range(20):
            assert inside("echo started").ok().text == "started"
        on_host("touch stop", fortress)


def test_the_defaults_protect_what_the_scenarios_try() -> None:
    patterns = set(policy("pi-probe")["sandbox"]["protectedPaths"])
    assert {".git/hooks", ".git/config", ".git/config.worktree", ".envrc", ".vscode", ".idea", ".pi"} <= patterns
