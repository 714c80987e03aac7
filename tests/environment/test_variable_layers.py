from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.environment import dotenv_file, env_files, variable_layers
from pi_agent.environment.env_file_syntax import parse as parsed
from pi_agent.environment.env_file_syntax import rendered
from pi_agent.environment.variable_layers import Surroundings
from pi_agent.linux import paths
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_UNAVAILABLE, Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.state.host_config import HostTree
from tests.support import people
from tests.support.bench import bench
from tests.support.limits import no_room
from tests.support.people import needs_root
from tests.support.policies import frozen
from tests.support.trees import snapshot, write

_AROUND = Surroundings(
    path=("/run/current-system/sw/bin", "/usr/bin"), nix_daemon=False, certificates=None, locales=None, time_zones=None
)


def laid(
    policy: Policy,
    *,
    around: Surroundings = _AROUND,
    terminal: dict[str, str] | None = None,
    host: dict[str, str] | None = None,
    secret: dict[str, str] | None = None,
    safe_directory: str | None = None,
) -> dict[str, str]:
    layers = variable_layers.layers(
        policy, people.agent("/var/lib/pi-agent"), around, terminal or {}, host or {}, secret or {}, safe_directory
    )
    return variable_layers.merged(layers)


# -- layers


def test_the_later_layer_wins() -> None:
    names = ["A", "B", "C", "D", "E"]
    found = laid(
        frozen(
            environment={name: "environment" for name in names[2:]},
            extraEnvironment={name: "extra" for name in names[4:]},
        ),
        terminal={name: "terminal" for name in names},
        host={name: "host" for name in names[1:]},
        secret={name: "secret" for name in names[3:]},
    )
    assert [found[name] for name in names] == ["terminal", "host", "environment", "secret", "extra"]


_FIXED = {"HOME": "/x", "USER": "x", "LOGNAME": "x", "SHELL": "/x", "PI_CODING_AGENT_DIR": "/x"}


def test_identity_and_home_cannot_be_changed_by_any_layer() -> None:
    found = laid(frozen(environment=_FIXED, extraEnvironment=_FIXED), terminal=_FIXED, host=_FIXED, secret=_FIXED)
    assert found["HOME"] == "/var/lib/pi-agent"
    assert found["USER"] == found["LOGNAME"] == "pi-agent"
    assert found["SHELL"] == "/nix/store/bash/bin/bash"
    assert found["PI_CODING_AGENT_DIR"] == "/var/lib/pi-agent/.pi/agent"


def test_path_is_the_policys_then_npms_then_the_systems() -> None:
    found = laid(frozen(), host={"PATH": "/host"}, secret={"PATH": "/secret"}, terminal={"PATH": "/t"})
    assert found["PATH"] == (
        "/nix/store/git/bin:/nix/store/node/bin:/var/lib/pi-agent/.npm-global/bin:/run/current-system/sw/bin:/usr/bin"
    )


@pytest.mark.parametrize("option", ["environment", "extraEnvironment"])
def test_only_the_administrator_chooses_another_path(option: str) -> None:
    chosen = laid(frozen(**{option: {"PATH": "/chosen"}}), host={"PATH": "/host"}, terminal={"PATH": "/terminal"})
    assert chosen["PATH"] == "/chosen"


def test_npm_keeps_to_the_agents_home() -> None:
    found = laid(frozen())
    assert found["NPM_CONFIG_PREFIX"] == "/var/lib/pi-agent/.npm-global"
    assert found["NPM_CONFIG_CACHE"] == "/var/lib/pi-agent/.npm"


def test_what_the_machine_has_is_named_and_what_it_lacks_is_not() -> None:
    around = Surroundings(path=(), nix_daemon=True, certificates="/certs", locales="/locales", time_zones="/zones")
    names = {"NIX_REMOTE", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "LOCALE_ARCHIVE", "TZDIR"}
    assert not names & laid(frozen()).keys()
    found = laid(frozen(), around=around)
    assert {name: found[name] for name in names} == {
        "NIX_REMOTE": "daemon",
        "SSL_CERT_FILE": "/certs",
        "NIX_SSL_CERT_FILE": "/certs",
        "LOCALE_ARCHIVE": "/locales",
        "TZDIR": "/zones",
    }


def test_git_trusts_a_directory_of_somebody_else_only_where_asked_to() -> None:
    assert not any(name.startswith("GIT_") for name in laid(frozen()))
    found = laid(frozen(), safe_directory='/srv/a "b" $c')
    assert found["GIT_CONFIG_COUNT"] == "2"
    assert found["GIT_CONFIG_KEY_0"] == found["GIT_CONFIG_KEY_1"] == "safe.directory"
    assert (found["GIT_CONFIG_VALUE_0"], found["GIT_CONFIG_VALUE_1"]) == ('/srv/a "b" $c', '/srv/a "b" $c/*')


