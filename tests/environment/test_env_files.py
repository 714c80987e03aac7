from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.environment import env_files
from pi_agent.linux import paths
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, Refusal
from tests.support.host_trees import host_tree
from tests.support.people import needs_root
from tests.support.policies import frozen
from tests.support.trees import write

# -- the host user's env files


def host_env(top: Path, *roots: Path) -> dict[str, str]:
    """The variables of all env files of the configuration in top."""
    found = env_files.host_files(host_tree(top, *roots))
    return {name: value for variables in found.values() for name, value in variables.items()}


def test_both_env_files_are_read_the_inner_one_last(tmp_path: Path) -> None:
    (tmp_path / ".pi/agent").mkdir(parents=True)
    tree = host_tree(tmp_path / ".pi/agent")
    inner, beside = f"{tmp_path}/.pi/agent/.env", f"{tmp_path}/.pi/.env"
    assert env_files.host_files(tree) == {}
    write(Path(inner), "BOTH=in\nIN=1\n")
    assert env_files.host_files(tree) == {inner: {"BOTH": "in", "IN": "1"}}
    write(Path(beside), "BOTH=beside\nBESIDE=1\n")
    assert [*env_files.host_files(tree).items()] == [
        (beside, {"BOTH": "beside", "BESIDE": "1"}), (inner, {"BOTH": "in", "IN": "1"}),
    ]  # fmt: skip


def test_more_variables_than_systemd_merges_in_good_time_are_refused(tmp_path: Path) -> None:
    most = env_files.VARIABLES_AT_MOST
    write(tmp_path / ".pi/agent/.env", "".join(f"V{number}=\n" for number in range(most)))
    assert len(host_env(tmp_path / ".pi/agent")) == most
    write(tmp_path / ".pi/.env", "V=\n")  # together they are too many
    with pytest.raises(Refusal) as caught:
        host_env(tmp_path / ".pi/agent")
    assert caught.value.status == EX_DATAERR
    assert str(most) in caught.value.what


def test_beside_another_directory_than_dot_pi_nothing_is_read(tmp_path: Path) -> None:
    write(tmp_path / "project/.env", "SECRET=1\n")
    (tmp_path / "project/conf").mkdir()
    assert host_env(tmp_path / "project/conf") == {}


def test_the_env_file_beside_a_linked_agent_directory_is_that_of_dot_pi(tmp_path: Path) -> None:
    write(tmp_path / "dotfiles/.env", "WRONG=1\n")
    (tmp_path / "dotfiles/agent").mkdir()
    write(tmp_path / ".pi/.env", "RIGHT=1\n")
    (tmp_path / ".pi/agent").symlink_to("../dotfiles/agent")
    assert host_env(tmp_path / ".pi/agent") == {"RIGHT": "1"}


@pytest.mark.parametrize(
    "content",
    [b"A=\xff\n", b"A=\0\n", b"A=\xed\xa0\x80", b"#" * (env_files.BYTES_AT_MOST + 1), b"A", b'A="x', b"1=x"],
    ids=lambda content: repr(content[:9]),
)
def test_an_env_file_that_cannot_be_understood_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / ".env", content)
    with pytest.raises(Refusal) as caught:
        host_env(tmp_path)
    assert caught.value.status == EX_DATAERR
    assert f"{tmp_path}/.env" in caught.value.what


def test_an_env_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    write(tmp_path / ".env", b"A=1\n".rjust(env_files.BYTES_AT_MOST))
    assert host_env(tmp_path) == {"A": "1"}


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "loop"])
def test_an_env_file_that_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".env"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else ".env")
    with pytest.raises(Refusal) as caught:
        host_env(tmp_path)
    assert caught.value.status == EX_DATAERR


