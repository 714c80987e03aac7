from __future__ import annotations

import inspect
import os
from collections.abc import Callable

import pytest

from pi_agent.messages import command_refusals, installation_refusals, refusal, refusals, start_refusals
from pi_agent.messages.refusal import Refusal

_EVIL = "a\x1b[2J\nb\r\x07\u202e\udcff\x9b\"${x}'"

# Every refusal with its required status, and a call of it with hostile text in every place that takes one.
_TABLE: dict[str, tuple[int, Callable[[str], Refusal]]] = {
    "argument_unknown": (64, lambda x: command_refusals.argument_unknown("--sandbox-help", x, "pi --sandbox-help")),
    "command_unknown": (64, lambda x: command_refusals.command_unknown(x, "pi", ["--sandbox-help"])),
    "session_not_chosen": (64, lambda x: command_refusals.session_not_chosen("pi")),
    "session_unknown": (64, lambda x: command_refusals.session_unknown(x, "pi")),
    "session_not_ended": (69, lambda x: command_refusals.session_not_ended("pi-agent-alice-0.service")),
    "export_directory_missing": (64, lambda x: command_refusals.export_directory_missing("pi")),
    "export_failed": (69, lambda x: command_refusals.export_failed(x)),
    "state_being_reset": (69, lambda x: refusals.state_being_reset()),
    "reset_not_confirmed": (64, lambda x: command_refusals.reset_not_confirmed()),
    "sessions_live": (69, lambda x: command_refusals.sessions_live(["0a1b2c3d"], "pi")),
    "reset_incomplete": (69, lambda x: command_refusals.reset_incomplete(x)),
    "policy_unreadable": (78, lambda x: installation_refusals.policy_unreadable(x, x)),
    "identities_missing": (78, lambda x: installation_refusals.identities_missing([("user", x), ("group", x)])),
    "agent_shares_id": (78, lambda x: installation_refusals.agent_shares_id(x, x)),
    "agent_shares_group": (78, lambda x: installation_refusals.agent_shares_group(x, x)),
    "state_not_mapped": (78, lambda x: installation_refusals.state_not_mapped(x, x, x)),
    "sync_directory_unusable": (78, lambda x: installation_refusals.sync_directory_unusable(x, x)),
    "state_missing": (78, lambda x: installation_refusals.state_missing(x, x)),
    "env_file_unusable": (78, lambda x: installation_refusals.env_file_unusable(x, x)),
    "not_through_sudo": (77, lambda x: refusals.not_through_sudo()),
    "root_refused": (77, lambda x: refusals.root_refused("pi")),
    "user_not_listed": (77, lambda x: refusals.user_not_listed(x)),
    "outside_roots": (77, lambda x: refusals.outside_roots(x, x, [x], x, [refusals.root_ignored(x, x)])),
    "directory_closed_to_agent": (77, lambda x: refusals.directory_closed_to_agent(x)),
    "directory_gone": (77, lambda x: refusals.directory_gone(x)),
    "directory_too_deep": (69, lambda x: refusals.directory_too_deep(x, 128)),
    "too_much_to_protect": (69, lambda x: refusals.too_much_to_protect(x, x)),
    "root_reserved": (78, lambda x: refusals.root_reserved(x, x)),
    "root_unmountable": (78, lambda x: refusals.root_unmountable(x)),
    "extra_path_unusable": (78, lambda x: installation_refusals.extra_path_unusable(x, x)),
    "config_not_a_directory": (65, lambda x: refusals.config_not_a_directory(x)),
    "config_unreadable": (65, lambda x: refusals.config_unreadable(x, x)),
    "config_too_large": (65, lambda x: refusals.config_too_large(x, "2 GiB")),
    "document_invalid": (65, lambda x: refusals.document_invalid(x, x)),
    "host_env_invalid": (65, lambda x: refusals.host_env_invalid(x, x)),
    "state_not_writable": (69, lambda x: refusals.state_not_writable(x, OSError(5, x))),
    "state_unreadable": (69, lambda x: refusals.state_unreadable(x, OSError(5, x))),
    "staging_failed": (69, lambda x: refusals.staging_failed("A mount", x)),
    "session_not_started": (69, lambda x: start_refusals.session_not_started("pi-agent-alice-0.service")),
    "session_not_limited": (69, lambda x: start_refusals.session_not_limited(x)),
    "root_not_mounted": (69, lambda x: start_refusals.root_not_mounted("m3ta-pi-agent-root.service")),
    "request_too_large": (65, lambda _: start_refusals.request_too_large()),
    "watches_used_up": (69, lambda _: start_refusals.watches_used_up()),
    "protection_lost": (69, lambda x: start_refusals.protection_lost(x, x)),
    "sudo_unavailable": (69, lambda x: refusals.sudo_unavailable(x, x)),
    "tool_failed": (69, lambda x: refusals.tool_failed([x, x], x)),
    "machine_failed": (69, lambda x: refusals.machine_failed(OSError(5, x, x))),
    "bug": (70, lambda x: refusals.bug(RuntimeError(x))),
}


def test_the_statuses_are_those_of_sysexits() -> None:
    named = {name: value for name, value in vars(refusal).items() if name.startswith("EX_")}
    assert named == {name: getattr(os, name) for name in named}


