"""`pi --sandbox-doctor` names what stands between a host user and the runner: another sudo rule, another `pi`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support import sudo
from support.commands import CLEAN, as_user
from support.doctor import asked, failing, grades, well
from support.installed import FACTS, home, policy

from pi_agent.messages import access_findings, finding, findings

ON_NIXOS: Final = Path("/etc/NIXOS").exists()
RUNNER: Final = FACTS["variants"]["pi"]["runner"]
RULES: Final = Path("/etc/sudoers" if ON_NIXOS else "/etc/sudoers.d/system")
# sudo reads it after all others. NixOS has one file, which ends with security.sudo.extraConfig.
LATER: Final = RULES if ON_NIXOS else Path("/etc/sudoers.d/zz-administrator")


@contextmanager
def sudoers(file: Path, text: str) -> Iterator[None]:
    """Have another text in a file that sudo reads."""
    before = file.read_text(encoding="utf-8") if file.exists() else None
    _replace(file, text)
    try:
        yield
    finally:
        if before is None:
            file.unlink()
        else:
            _replace(file, before)


def _replace(file: Path, text: str) -> None:
    """At once: a file that is half written is one that sudo refuses."""
    draft = Path("/etc/sudoers.checks")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o440)
    os.replace(draft, file)


def with_rule(text: str) -> str:
    """The text of LATER, with one more rule."""
    return f"{LATER.read_text(encoding='utf-8') if LATER.exists() else ''}{text}\n"


def lines(remedy: str) -> str:
    """The lines of a remedy, as they stand below what was found."""
    return "\n".join(str(finding.Finding(finding.FAIL, "", "", remedy)).splitlines()[1:])


def test_sudo_that_has_no_rule_for_the_caller_is_told_with_what_a_user_can_see() -> None:
    others = [line for line in RULES.read_text(encoding="utf-8").splitlines() if line.split()[:1] != ["alice"]]
    with sudoers(RULES, "\n".join(others) + "\n"):
        told = asked()
        failing(told, "sudo", remedy="nixos-rebuild switch", status=69)
        assert RUNNER in told.text
        # As sudo says it, and sudo-rs.
        assert "a password is required" in told.text or "I can't do that" in told.text
        assert {"caller", "user", "package", "tools", "systemd", "root"} <= grades(told).keys()
        assert str(access_findings.user_rule_missing("alice", RUNNER)) in asked(user="root").text
    well(asked())


@pytest.mark.parametrize("commands", ["ALL", "!{}"])
def test_a_sudo_rule_that_comes_after_ours_is_named_to_who_is_refused_and_to_root(commands: str) -> None:
    commands = commands.format(RUNNER)
    told = asked(user="root")
    for user in ("alice", "bob"):
        assert str(access_findings.user_allowed(user)) in told.text.splitlines()
    # sudo-rs does not say which file it is.
    file = "" if sudo.version_of_sudo_rs() else str(LATER)
    overruled = access_findings.user_rule_overruled("alice", [commands], file)
    with sudoers(LATER, with_rule(f"alice ALL=(ALL:ALL) {commands}")):
        assert as_user("alice", "pi", "--version").status == 1
        told = asked()
        failing(told, "sudo", remedy="It is for: ", status=69)
        assert lines(overruled.remedy) in told.text
        well(asked(user="bob"))
        told = asked(user="root")
        failing(told, "caller", "sudo", remedy="It is for: ")
        assert str(overruled) in told.text
        assert str(access_findings.user_allowed("bob")) in told.text.splitlines()
    well(asked())


def test_a_rule_that_comes_after_ours_but_is_for_something_else_is_not_named() -> None:
    with sudoers(LATER, with_rule(f"alice ALL=(nobody) ALL\nalice ALL=(ALL:ALL) {shutil.which('true')}")):
        well(asked())
        assert str(access_findings.user_allowed("alice")) in asked(user="root").text.splitlines()


def test_a_sudo_rule_that_is_missing_among_others_is_told() -> None:
    """As for a command of another generation of the system."""
    kept = [line for line in RULES.read_text(encoding="utf-8").splitlines() if not line.endswith(f"NOPASSWD: {RUNNER}")]
    with sudoers(RULES, "\n".join(kept) + "\n"):
        told = asked()
        missing = access_findings.user_rule_missing("alice", RUNNER)
        failing(told, "sudo", remedy="the current system", status=69)
        told = asked(user="root")
        failing(told, "caller", "sudo", remedy="nixos-rebuild switch")
        assert str(missing) in told.text
        well(asked("pi-probe"))


@sudo.ONLY_SUDO
def test_a_sudo_that_lists_no_rules_is_not_interpreted() -> None:
    """sudo-rs has no such setting."""
    with sudoers(LATER, with_rule("Defaults:alice listpw=always\nalice ALL=(ALL:ALL) ALL")):
        told = asked()
        failing(told, "sudo", remedy="sudo did not list your rules", status=69)
        overruled = access_findings.user_rule_overruled("alice", ["ALL"], str(LATER))
        assert lines(overruled.remedy) not in told.text
        assert str(overruled) in asked(user="root").text
    well(asked())


@pytest.mark.parametrize("raw", [True, False])
def test_another_pi_that_comes_first_on_the_path_is_named(raw: bool) -> None:
    """As in a user's own profile, which comes before the system's."""
    command, own = "/run/current-system/sw/bin/pi", home("alice") / "own-bin"
    if raw:
        target, found = policy()["program"], access_findings.path_finds_pi_itself(f"{own}/pi", "pi")
    else:
        target, found = shutil.which("true"), access_findings.path_finds_another(f"{own}/pi", "pi")
    assert target is not None
    as_user("alice", "mkdir", own).ok()
    try:
        as_user("alice", "ln", "-s", target, own / "pi").ok()
        before, after = f"PATH={own}:{CLEAN['PATH']}", f"PATH={CLEAN['PATH']}:{own}"
        told = as_user("alice", "env", before, command, "--sandbox-doctor", cwd="/").ok()
        assert told.text.startswith(f"{found}\n{findings.runner_started()}")
        told = as_user("alice", "env", after, command, "--sandbox-doctor", cwd="/").ok()
        assert told.text.startswith(f"{access_findings.path(command)}\n")
    finally:
        as_user("alice", "rm", "-r", own).ok()
    assert grades(asked())["PATH"] == {"ok"}
