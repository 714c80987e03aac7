"""Which rule of sudo applies, from what sudo 1.9.16 and sudo-rs 0.2.5 print."""

from __future__ import annotations

import pytest

from pi_agent.cli.doctor import sudo_checks
from pi_agent.messages import access_findings
from pi_agent.messages.finding import OK, Finding
from tests.support.installations import Installation

RUNNER = "/nix/store/x-runner/bin/runner"
WHY = "sudo: a password is required"
HEAD = r"""Matching Defaults entries for alice on machine:
    env_reset, secure_path=/usr/sbin\:/usr/bin, use_pty

Runas and Command-specific defaults for alice:
    Defaults!/nix/store/x-runner/bin/runner !log_allowed, !pam_session

User alice may run the following commands on machine:
"""
OURS = f"""
Sudoers entry: /etc/sudoers
    RunAsUsers: root
    Options: !authenticate
    Commands:
\t{RUNNER}
"""
OTHER_RUNNER = OURS.replace(RUNNER, "/nix/store/y-runner/bin/runner")
BY_PASSWORD = """
Sudoers entry: /etc/sudoers.d/admin
    RunAsUsers: ALL
    RunAsGroups: ALL
    Commands:
\tALL
"""
FORBIDDEN = f"""
Sudoers entry: /etc/sudoers.d/admin
    RunAsUsers: ALL
    Options: setenv, !authenticate
    Commands:
\tALL
\t!{RUNNER}
"""
FREE = BY_PASSWORD.replace("    Commands", "    Options: setenv, !authenticate\n    Commands")
AS_POSTGRES = BY_PASSWORD.replace("RunAsUsers: ALL", "RunAsUsers: postgres")


def matched(rule: str) -> str:
    """What sudo prints for one command."""
    return rule.lstrip("\n") + f"    Matched: {RUNNER}\n"


def nameless(rules: str) -> str:
    """As sudo-rs has it."""
    return rules.replace(" /etc/sudoers.d/admin", "").replace(" /etc/sudoers", "")


class Sudo:
    """Prints one text for `-ll`, and another if a command is named."""

    def __init__(self, installation: Installation, rules: str, one: str = "", status: int = 0) -> None:
        self._bin = installation.bin
        for name, text in (("rules", rules), ("one", one)):
            (installation.top / name).write_text(text)
        top = installation.top
        body = f'case "$*" in *" -- "*) cat "{top}/one";; *) cat "{top}/rules";; esac; exit {status}'
        self.path = installation.bin.script("sudo", body)

    def not_started(self) -> Finding:
        return sudo_checks.not_started(self.path, RUNNER, WHY)

    def of_alice(self) -> Finding:
        return sudo_checks.of_user(self.path, RUNNER, "alice")

    def calls(self) -> list[str]:
        return self._bin.calls("sudo")


OVERRULED = [
    pytest.param(OURS + BY_PASSWORD, matched(BY_PASSWORD), ("ALL",), "/etc/sudoers.d/admin", id="sudo"),
    pytest.param(OURS + FORBIDDEN, "", ("ALL", f"!{RUNNER}"), "/etc/sudoers.d/admin", id="sudo, forbidden"),
    pytest.param(nameless(OURS + BY_PASSWORD), f"{RUNNER}\n", ("ALL",), "", id="sudo-rs"),
    pytest.param(nameless(OURS + FORBIDDEN), "", ("ALL", f"!{RUNNER}"), "", id="sudo-rs, forbidden"),
    pytest.param(nameless(OURS + BY_PASSWORD + AS_POSTGRES), f"{RUNNER}\n", ("ALL",), "", id="one for another user"),
]


@pytest.mark.parametrize(("rules", "one", "commands", "file"), OVERRULED)
def test_a_rule_that_comes_later_is_named(
    installation: Installation, rules: str, one: str, commands: tuple[str, ...], file: str
) -> None:
    sudo = Sudo(installation, HEAD + rules, one)
    assert sudo.not_started() == access_findings.rule_overruled(WHY, commands, file)
    assert sudo.of_alice() == access_findings.user_rule_overruled("alice", commands, file)
    assert sudo.calls() == [
        "sudo -n -ll",
        f"sudo -n -ll -- {RUNNER}",
        "sudo -n -ll -U alice",
        f"sudo -n -ll -U alice -- {RUNNER}",
    ]


@pytest.mark.parametrize(
    ("rules", "one"),
    [
        (OURS, matched(OURS)),
        (BY_PASSWORD + OURS, matched(OURS)),
        (nameless(BY_PASSWORD + OURS), f"{RUNNER}\n"),
        (nameless(OURS + OTHER_RUNNER), f"{RUNNER}\n"),
        (OURS + FREE, matched(FREE)),
        (nameless(OURS + AS_POSTGRES), f"{RUNNER}\n"),
    ],
)
def test_a_rule_that_applies_is_not_blamed(installation: Installation, rules: str, one: str) -> None:
    sudo = Sudo(installation, HEAD + rules, one)
    assert sudo.not_started() == access_findings.rule_applies(RUNNER, WHY)
    assert sudo.of_alice() == access_findings.user_allowed("alice")
    assert sudo.of_alice().grade == OK


@pytest.mark.parametrize(
    ("rules", "one"),
    [(OTHER_RUNNER, ""), (OTHER_RUNNER + BY_PASSWORD, matched(BY_PASSWORD)), (nameless(OTHER_RUNNER), f"{RUNNER}\n")],
)
def test_a_rule_that_is_missing_is_told(installation: Installation, rules: str, one: str) -> None:
    """Another generation's is none of ours."""
    sudo = Sudo(installation, HEAD + rules, one)
    assert sudo.not_started() == access_findings.rule_missing(RUNNER, WHY)
    assert sudo.of_alice() == access_findings.user_rule_missing("alice", RUNNER)


@pytest.mark.parametrize(
    "told",
    ["User alice is not allowed to run sudo on machine.", "sudo-rs: Sorry, user alice may not run sudo on machine."],
)
def test_a_user_without_any_rule_has_none_for_the_runner(installation: Installation, told: str) -> None:
    sudo = Sudo(installation, told, status=1)
    assert sudo.not_started() == access_findings.rule_missing(RUNNER, WHY)
    assert sudo.of_alice() == access_findings.user_rule_missing("alice", RUNNER)


@pytest.mark.parametrize(("told", "complaint"), [(f"{WHY}\nmore", WHY), ("", "exit status 1")])
def test_a_sudo_that_lists_nothing_proves_nothing(installation: Installation, told: str, complaint: str) -> None:
    sudo = Sudo(installation, told, status=1)
    assert sudo.not_started() == access_findings.rules_not_listed(RUNNER, WHY, complaint)
    assert sudo.of_alice() == access_findings.user_rules_not_listed("alice", complaint)


def test_a_list_that_is_cut_off_proves_nothing(installation: Installation) -> None:
    sudo = Sudo(installation, OURS * 1000 + BY_PASSWORD)
    too_long = access_findings.list_too_long()
    assert sudo.not_started() == access_findings.rules_not_listed(RUNNER, WHY, too_long)
    assert sudo.of_alice() == access_findings.user_rules_not_listed("alice", too_long)