def test_the_surroundings_name_only_what_exists() -> None:
    around = variable_layers.surroundings(people.alice("/"), people.agent("/"), nix_daemon=True)
    assert around.nix_daemon == os.path.exists("/nix/var/nix/daemon-socket/socket")
    assert all(os.path.isdir(path) for path in around.path)
    assert around.certificates is None or os.path.exists(around.certificates)


def test_a_daemon_of_nix_that_is_not_shown_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    who = people.alice("/"), people.agent("/")
    assert variable_layers.surroundings(*who, nix_daemon=True).nix_daemon
    assert not variable_layers.surroundings(*who, nix_daemon=False).nix_daemon


# -- the terminal's variables


def test_the_terminal_is_described_and_nothing_else_is_passed() -> None:
    passed = {"TERM": "xterm", "COLORTERM": "truecolor", "LANG": "de_DE.UTF-8", "LC_TIME": "C", "NO_COLOR": ""}
    refused = {"PATH": "/x", "LD_PRELOAD": "/x", "NODE_OPTIONS": "-r /x", "HOME": "/x", "SUDO_UID": "0", "IFS": "x"}
    assert variable_layers.terminal({**passed, **refused}) == passed


def test_the_names_come_from_a_file_that_nix_reads_too() -> None:
    assert {"TERM", "LANG", "TZ", "TERM_PROGRAM", "KITTY_WINDOW_ID", "TMUX"} <= variable_layers.TERMINAL
    assert all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for name in variable_layers.TERMINAL)
    # What chooses code, or files that a root's program would open, is not for sudo to let through.
    bad = (
        "TERMINFO",
        "TERMCAP",
        "PATH",
        "HOME",
        "SHELL",
        "ENV",
        "LOCPATH",
        "NLSPATH",
        "LD_",
        "PYTHON",
        "NODE_",
        "SUDO_",
    )
    assert not [name for name in variable_layers.TERMINAL if name.startswith(bad)]


@pytest.mark.parametrize("value", ["\x1b[31m", "a\nb", "\x7f", "ü", "\udcff", "x" * 257, "\t"])
def test_a_value_that_is_odd_is_not_passed(value: str) -> None:
    assert variable_layers.terminal({"TERM": value, "LC_ALL": value, "LANG": "C"}) == {"LANG": "C"}


@given(st.dictionaries(st.text(max_size=8) | st.text(max_size=8).map("LC_".__add__), st.text(max_size=8), max_size=5))
def test_every_value_that_is_passed_is_plain(environ: dict[str, str]) -> None:
    for value in variable_layers.terminal(environ).values():
        assert value.isascii() and value.isprintable()


@given(st.text(max_size=8).map("LC_".__add__))
@example("LC_\nA")
def test_every_name_that_is_passed_is_a_variables_name(name: str) -> None:
    assert all(re.fullmatch(r"[A-Z_]+", passed) for passed in variable_layers.terminal({name: "C"}))


def test_a_name_cannot_bring_another_variable_along() -> None:
    described = variable_layers.terminal({"LC_X\nNODE_OPTIONS": "--require=/evil"})
    assert described == {}
    lines = rendered(laid(frozen(), terminal=described)).decode().splitlines()
    assert not any(line.startswith("NODE_OPTIONS=") for line in lines)


# -- the host user's env files


def host_env(top: Path, *roots: Path) -> dict[str, str]:
    tree = HostTree(str(top), os.open(top, os.O_PATH), lambda: tuple(map(str, roots)))
    return {name: value for found in env_files.host_files(tree).values() for name, value in found.items()}


def test_both_env_files_are_read_and_the_inner_one_wins(tmp_path: Path) -> None:
    write(tmp_path / ".pi/agent/.env", "BOTH=in\nIN=1\n")
    assert host_env(tmp_path / ".pi/agent") == {"BOTH": "in", "IN": "1"}
    write(tmp_path / ".pi/.env", "BOTH=beside\nBESIDE=1\n")
    assert host_env(tmp_path / ".pi/agent") == {"BOTH": "in", "IN": "1", "BESIDE": "1"}


def test_more_variables_than_systemd_merges_in_good_time_are_refused(tmp_path: Path) -> None:
    most = env_files.VARIABLES_AT_MOST
    write(tmp_path / ".pi/agent/.env", "".join(f"V{number}=\n" for number in range(most)))
    assert len(host_env(tmp_path / ".pi/agent")) == most
    write(tmp_path / ".pi/.env", "V=\n")  # together they are too many
    with pytest.raises(Refusal) as caught:
        host_env(tmp_path / ".pi/agent")
    assert caught.value.status == EX_DATAERR
    assert f"there are more than {most} variables" in caught.value.what


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


