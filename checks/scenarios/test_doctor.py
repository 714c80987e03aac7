"""`pi --sandbox-doctor` passes on this machine, and names each thing that breaks, with its remedy."""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import Final

import pytest
from support import limits
from support.commands import as_user, on_machine
from support.doctor import asked, broken, failing, grades, well
from support.installed import FACTS, SECRETS, SHARED, STAGING, agent, demo, home, policy, state
from support.leftovers import leftovers
from support.repositories import on_host
from support.sessions import IDLE, session
from support.terminals import ended, terminal
from support.units import units

from pi_agent.messages import findings, installation_refusals, reasons, refusals

SENTINEL: Final = "hunter2-must-not-be-told"
STATE: Final = policy()["stateDir"]


# -- all is well


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/home/alice", "/home/alice/p/demo"])
def test_all_is_well_from_any_directory(cwd: str) -> None:
    told = asked(cwd=cwd)
    well(told)
    expected = {
        "PATH", "sudo", "caller", "user", "agentUser", "package", "tools", "cache", "systemd", "kernel",
        "directories", "Landlock", "limits", "journal", "denyAddresses", "state", "staging",
        "leftovers", "root", "configuration", "git",
        "env file",
    }  # fmt: skip
    assert grades(told).keys() == expected


def test_all_is_well_before_the_first_launch_during_and_after_one() -> None:
    on_machine("rm", "-rf", state("alice"), f"{STATE}-sync").ok()
    try:
        well(asked())
        with session("alice", "pi-probe", *IDLE):
            well(asked("pi-probe"))
            well(asked("pi-probe", "bob"))
        well(asked("pi-probe"))
    finally:
        on_machine("systemd-tmpfiles", "--create").ok()


def test_it_leaves_nothing_behind() -> None:
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    before = {path: path.lstat().st_ctime_ns for path in Path(STATE).rglob("*")}
    well(asked())
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == mounts
    assert {path: path.lstat().st_ctime_ns for path in Path(STATE).rglob("*")} == before
    assert leftovers() == []


def test_the_runner_asked_directly_tells_the_same() -> None:
    runner = (FACTS["sudo"], "-n", FACTS["variants"]["pi"]["runner"])
    # Only the command itself knows the caller's PATH.
    path, _, rest = asked().text.partition("\n")
    assert path.startswith("ok    PATH")
    assert as_user("alice", *runner, "--sandbox-doctor", cwd="/").ok().text == rest


@pytest.mark.shows_limits
def test_it_says_whether_denied_addresses_are_enforced_as_a_unit_shows_it() -> None:
    unit = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=IPAddressDeny=any")
    enforced = on_machine(*unit, "bash", "-c", limits.SEND).status != 0
    assert grades(asked())["denyAddresses"] == ({"ok"} if enforced else {"warn"})
    assert grades(asked("pi-offline"))["denyAddresses"] == {"ok"}


# -- who asks


def test_who_is_not_listed_is_told_so_and_how_to_change_it() -> None:
    failing(asked(user="carol"), "caller", remedy='m3ta.pi-agent.hostUsers."carol".projectRoots')


def test_root_is_told_to_ask_as_somebody_and_sees_the_installation_all_the_same() -> None:
    told = asked(user="root")
    failing(told, "caller", remedy="m3ta.pi-agent.hostUsers")
    assert {"state", "staging", "leftovers", "env file"} <= grades(told).keys()


def test_sudo_that_is_not_there_is_told() -> None:
    sudo = shlex.quote(os.path.realpath(FACTS["sudo"]))
    with broken(f"mv {sudo} {sudo}.away", f"mv {sudo}.away {sudo}"):
        failing(asked(), "sudo", "tools", remedy="security.sudo.enable")
    well(asked())


# -- each thing that breaks


def test_a_user_or_a_group_that_is_gone_is_told() -> None:
    well(asked("pi-group"))
    for database, option in (("user", "--login"), ("group", "--new-name")):
        change = f"{database}mod {option}"
        with broken(f"{change} gone pi-agent-group", f"{change} pi-agent-group gone"):
            failing(asked("pi-group"), "user", "agentUser", "runner", remedy="m3ta.pi-agent.createUser")
        with broken(f"{change} gone pi-agent-group-alice", f"{change} pi-agent-group-alice gone"):
            told = asked("pi-group")
            failing(told, "agentUser", "runner", remedy="m3ta.pi-agent.createUser")
            assert f"the {database} «pi-agent-group-alice»" in " ".join(told.text.split())
            well(asked("pi-group", "bob"))
    with broken("usermod --gid nogroup pi-agent-group", "usermod --gid pi-agent-group pi-agent-group"):
        failing(asked("pi-group"), "user", "state", remedy="with the primary group pi-agent-group")
    agents = "pi-agent-group-alice"
    with broken(f"usermod --gid nogroup {agents}", f"usermod --gid {agents} {agents}"):
        failing(asked("pi-group"), "agentUser", remedy=f"with the primary group {agents}")
    well(asked("pi-group"))


