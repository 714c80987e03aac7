"""What `--sandbox-doctor` finds on the way to the runner: the caller's PATH, and the rules of sudo.

As in `findings`, what others chose or printed is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_UNAVAILABLE

_REBUILD: Final = "Rebuild the system (nixos-rebuild switch)."

# -- PATH


def path(program: str) -> Finding:
    return Finding(OK, "PATH", f"finds this command: {escaped(program)}")


def path_finds_nothing(command: str) -> Finding:
    remedy = f"Log in again, or add /run/current-system/sw/bin to PATH.\n{_REBUILD}"
    return Finding(WARN, "PATH", f"has no program named {escaped(command)}", remedy)


def path_finds_pi_itself(program: str, command: str) -> Finding:
    return _path(f"finds Pi itself first, outside the sandbox: {escaped(program)}", command)


def path_finds_another(program: str, command: str) -> Finding:
    return _path(f"finds another program before this command: {escaped(program)}", command)


def _path(what: str, command: str) -> Finding:
    remedy = (
        "Remove it from users.users.<user>.packages, home.packages or your Nix profile (nix profile remove),\n"
        f"or set m3ta.pi-agent.wrapper.commandName to another name than {escaped(command)}."
    )
    return Finding(WARN, "PATH", what, remedy)


# -- sudo, as it answered the caller. why: the first line that it printed


def rules_not_listed(runner: str, why: str, complaint: str) -> Finding:
    """complaint: the first line that sudo printed instead of its rules."""
    remedy = (
        f"{_rule_needed(runner)}\n{_REBUILD}\n"
        f"sudo did not list your rules ({escaped(complaint)}).\n"
        "As root, this command can tell whether another rule is in the way."
    )
    return _not_started(why, remedy)


def rule_missing(runner: str, why: str) -> Finding:
    remedy = (
        f"{_rule_needed(runner)} sudo has none.\n"
        f"Use the command of the current system (/run/current-system/sw/bin). {_REBUILD}"
    )
    return _not_started(why, remedy)


def rule_overruled(why: str, commands: Sequence[str], file: str) -> Finding:
    """commands: of the rule that applies instead of ours. file: where it is, or "" if sudo did not say."""
    return _not_started(why, _overruled(commands, file))


def rule_applies(runner: str, why: str) -> Finding:
    remedy = f"sudo's rule for {escaped(runner)} is in effect, so something else refuses it, such as PAM."
    return _not_started(why, f"{remedy}\nThe journal may say more: journalctl -b -t sudo -t sudo-rs")


def list_too_long() -> str:
    """In place of a complaint of sudo's."""
    return "the list is too long"


def _not_started(why: str, remedy: str) -> Finding:
    return Finding(FAIL, "sudo", f"does not start the runner: {escaped(why)}", remedy, EX_UNAVAILABLE)


# -- sudo, as it answered root about a host user


def user_allowed(name: str) -> Finding:
    return Finding(OK, "sudo", f"lets {escaped(name)} start the runner")


def user_rules_not_listed(name: str, complaint: str) -> Finding:
    remedy = "Run this command as that user."
    return Finding(WARN, "sudo", f"did not list the rules of {escaped(name)}: {escaped(complaint)}", remedy)


def user_rule_missing(name: str, runner: str) -> Finding:
    return _not_allowed(name, f"{_rule_needed(runner)} sudo has none.\n{_REBUILD}")


def user_rule_overruled(name: str, commands: Sequence[str], file: str) -> Finding:
    """As rule_overruled."""
    return _not_allowed(name, _overruled(commands, file))


def _not_allowed(name: str, remedy: str) -> Finding:
    return Finding(FAIL, "sudo", f"does not let {escaped(name)} start the runner", remedy, EX_UNAVAILABLE)


def _rule_needed(runner: str) -> str:
    return f"A sudo rule must allow {escaped(runner)} as root without a password."


def _overruled(commands: Sequence[str], file: str) -> str:
    place = f" in {escaped(file)}" if file else ""
    return (
        f"Another sudo rule{place} comes after the module's and wins. It is for: {escaped(', '.join(commands))}\n"
        "Define it in security.sudo.extraRules (or security.sudo-rs.extraRules): the module's rule comes last there."
    )