def secrets(*files: Path | str) -> dict[str, str]:
    return env_files.secrets(frozen(environmentFiles=[str(file) for file in files]))


def refused(*files: Path | str) -> str:
    with pytest.raises(Refusal) as caught:
        secrets(*files)
    assert caught.value.status == EX_CONFIG
    assert "m3ta.pi-agent.environmentFiles" in caught.value.what
    return caught.value.what


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of root's alone, as far as the judge can tell; `open` in it is not."""
    (tmp_path / "trusted/open").mkdir(parents=True)
    monkeypatch.setattr(paths, "only_root_changes", lambda where: not paths.real_path(where).endswith("/open"))
    return tmp_path / "trusted"


def test_of_several_environment_files_the_later_wins(trusted: Path) -> None:
    write(trusted / "a", "A=1\nBOTH=a\n")
    write(trusted / "b", "B=1\nBOTH=b\n")
    assert secrets(trusted / "b", trusted / "a") == {"A": "1", "B": "1", "BOTH": "a"}
    assert secrets(trusted / "a", trusted / "b")["BOTH"] == "b"
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
    assert secrets("/etc/os-release")["ID"]


def test_every_directory_on_the_way_is_judged_also_behind_links(trusted: Path) -> None:
    write(trusted / "file", "A=1\n")
    write(trusted / "open/file", "B=1\n")
    (trusted / "direct").symlink_to("file")
    (trusted / "through").symlink_to("open/../file")
    (trusted / "into").symlink_to("open/file")
    (trusted / "open/back").symlink_to("../file")
    (trusted / "chain").symlink_to("open/back")
    assert secrets(trusted / "direct") == {"A": "1"}
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


# -- .pi/.env


def test_the_dotenv_has_the_hosts_values_then_the_modules_and_no_secret(tmp_path: Path) -> None:
    here = bench(tmp_path, environment={"A": "nix"}, environmentFiles=["/run/secret.env"], extraEnvironment={"X": "1"})
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "host", "B": "host"})
    path = here.tree / ".pi/.env"
    assert parsed(path.read_bytes()) == {"A": "nix", "B": "host"}
    assert "/run/secret.env" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_dotenv_is_written_only_when_it_changes(tmp_path: Path) -> None:
    here = bench(tmp_path)
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    before = (here.tree / ".pi/.env").stat()
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert (here.tree / ".pi/.env").stat() == before
    (here.tree / ".pi/.env").write_text("EVIL=1")
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert b"EVIL" not in (here.tree / ".pi/.env").read_bytes()


@pytest.mark.parametrize("kind", ["link", "fifo", "link above"])
def test_what_is_planted_in_place_of_the_dotenv_is_replaced_not_followed(tmp_path: Path, kind: str) -> None:
    here = bench(tmp_path)
    write(tmp_path / "outside/.env", "precious")
    if kind == "link above":
        (here.tree / ".pi").rename(tmp_path / "away")
        (here.tree / ".pi").symlink_to(tmp_path / "outside")
    elif kind == "fifo":
        os.mkfifo(here.tree / ".pi/.env")
    else:
        (here.tree / ".pi/.env").symlink_to(tmp_path / "outside/.env")
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert snapshot(tmp_path / "outside") == {".env": b"precious"}
    assert parsed((here.tree / ".pi/.env").read_bytes()) == {"A": "1"}


def test_a_directory_in_place_of_the_dotenv_does_not_refuse_every_launch(tmp_path: Path) -> None:
    here = bench(tmp_path)
    (here.tree / ".pi/.env").mkdir()
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert parsed((here.tree / ".pi/.env").read_bytes()) == {"A": "1"}


@pytest.mark.parametrize("planted", [".pi/.env", ".pi"])
def test_what_the_agent_closed_does_not_keep_the_dotenv_from_being_written(ordinary: Path, planted: str) -> None:
    here = bench(ordinary)
    write(here.tree / ".pi/.env", "B=1")
    (here.tree / planted).chmod(0)
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert parsed((here.tree / ".pi/.env").read_bytes()) == {"A": "1"}


def test_a_dotenv_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    here = bench(tmp_path)
    dotenv_file.write(here.policy, here.agent, here.state, {"A": "0"})
    before = snapshot(here.tree)
    with pytest.raises(Refusal) as caught, no_room():
        dotenv_file.write(here.policy, here.agent, here.state, {"A": "1"})
    assert caught.value.status == EX_UNAVAILABLE
    assert ".pi/.env" in caught.value.what
    assert snapshot(here.tree) == before