@pytest.mark.parametrize("whose", ["pi-agent-group-bob", "pi-agent-group", "alice", "root"])
def test_an_agent_with_the_user_id_of_somebody_else_is_told_and_not_launched(whose: str) -> None:
    # usermod would give what is in its home to the other ID.
    change = "sed -i 's/^\\(pi-agent-group-alice:x\\):[0-9]*/\\1:{}/' /etc/passwd"
    with broken(change.format(pwd.getpwnam(whose).pw_uid), change.format(agent("pi-group").pw_uid)):
        told = asked("pi-group")
        failing(told, "agentUser", "runner", remedy="m3ta.pi-agent.hostUsers.<user>.agentUser")
        refused = as_user("alice", "pi-group", "true")
        assert refused.status == 78 and "has the same user ID" in refused.complaint
        if whose == "pi-agent-group-bob":  # by whose name the machine knows the ID
            failing(asked("pi-group", "bob"), "agentUser", remedy="an account and a group with IDs of their own")
            assert as_user("bob", "pi-group", "true").status == 0
    well(asked("pi-group"))


def test_an_agent_that_owns_the_state_is_a_warning_that_says_what_that_gives_up() -> None:
    told = asked("pi-sole")
    well(told)
    assert grades(told)["agentUser"] == {"warn"} and "owns its state on disk" in told.text
    assert grades(asked())["agentUser"] == {"ok"}


def test_a_project_group_that_is_gone_or_not_the_callers_is_told() -> None:
    with broken("groupmod --new-name gone team", "groupmod --new-name team gone"):
        failing(asked("pi-group"), "projectGroup", "agentUser", "runner", remedy="nixos-rebuild switch")
    with broken("gpasswd --delete alice team", "gpasswd --add alice team"):
        told = asked("pi-group")
        well(told)
        assert grades(told)["projectGroup"] == {"warn"} and "extraGroups" in told.text
    assert grades(asked("pi-group"))["projectGroup"] == {"ok"}


@pytest.mark.parametrize(
    ("breaks", "mends", "says"),
    [
        ("chmod 777 {0}", "chmod 750 {0}", "mode 0777"),
        ("chmod 755 {0}/users/alice", "chmod 700 {0}/users/alice", "users/alice has mode 0755"),
        ("chown alice: {0}/users/alice", "chown pi-agent:pi-agent {0}/users/alice", "users/alice"),
        ("chmod 755 {0}-sync", "chmod 700 {0}-sync", "sync has mode 0755"),
        ("chmod 777 {0}-sync", "chmod 700 {0}-sync", "others than root can change"),
        ("chown pi-agent: {0}-sync", "chown root: {0}-sync", "others than root can change"),
        ("chown pi-agent: {0}-sync/alice", "chown root: {0}-sync/alice", "sync/alice does not belong to root"),
        (
            "chown root {0}",
            "chown pi-agent {0}",
            installation_refusals.state_missing(STATE, reasons.NOT_OWNED_BY.format("pi-agent")).what,
        ),
    ],
)
def test_a_state_that_others_could_reach_or_is_not_the_agents_is_told(breaks: str, mends: str, says: str) -> None:
    as_user("alice", "pi", "--version").ok()
    with broken(breaks.format(STATE), mends.format(STATE)):
        told = asked()
        failing(told, "state", remedy="systemd-tmpfiles --create")
        assert says in told.text
    well(asked())


@pytest.mark.parametrize(
    ("breaks", "mends", "path"),
    [
        ("mv {0}/users {0}/x; ln -s /etc {0}/users", "rm -rf {0}/users; mv {0}/x {0}/users", "users"),
        ("chmod 0 {0}/users/alice", "chmod 700 {0}/users/alice", "users/alice"),
    ],
)
def test_what_a_launch_puts_right_in_the_state_is_a_warning(breaks: str, mends: str, path: str) -> None:
    as_user("alice", "pi", "--version").ok()
    with broken(breaks.format(STATE), mends.format(STATE)):
        told = asked()
        well(told)
        assert grades(told)["state"] == {"warn"}
        assert findings.state_unusable(f"{STATE}/{path}").what in told.text
    assert grades(asked())["state"] == {"ok"}


def test_a_state_that_is_being_reset_is_told_as_by_a_launch() -> None:
    as_user("alice", "pi", "--version").ok()
    screen = terminal("alice", "pi", "--sandbox-reset", "--all", cwd="/")
    screen.expect_exact("[y/N]")
    told = asked()
    failing(told, "state", remedy=refusals.state_being_reset().remedy, status=69)
    screen.sendline("n")
    assert ended(screen) == 0
    well(asked())


def test_a_staging_directory_that_others_can_enter_is_told() -> None:
    with broken(f"chmod 755 {STAGING}", f"chmod 700 {STAGING}"):
        failing(asked(), "staging", remedy="", status=69)
    well(asked())