def test_a_planted_env_link_that_leads_out_of_its_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "secret", "AWS_KEY=1")
    (tmp_path / "projects/conf").mkdir(parents=True)
    (tmp_path / "projects/conf/.env").symlink_to("../../secret")
    with pytest.raises(Refusal):
        host_env(tmp_path / "projects/conf", tmp_path / "projects")
    assert host_env(tmp_path / "projects/conf", tmp_path / "other") == {"AWS_KEY": "1"}


# -- environmentFiles


def secrets(*files: Path | str) -> dict[str, dict[str, str]]:
    """The variables of each of the module's environment files, by path."""
    return env_files.secret_files(frozen(environmentFiles=[str(file) for file in files]))


def refused(*files: Path | str) -> str:
    with pytest.raises(Refusal) as caught:
        secrets(*files)
    assert caught.value.status == EX_CONFIG
    assert "m3ta.pi-agent.environmentFiles" in caught.value.what
    return caught.value.what


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that only root can change, as far as the judge can tell. `open` in it is not one."""
    (tmp_path / "trusted/open").mkdir(parents=True)
    monkeypatch.setattr(paths, "only_root_changes", lambda where: not paths.real_path(where).endswith("/open"))
    return tmp_path / "trusted"


def test_environment_files_are_read_in_the_order_of_the_policy(trusted: Path) -> None:
    write(trusted / "a", "A=1\nBOTH=a\n")
    write(trusted / "b", "B=1\nBOTH=b\n")
    assert [*secrets(trusted / "b", trusted / "a").items()] == [
        (f"{trusted}/b", {"B": "1", "BOTH": "b"}), (f"{trusted}/a", {"A": "1", "BOTH": "a"}),
    ]  # fmt: skip
    assert secrets() == {}


def test_an_environment_file_in_a_directory_others_can_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real: tests live in a directory below /tmp, which everybody can write to."""
    tmp_path.chmod(0o777)
    write(tmp_path / "a", "A=1\n")
    assert "others than root can change" in refused(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert "others than root can change" in refused("/proc/self/cwd/a")


@needs_root
def test_an_environment_file_in_roots_own_directories_is_read() -> None:
    assert secrets("/etc/os-release")["/etc/os-release"]["ID"]


def test_every_directory_on_the_way_is_judged_also_behind_links(trusted: Path) -> None:
    write(trusted / "file", "A=1\n")
    write(trusted / "open/file", "B=1\n")
    (trusted / "direct").symlink_to("file")
    (trusted / "through").symlink_to("open/../file")
    (trusted / "into").symlink_to("open/file")
    (trusted / "open/back").symlink_to("../file")
    (trusted / "chain").symlink_to("open/back")
    assert secrets(trusted / "direct") == {f"{trusted}/direct": {"A": "1"}}
    for name in ("open/file", "open/../file", "through", "into", "chain", "open/back"):
        assert f"{trusted}/open" in refused(trusted / name)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device", "loop", "binary", "nul", "huge"])
def test_an_environment_file_that_cannot_be_used_is_refused_and_named(trusted: Path, kind: str) -> None:
    path = trusted / "file"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("device", "loop"):
        path.symlink_to("/dev/zero" if kind == "device" else "file")
    elif kind != "missing":
        path.write_bytes({"binary": b"\xff", "nul": b"\0", "huge": b"x" * (env_files.BYTES_AT_MOST + 1)}[kind])
    assert str(path) in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"TOKEN=hunter2\n\xff",
        b"hunter2",
        b"TOKEN hunter2=1",
        b'A=1\nTOKEN="hunter2',
        b"TOKEN=hunter2\x01",
        b"1=hunter2",
    ],
)
def test_a_secret_is_not_in_the_refusal(trusted: Path, tmp_path: Path, content: bytes) -> None:
    write(trusted / "file", content)
    assert "hunter2" not in refused(trusted / "file")
    write(tmp_path / "conf/.env", content)
    with pytest.raises(Refusal) as caught:
        host_env(tmp_path / "conf")
    assert "hunter2" not in f"{caught.value.what} {caught.value.remedy}"
