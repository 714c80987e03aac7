"""Secrets below an allowed root, which here is alice's whole home: inside, empty files and directories replace them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import demo, home, policy
from support.repositories import snapshot
from support.sessions import IDLE, session

from escapes.case import attempt


@pytest.fixture(autouse=True)
def as_new(afresh: None) -> None:
    """Restore people's files for each test."""


SECRET: Final = "the secret of alice"
# Paths that Pi or pi-agent reads on the host, so that they need a certain form.
FORMS: Final = {
    ".pi/.env": f"CHECKS_TOLD={SECRET}",
    ".pi/agent/.env": f"CHECKS_TOLD={SECRET}",
    ".pi/agent/auth.json": f'{{"checks": "{SECRET}"}}',
    ".pi/agent/mcp-auth.json": f'{{"checks": "{SECRET}"}}',
}
HIDDEN: Final[list[str]] = policy("pi-home")["sandbox"]["hiddenPaths"]

# Searches for the secret in every way: by name, by walking, by a link, as a whole directory.
LOOK: Final = r"""
cd /home/alice
for path in "$@"; do
  cat -- "$path" "$path"/* "$path"/.[!.]* 2>/dev/null
  test ! -d "$path" || ls -A -- "$path"
  test -d "$path" || test ! -s "$path" || echo "$path is not empty"
done
find . -xdev -type f -exec grep -l 'the secret of alice' {} + 2>/dev/null
grep -rl 'the secret of alice' . 2>/dev/null
tar -cf - . 2>/dev/null | grep -a 'the secret of alice'
true
"""

# Each attempt to remove the cover of $1. Reports success.
UNCOVER: Final = r"""
cd /home/alice
path=$1
attempt() { (eval "$1") >/dev/null 2>&1 && echo "$1"; rm -rf .moved; mkdir .moved.d 2>/dev/null; }
attempt 'mv -T "$path" .moved'
attempt 'rm -f "$path"; test ! -e "$path"'
attempt 'rm -rf "$path"; test ! -e "$path"'
attempt 'rmdir "$path"'
attempt 'mv --exchange -T .moved.d "$path"'
attempt 'ln -sfT /tmp "$path"'
attempt 'umount "$path"'
attempt 'umount -l "$path"'
attempt 'mount --bind / .moved.d'
attempt 'echo x >"$path"'
attempt 'echo x >"$path/planted"'
attempt 'chmod 777 "$path"'
attempt 'ln -T "$path" .hard'
attempt 'ls /proc/1/root/"$HOME/$path" && cat /proc/1/root/home/alice/"$path" | grep .'
above=$(dirname "$path")
while test "$above" != .; do
  attempt "mv -T '$above' .moved"
  attempt "mv --exchange -T .moved.d '$above'"
  above=$(dirname "$above")
done
rmdir .moved.d
"""


def put_secret(path: str, *, directory: bool) -> None:
    """Make path below alice's home a file with the secret, or a directory of such files."""
    make = (
        'mkdir -p "$1/sub"; echo "$2" >"$1/key"; echo "$2" >"$1/.key"; echo "$2" >"$1/sub/key"'
        if directory
        else 'mkdir -p "$(dirname "$1")"; echo "$2" >"$1"'
    )
    as_user("alice", "sh", "-euc", f"cd; {make}", "sh", path, FORMS.get(path, SECRET), cwd="/").ok()


@pytest.fixture(params=[True, False], ids=["even ones are directories", "odd ones are directories"])
def secrets(request: pytest.FixtureRequest) -> list[str]:
    """Every default hidden path of alice's, made to exist; half of them as directories."""
    on_machine("rm", "-rf", *(home("alice") / path for path in HIDDEN)).ok()
    for number, path in enumerate(HIDDEN):
        put_secret(path, directory=path not in FORMS and number % 2 == int(request.param))
    return HIDDEN


