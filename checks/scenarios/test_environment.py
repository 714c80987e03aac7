"""The environment: which source wins, what cannot be changed, and where secrets must not appear."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.commands import as_user, on_machine, probe
from support.installed import SECRETS, STAGING, agent, home, policy, state
from support.leftovers import staged
from support.processes import processes
from support.sessions import IDLE, session
from support.units import shown, units

SECRET = "from an environment file"


def dotenv(text: str | bytes, *, beside: bool = False, user: str = "alice") -> Path:
    """Write the user's env file: the one in Pi's directory, or the one beside that directory."""
    path = home(user) / ".pi" / (".env" if beside else "agent/.env")
    content = text.encode() if isinstance(text, str) else text
    as_user(user, "sh", "-c", 'cat >"$1"', "sh", path, stdin=content).ok()
    return path


def environment(command: str = "pi-env", user: str = "alice") -> dict[str, str]:
    """The variables of a program inside."""
    found: dict[str, str] = probe("x", command=command, user=user)["env"]
    return found


def test_later_sources_win_over_earlier_ones() -> None:
    dotenv("CHECKS_HOST=beside\nCHECKS_BESIDE=beside\nCHECKS_ENVIRONMENT=host\nCHECKS_ALL=host\n", beside=True)
    dotenv("CHECKS_HOST=host\nCHECKS_NOT_EXTRA=host\nCHECKS_SECRET=host\nCHECKS_EXTRA_ENVIRONMENT=host\n")
    seen = environment()
    assert seen["CHECKS_BESIDE"] == "beside"
    assert seen["CHECKS_HOST"] == "host"
    assert seen["CHECKS_ENVIRONMENT"] == "from environment"
    assert seen["CHECKS_NOT_EXTRA"] == "environmentFiles"
    assert seen["CHECKS_SECRET"] == "from the second environment file"
    assert seen["CHECKS_QUOTED"] == "two words"
    assert seen["CHECKS_EXTRA_ENVIRONMENT"] == "from extraEnvironment"
    assert seen["CHECKS_ALL"] == "extraEnvironment"


def test_without_the_last_source_the_one_before_wins() -> None:
    dotenv("CHECKS_ALL=host\nCHECKS_ONLY=host\n")
    seen = environment("pi-probe")
    assert seen["CHECKS_ALL"] == "environmentFiles"
    assert seen["CHECKS_ONLY"] == "host"
    assert "CHECKS_ONLY" not in environment("pi-probe", "bob")
    (SECRETS / "base.env").write_text("")
    assert environment("pi-probe")["CHECKS_ALL"] == "host"


def test_values_of_options_are_literal() -> None:
    assert environment()["CHECKS_LITERAL"] == '$HOME %h "quoted" # no comment'


def test_env_files_have_comments_quotes_and_spaces_and_expand_nothing() -> None:
    dotenv("# a comment\n; another\n\nA=plain\nB=\"two words\"\nC='single $HOME'\nD=$HOME %h\nE=ünïcödé\nF=\n")
    seen = environment("pi-probe")
    expected = {"A": "plain", "B": "two words", "C": "single $HOME", "D": "$HOME %h", "E": "ünïcödé", "F": ""}
    assert {name: seen.get(name) for name in expected} == expected


def test_a_value_may_go_on_over_lines_between_quotes() -> None:
    dotenv('A="one\ntwo"\nB=3\nexport C=4\n')
    seen = environment("pi-probe")
    assert (seen["A"], seen["B"], seen["C"]) == ("one\ntwo", "3", "4")


def test_what_identifies_the_agent_cannot_be_changed_from_the_host() -> None:
    names = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "PI_CODING_AGENT_DIR")
    before = environment("pi-probe")
    dotenv("".join(f"{name}=/tmp\n" for name in names))
    after = environment("pi-probe")
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert after["HOME"] == policy("pi-probe")["stateDir"]
    assert after["USER"] == after["LOGNAME"] == agent("pi-probe").pw_name


def test_variables_of_the_caller_do_not_enter_but_terminal_and_language_do() -> None:
    words = ("env", "CHECKS_CALLER=x", "SSH_AUTH_SOCK=/x", "OPENAI_API_KEY=x", "LC_ALL=de_DE.UTF-8", "TERM=vt220")
    result = as_user("alice", *words, "pi-probe", "exec", "env").ok().text.splitlines()
    assert "LC_ALL=de_DE.UTF-8" in result
    assert "TERM=vt220" in result
    names = {line.split("=")[0] for line in result}
    assert not names & {"CHECKS_CALLER", "SSH_AUTH_SOCK", "OPENAI_API_KEY", "SUDO_UID", "SUDO_USER", "SUDO_COMMAND"}


def test_systemds_own_variables_that_name_host_paths_are_not_needed() -> None:
    seen = environment("pi-probe")
    for name in (
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
    ):
        assert name not in seen


def test_the_isolated_env_file_has_the_hosts_values_then_the_modules_and_no_secret() -> None:
    dotenv("CHECKS_HOST=host\n")
    environment()
    path = state("alice", "pi-env") / ".pi" / ".env"
    text = path.read_text()
    assert text.index('CHECKS_HOST="host"') < text.index('CHECKS_ENVIRONMENT="from environment"')
    assert 'environment file"' not in text
    assert "from the second environment file" not in text
    assert SECRET not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# -- secrets


def test_secrets_are_in_no_property_and_no_command_line() -> None:
    dotenv("CHECKS_OF_ALICE=a-secret-of-alice\n")
    with session("alice", "pi-env", *IDLE) as running:
        for user in ("alice", "bob", "carol"):
            properties = as_user(user, "systemctl", "show", "--all", running.unit, cwd="/").ok().text
            assert "ExecStart=" in properties
            written = as_user(user, "systemctl", "cat", running.unit, cwd="/").text
            tree = as_user(user, "systemctl", "status", "--full", "--lines=1000", running.unit, cwd="/").text
            for secret in (SECRET, "from the second environment file", "a-secret-of-alice", "from extraEnvironment"):
                assert secret not in properties
                assert secret not in written
                assert secret not in tree
        words = "\n".join(" ".join(process.words) for process in processes())
        assert "from the second environment file" not in words
        assert "a-secret-of-alice" not in words
        assert shown(running.unit, "Environment") == ""


def test_what_a_session_is_asked_is_roots_alone_and_gone_afterwards() -> None:
    with session("alice", "pi-env", *IDLE) as running:
        [directory] = staged()
        assert directory.name == running.unit.removesuffix(".service")
        assert stat.S_IMODE(STAGING.stat().st_mode) == 0o700
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        files = [path for path in directory.iterdir() if path.is_file() and path.stat().st_size]
        assert any(b"from the second environment file" in path.read_bytes() for path in files)
        for path in files:
            status = path.stat()
            assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
            assert as_user("alice", "cat", path, cwd="/").status != 0
        for path in (STAGING, directory):
            assert as_user("alice", "ls", path, cwd="/").status != 0
        running.wait()
        assert not directory.exists()
    assert staged() == []


def test_secrets_are_not_left_in_the_journal_or_the_state() -> None:
    environment()
    found = on_machine("journalctl", "--boot", "--output=cat", "--grep", "from the second environment file")
    assert "from the second environment file" not in found.text
    top = state("alice", "pi-env").parents[1]
    assert on_machine("grep", "-rl", "from the second environment file", top).status == 1


def test_other_people_cannot_read_the_environment_of_a_session() -> None:
    with session("alice", "pi-env", *IDLE) as running:
        assert b"CHECKS_SECRET" not in Path(f"/proc/{running.main_pid()}/environ").read_bytes()
        of_agent = [each.pid for each in processes() if each.uid == agent("pi-env").pw_uid]
        environs = [Path(f"/proc/{pid}/environ") for pid in of_agent]
        assert any(b"CHECKS_SECRET" in path.read_bytes() for path in environs)
        for path in environs:
            for user in ("alice", "bob"):
                assert as_user(user, "cat", path, cwd="/").status != 0


# -- bad input


def test_a_missing_environment_file_is_refused_by_name() -> None:
    refused = as_user("alice", "pi-missing-env", "x")
    assert refused.status == 78
    assert "/etc/pi-agent-secrets/missing.env" in refused.complaint
    assert "m3ta.pi-agent.environmentFiles" in refused.complaint
    assert "No such file or directory" in refused.complaint
    assert not units()
    (SECRETS / "missing.env").write_text("CHECKS_NOW=there\n")
    assert environment("pi-missing-env")["CHECKS_NOW"] == "there"


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "nul", "not text", "too large"])
def test_an_environment_file_that_is_none_is_refused_by_name(kind: str) -> None:
    path = SECRETS / "missing.env"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "nul":
            path.write_bytes(b"A=b\0c\n")
        case "not text":
            path.write_bytes(b"A=\xff\n")
        case _:
            path.write_bytes(b"A" * (2 * 1024**2))
    refused = as_user("alice", "pi-missing-env", "x")
    assert refused.status == 78
    assert str(path) in refused.complaint


def test_an_environment_file_that_others_could_replace_is_refused() -> None:
    (SECRETS / "missing.env").write_text("A=1\n")
    SECRETS.chmod(0o777)
    try:
        refused = as_user("alice", "pi-missing-env", "x")
        assert refused.status == 78
        assert "others than root can change /etc/pi-agent-secrets" in refused.complaint
    finally:
        SECRETS.chmod(0o700)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("kind", ["directory", "pipe", "unreadable", "loop", "nul", "not text"])
def test_a_host_env_file_that_is_none_is_refused_by_name(kind: str, beside: bool) -> None:
    path = home("alice") / ".pi" / (".env" if beside else "agent/.env")
    if kind in ("nul", "not text"):
        dotenv({"nul": b"A=b\0c\n", "not text": b"A=\xff\n"}[kind], beside=beside)
    else:
        make = {"directory": "mkdir", "pipe": "mkfifo", "unreadable": "install -m 000 /dev/null", "loop": "ln -s .env"}
        as_user("alice", "sh", "-c", f'{make[kind]} "$1"', "sh", path).ok()
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert f"the environment file {path} cannot be used" in refused.complaint


def test_a_host_env_file_that_only_root_can_read_is_not_read_for_alice() -> None:
    (home("alice") / ".pi/agent/.env").symlink_to(SECRETS / "more.env")
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert "second environment file" not in refused.complaint


def test_the_env_file_beside_a_linked_configuration_is_the_one_beside_the_link() -> None:
    dotenv("CHECKS_BESIDE=beside the link\n", beside=True)
    as_user(
        "alice", "sh", "-c", "mkdir ~/dotfiles && mv ~/.pi/agent ~/dotfiles/pi && ln -s ~/dotfiles/pi ~/.pi/agent"
    ).ok()
    as_user("alice", "sh", "-c", "echo CHECKS_BESIDE=elsewhere >~/dotfiles/.env").ok()
    assert environment("pi-probe").get("CHECKS_BESIDE") == "beside the link"


@pytest.mark.parametrize("line", ["nonsense", "1X=2", "A B=3", 'A="never closed', "=x", "A=\x1b[31m"])
def test_a_line_that_is_no_assignment_is_refused_by_place_and_not_shown(line: str) -> None:
    path = dotenv(f"# fine\nGOOD=1\n{line} a-secret\n")
    refused = as_user("alice", "pi-probe", "x")
    assert refused.status == 65
    assert f"{path} cannot be used: line 3" in refused.complaint
    assert "a-secret" not in refused.complaint
    assert "a-secret" not in on_machine("journalctl", "--boot", "--output=cat", "--lines=200").text
    (SECRETS / "missing.env").write_text(f"# fine\nGOOD=1\n{line} a-secret\n")
    refused = as_user("bob", "pi-missing-env", "x")
    assert refused.status == 78
    assert "missing.env" in refused.complaint
    assert "line 3" in refused.complaint
    assert "a-secret" not in refused.complaint


def test_a_secret_in_an_env_file_never_gets_into_the_journal() -> None:
    """systemd logs a line that it does not understand, word by word."""
    dotenv("export CHECKS_KEY=sk-exported-4711\n")
    assert environment()["CHECKS_KEY"] == "sk-exported-4711"
    dotenv("CHECKS KEY=sk-misspelt-4711\n")
    refused = as_user("alice", "pi-env", "x")
    assert refused.status == 65
    assert "line 1" in refused.complaint and "sk-" not in refused.complaint
    on_machine("journalctl", "--sync").ok()
    journal = on_machine("journalctl", "--boot", "--output=cat").text
    assert "sk-exported-4711" not in journal and "sk-misspelt-4711" not in journal