def test_every_refusal_is_in_the_table() -> None:
    functions = [
        name
        for module in (refusals, command_refusals, installation_refusals, start_refusals)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__annotations__.get("return") == "Refusal"
    ]
    assert sorted(functions) == sorted(_TABLE)


@pytest.mark.parametrize("name", sorted(_TABLE))
@pytest.mark.parametrize("text", ["/home/alice/x", "", _EVIL, "x" * 5000])
def test_every_refusal_has_a_status_one_line_of_what_and_lines_of_remedy(name: str, text: str) -> None:
    status, make = _TABLE[name]
    made = make(text)
    assert made.status == status
    assert made.what and made.what.isprintable()
    assert "Traceback" not in made.what
    lines = made.remedy.split("\n")
    assert all(line and line.isprintable() for line in lines)
    assert lines[0].strip()[0].isupper() or lines[0].startswith(("pi-agent", "systemd"))
    assert str(made) == made.what
    assert len(made.what) < 2000


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (installation_refusals.policy_unreadable("/p", "why"), "/p why nixos-rebuild"),
        (
            installation_refusals.identities_missing([("user", "u"), ("group", "g")]),
            "user «u» group «g» m3ta.pi-agent.createUser",
        ),
        (
            installation_refusals.agent_shares_id("a", "alice"),
            "«a» alice m3ta.pi-agent.hostUsers.<user>.agentUser",
        ),
        (
            installation_refusals.agent_shares_group("a", "root"),
            "«a» root m3ta.pi-agent.hostUsers.<user>.agentGroup",
        ),
        (installation_refusals.state_not_mapped("/s", "o", "a"), "/s o a m3ta.pi-agent.stateDir user namespaces"),
        (installation_refusals.sync_directory_unusable("/s-sync", "why"), "/s-sync why systemd-tmpfiles root"),
        (installation_refusals.state_missing("/s", "why"), "/s why systemd-tmpfiles"),
        (installation_refusals.env_file_unusable("/e", "why"), "/e why m3ta.pi-agent.environmentFiles"),
        (refusals.root_refused("pi"), "pi root m3ta.pi-agent.hostUsers"),
        (refusals.user_not_listed("bob"), '«bob» m3ta.pi-agent.hostUsers."bob".projectRoots ~/projects'),
        (refusals.directory_gone("/d"), "/d cd"),
        (refusals.root_reserved("/r/x", "/r"), "/r/x /r m3ta.pi-agent.hostUsers.<user>.projectRoots"),
        (refusals.root_unmountable("/r"), "/r Rename"),
        (installation_refusals.extra_path_unusable("/x", "why"), "/x why m3ta.pi-agent.sandbox"),
        (refusals.config_not_a_directory("/c"), "/c m3ta.pi-agent.hostUsers.<user>.configPath"),
        (refusals.config_unreadable("/c", "why"), "/c why m3ta.pi-agent.wrapper.syncConfigFromHost"),
        (refusals.config_too_large("/c", "2 GiB"), "/c 2 GiB configPath"),
        (refusals.document_invalid("/c/settings.json", "why"), "/c/settings.json why Correct"),
        (refusals.host_env_invalid("/c/.env", "why"), "/c/.env why NAME=value"),
        (refusals.state_not_writable("/s", OSError(28, "why")), "/s why space unchanged"),
        (refusals.state_not_writable("/s", OSError(13, "why")), "/s why session unchanged"),
        (refusals.staging_failed("A mount", "why"), "A mount why journalctl"),
        (start_refusals.session_not_started("u.service"), "journalctl -u u.service"),
        (start_refusals.session_not_limited("why"), "why user namespaces cgroup"),
        (start_refusals.root_not_mounted("x.service"), "systemctl status x.service"),
        (refusals.sudo_unavailable("/sudo", "why"), "/sudo why security.sudo.enable"),
        (refusals.tool_failed(["/bin/mount", "secret"], "why"), "/bin/mount why journalctl"),
        (refusals.machine_failed(OSError(5, "why", "/f")), "/f why journalctl"),
    ],
    ids=lambda value: value.what[:30] if isinstance(value, Refusal) else "",
)
def test_a_refusal_says_where_why_and_what_to_do(made: Refusal, said: str) -> None:
    text = f"{made.what}\n{made.remedy}"
    assert all(word in text for word in said.split(" "))


def test_outside_of_the_roots_the_nix_lines_are_shown_only_where_they_would_help() -> None:
    helps = refusals.outside_roots("alice", "/srv/x", ["~/a", "/b"], "/srv/x").remedy
    assert 'm3ta.pi-agent.hostUsers."alice".projectRoots = [ "~/a" "/b" "/srv/x" ];' in helps
    never = refusals.outside_roots("alice", "/etc", ["~/a", "/b"], None).remedy
    assert "projectRoots" not in never and "cannot be a project root" in never
    assert all("Allowed for alice: ~/a, /b" in remedy for remedy in (helps, never))


def test_a_failed_tool_does_not_show_its_arguments() -> None:
    assert "secret" not in refusals.tool_failed(["/bin/mount", "secret"], "why").what


def test_a_bug_says_its_kind_and_place_on_one_line() -> None:
    try:
        raise KeyError("x\ny")
    except KeyError as error:
        made = refusals.bug(error)
    assert "KeyError" in made.what and "test_refusals.py:" in made.what
    assert made.what.isprintable()
    assert "an unknown place" in refusals.bug(KeyError("never raised")).what
