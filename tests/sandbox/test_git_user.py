from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pi_agent.linux import paths
from pi_agent.sandbox import git_user
from pi_agent.sandbox.git_user import UserGit
from tests.support.limits import open_descriptors
from tests.support.trees import put


@pytest.fixture(autouse=True)
def no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's own settings are not looked at."""
    monkeypatch.setattr(git_user, "_SYSTEM", f"{tmp_path}/etc/gitconfig")


def keys(found: UserGit) -> list[tuple[str, str]]:
    return [(setting.key, setting.value) for _, setting in found.settings]


def test_a_user_without_configuration_has_none(tmp_path: Path) -> None:
    assert git_user.look(str(tmp_path)) == UserGit(str(tmp_path))


def test_settings_with_an_effect_are_found_in_every_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    put(tmp_path / "etc/gitconfig", "[core]\npager = system\n")
    put(home / ".config/git/config", "[core]\nhooksPath = ~/hooks\n[user]\nname = x\n")
    put(home / ".gitconfig", '[include]\npath = more\n[includeIf "gitdir:~/x"]\npath = ~/conditional\n')
    put(home / "more", "[include]\npath = .gitconfig\n[alias]\na = !b\n")
    put(home / "conditional", "[core]\neditor = vi\n")
    found = git_user.look(str(home))
    assert sorted(keys(found)) == [
        ("alias.a", "!b"),
        ("core.editor", "vi"),
        ("core.hookspath", "~/hooks"),
        ("core.pager", "system"),
        ("include.path", ".gitconfig"),
        ("include.path", "more"),
        ("includeif.gitdir:~/x.path", "~/conditional"),
    ]
    assert {folder for folder, _ in found.settings} == {f"{tmp_path}/etc", f"{home}/.config/git", f"{home}"}


def test_files_are_known_by_where_they_really_are(tmp_path: Path) -> None:
    put(tmp_path / "dotfiles/gitconfig", "[include]\npath = extra\n")
    put(tmp_path / "extra")
    (tmp_path / ".gitconfig").symlink_to("dotfiles/gitconfig")
    assert git_user.look(str(tmp_path)).files == (f"{tmp_path}/dotfiles/gitconfig", f"{tmp_path}/extra")


def test_what_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitconfig")
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/config").symlink_to("/dev/zero")
    assert git_user.look(str(tmp_path)) == UserGit(str(tmp_path))
    (tmp_path / ".config/git/config").unlink()
    put(tmp_path / ".config/git/config", "[alias]\na = b\n" * 100_000)
    assert git_user.look(str(tmp_path)) == UserGit(str(tmp_path))


def test_what_the_machine_fails_to_show_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(paths, "walk", failing)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        git_user.look(str(tmp_path))


def test_includes_without_end_end(tmp_path: Path) -> None:
    for number in range(150):
        put(tmp_path / str(number), f"[include]\npath = {number + 1}\n")
    put(tmp_path / ".gitconfig", "[include]\npath = 0\n")
    before = open_descriptors()
    assert len(git_user.look(str(tmp_path)).files) == 100
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [("~/x", "/home/a/x"), ("~", "/home/a"), ("~bob/x", "~bob/x"), ("x/~/y", "x/~/y"), ("/x", "/x")],
)
def test_a_tilde_is_the_home(path: str, expected: str) -> None:
    assert git_user.expanded(path, "/home/a") == expected