def look(*paths: str, cwd: Path | None = None) -> str:
    """What a thorough search in the sandbox finds of the secrets at paths."""
    return inside(LOOK, *paths, command="pi-home", cwd=cwd or home("alice"), timeout=120).ok().text


@attempt("hidden", "read a secret below a home that is the root")
def test_no_default_hidden_path_can_be_read(secrets: list[str]) -> None:
    assert look(*secrets) == ""
    # The same search finds them outside.
    assert SECRET in as_user("alice", "bash", "-c", LOOK, "script", *secrets, cwd="/", timeout=60).text


@attempt("hidden", "read it from a session of a project in that home")
def test_no_secret_comes_to_light_in_a_session_of_a_project_in_the_home(secrets: list[str]) -> None:
    assert look(*secrets, cwd=demo("alice")) == ""


@pytest.mark.parametrize(
    "path", [".ssh", ".netrc", ".config/gcloud", ".pi/agent/auth.json", ".local/share/fish/fish_history", ".mozilla"]
)
@attempt("hidden", "remove, move or unmount what hides a secret")
def test_nothing_uncovers_a_hidden_path(path: str) -> None:
    for directory in (False,) if path in FORMS else (True, False):
        on_machine("rm", "-rf", home("alice") / path).ok()
        put_secret(path, directory=directory)
        before = snapshot(home("alice") / path)
        result = inside(UNCOVER, path, command="pi-home", cwd=home("alice"))
        assert result.text == ""
        assert look(path) == ""
        assert snapshot(home("alice") / path) == before


def test_ordinary_files_of_the_home_are_there(secrets: list[str]) -> None:
    put_secret("notes/ordinary", directory=False)
    put_secret(".config/ordinary/file", directory=False)
    assert "ordinary" in look("notes").splitlines()
    inside(
        "echo more >>notes/ordinary; echo new >.config/ordinary/new; mkdir made", command="pi-home", cwd=home("alice")
    )
    assert (home("alice") / "notes/ordinary").read_text().endswith("more\n")
    assert (home("alice") / "made").is_dir()
    seen = inside("ls -A; cat p/demo/README", command="pi-home", cwd=home("alice")).ok().text
    assert {"notes", ".config", "p"} <= set(seen.split())


def test_nothing_of_the_home_is_different_during_and_after_a_session(secrets: list[str]) -> None:
    before = snapshot(home("alice"))
    with session("alice", "pi-home", *IDLE, cwd=home("alice")):
        assert snapshot(home("alice")) == before
    assert snapshot(home("alice")) == before
    mounts = Path("/proc/self/mountinfo").read_text()
    assert f" {home('alice')}" not in mounts


@pytest.mark.parametrize("target", ["vault/kept", "/home/alice/vault/kept", "vault/over", "./vault/../vault/kept"])
@pytest.mark.parametrize("directory", [True, False])
@attempt("hidden", "read a secret where its link leads")
def test_a_secret_behind_a_link_is_hidden_where_it_is(target: str, directory: bool) -> None:
    put_secret("vault/kept", directory=directory)
    as_user("alice", "sh", "-euc", 'cd; ln -s kept vault/over; rm -rf .aws; ln -s "$1" .aws', "sh", target).ok()
    assert look(".aws", "vault/kept", "vault/over") == ""
    assert inside(UNCOVER, "vault/kept", command="pi-home", cwd=home("alice")).text == ""
    # Otherwise the link would lead nowhere in the next session, and its target would be visible.
    assert look(".aws", "vault/kept", "vault/over") == ""


@pytest.mark.parametrize("order", [("aws", ".config"), ("netrc", ".pki"), ("zz", ".aws")])
@attempt("hidden", "read a secret by another name of its directory")
def test_a_secret_is_hidden_though_a_directory_above_it_is_covered_under_another_name(order: tuple[str, str]) -> None:
    """As when one directory holds all dotfiles and the home has links to them."""
    name, above = order
    put_secret(f"dotfiles/config/{name}", directory=True)
    put_secret("dotfiles/config/gcloud", directory=True)
    put_secret("dotfiles/config/rclone/rclone.conf", directory=False)
    links = f"rm -rf .config .aws .pki; ln -s dotfiles/config .config; ln -s dotfiles/config/{name} .aws"
    as_user("alice", "sh", "-euc", f"cd; {links}", cwd="/").ok()
    paths = ("dotfiles/config/gcloud", "dotfiles/config/rclone", ".config/gcloud", ".aws", f"dotfiles/config/{name}")
    assert look(*paths) == "", above