def test_a_package_or_a_tool_that_cannot_be_executed_is_told() -> None:
    for name, path in (("package", policy("pi-agentbin")["program"]), ("tools", policy()["launcher"])):
        real = shlex.quote(os.path.realpath(path))
        with broken(f"mount --bind {SECRETS} {real}" if Path(real).is_dir() else f"mount --bind /dev/null {real}",
                    f"umount {real}"):  # fmt: skip
            failing(asked("pi-agentbin"), name, remedy="", status=78)
    well(asked("pi-agentbin"))


def test_an_environment_file_that_cannot_be_used_is_told_without_a_word_of_it() -> None:
    base = SECRETS / "base.env"
    for breaks in (f"rm {base}", f"echo '{SENTINEL}' >{base}", f"rm {base}; mkdir {base}"):
        with broken(f"cp {base} /root/base.env; {breaks}", f"rm -rf {base}; mv /root/base.env {base}"):
            told = asked()
            failing(told, "env file", remedy="NAME=value")
            assert str(base) in told.text and SENTINEL not in told.text
    with broken(f"chmod 777 {SECRETS}", f"chmod 755 {SECRETS}"):
        failing(asked(), "env file", remedy=reasons.changed_by_others(str(SECRETS)))
    well(asked())


def test_a_root_that_is_gone_or_can_be_redirected_is_told() -> None:
    on_host("mv ~/p/demo ~/p/away", home("alice"))
    failing(asked(), "root", remedy="projectRoots")
    on_host("ln -s away ~/p/demo", home("alice"))
    told = asked()
    failing(told, "root", remedy="projectRoots")
    assert reasons.link_redirected_by_others(str(demo("alice"))) in told.text
    on_host("rm ~/p/demo; mv ~/p/away ~/p/demo", home("alice"))
    well(asked())


def test_a_root_where_owners_cannot_be_mapped_is_a_warning() -> None:
    place = demo("alice")
    with broken(f"mount -t ramfs ramfs {place}; chown alice: {place}", f"umount {place}"):
        told = asked()
        well(told)
        assert findings.root_not_mapped("~/p/demo").what in told.text
        on_machine("chmod", "700", place).ok()
        told = asked()
        well(told)
        closed = findings.root_closed_to_agent("~/p/demo", refusals.directory_closed_to_agent(str(place)))
        assert str(closed) in told.text
    assert findings.root_mapped("~/p/demo").what in asked().text


def test_a_root_of_a_group_that_the_agent_is_not_in_is_a_warning() -> None:
    closed = findings.root_closed_to_agent(str(SHARED), refusals.directory_closed_to_agent(str(SHARED)))
    assert str(closed) in asked().text
    assert findings.root_mapped(str(SHARED)).what in asked("pi-group").text


def test_a_configuration_that_a_launch_would_refuse_is_told_without_a_word_of_it() -> None:
    on_host(f"mkdir -p ~/.pi/agent; echo '{{{SENTINEL}' >~/.pi/agent/auth.json")
    told = asked()
    failing(told, "configuration", remedy="auth.json")
    assert SENTINEL not in told.text
    on_host(f"rm ~/.pi/agent/auth.json; echo '{SENTINEL}' >~/.pi/agent/.env")
    told = asked()
    failing(told, "configuration", remedy="NAME=value")
    assert SENTINEL not in told.text
    on_host("rm ~/.pi/agent/.env")
    well(asked())


def test_a_further_path_that_is_not_there_is_told() -> None:
    on_machine("mkdir", "-p", "/srv/scratch").ok()
    well(asked("pi-paths"))
    with broken("rmdir /srv/scratch", "mkdir -p /srv/scratch"):
        failing(asked("pi-paths"), "shown path", remedy="readWritePaths")


def test_what_dead_sessions_left_is_told_and_a_launch_takes_it_away() -> None:
    name = "pi-agent-alice-00000000deadbeef"
    uid = home("alice").stat().st_uid
    place = STAGING / str(uid) / name
    with broken(f"install -d -m 700 {place.parent} {place}", f"rm -rf {place.parent}"):
        told = asked()
        failing(told, "leftovers", remedy="systemctl stop UNIT", status=69)
        assert f"{name}.service" in told.text
        as_user("alice", "pi-probe", cwd=demo("alice")).ok()
        assert not place.exists()
        well(asked())
    with broken(f"systemd-run --quiet --unit={name} sleep infinity", f"systemctl stop {name}"):
        assert units("alice") == [f"{name}.service"]
        told = asked()
        failing(told, "leftovers", remedy="systemctl stop UNIT", status=69)
    well(asked())


def test_a_journal_that_cannot_be_reached_is_told() -> None:
    socket = "/run/systemd/journal/socket"
    with broken(f"mv {socket} {socket}.away", f"mv {socket}.away {socket}"):
        failing(asked(), "journal", remedy="systemd-journald", status=69)
    well(asked())