def test_links_that_lead_out_around_or_nowhere_do_not_keep_a_session_from_starting() -> None:
    script = (
        "cd; rm -rf .ssh .aws .kube .netrc .gnupg .pki .step; ln -s /etc .ssh; ln -s .aws .aws; ln -s ../bob .kube;"
        "ln -s /etc/shadow .netrc; ln -s nowhere .gnupg; ln -s .step .pki; ln -s .pki .step; mkfifo .pgpass;"
        "chmod 0 .pgpass"
    )
    as_user("alice", "sh", "-euc", script, cwd="/").ok()
    result = inside("echo started; test ! -e /home/bob; cat .netrc", command="pi-home", cwd=home("alice"))
    assert result.text == "started"


@attempt("hidden", "read a secret by opening a closed directory")
def test_what_its_owner_cannot_read_is_covered_all_the_same() -> None:
    put_secret(".config/gcloud", directory=True)
    put_secret(".pgpass", directory=False)
    as_user("alice", "sh", "-euc", "cd; chmod 0 .config/gcloud .pgpass", cwd="/").ok()
    try:
        script = "chmod -R 700 .config/gcloud .pgpass; cat .config/gcloud/key .pgpass"
        result = inside(script, command="pi-home", cwd=home("alice"))
        assert SECRET not in result.text
        # A directory further up without search permission: the agent could grant it.
        as_user("alice", "sh", "-euc", "cd; chmod 700 .config/gcloud; chmod 0 .config", cwd="/").ok()
        script = "chmod 700 .config 2>/dev/null; cat .config/gcloud/key"
        assert SECRET not in inside(script, command="pi-home", cwd=home("alice")).text
    finally:
        on_machine("chmod", "700", home("alice") / ".config", home("alice") / ".config/gcloud")


@contextmanager
def home_behind_a_link(user: str) -> Iterator[Path]:
    """The machine with another path for a user's home in its accounts, through a link of root's."""
    accounts = Path("/etc/passwd")
    before = accounts.read_text()
    place = home(user)
    named = Path("/checks-homes") / place.name
    named.parent.symlink_to(place.parent)
    try:
        accounts.write_text(before.replace(f":{place}:", f":{named}:"))
        yield named
    finally:
        accounts.write_text(before)
        named.parent.unlink()


@attempt("hidden", "read a secret of a home behind a link")
def test_secrets_are_hidden_also_where_the_home_is_named_by_a_link() -> None:
    put_secret(".config/gcloud", directory=True)
    with home_behind_a_link("alice"):
        assert str(home("alice")) == "/checks-homes/alice"
        seen = inside("pwd; cat .config/gcloud/key .ssh/id_ed25519", command="pi-home", cwd="/home/alice")
    assert seen.text.splitlines()[0] == "/home/alice"
    assert "secret" not in seen.text


def test_the_users_own_configuration_still_arrives() -> None:
    as_user("alice", "sh", "-c", 'echo "{\\"checks\\": \\"host\\"}" >~/.pi/agent/settings.json', cwd="/").ok()
    seen = inside('cat "$PI_CODING_AGENT_DIR/settings.json"', command="pi-home", cwd=home("alice")).ok()
    assert '"checks"' in seen.text


def test_the_same_places_of_a_user_whose_root_is_no_home_are_just_absent() -> None:
    assert inside('test -e "$1/.ssh"', os.fspath(home("alice")), cwd=demo("alice")).status == 1
    assert "hidden" not in inside("true").complaint
