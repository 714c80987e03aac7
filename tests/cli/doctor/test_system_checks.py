"""systemd, the kernel and the journal."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pi_agent.cli.doctor import system_checks
from pi_agent.linux import journald, landlock
from pi_agent.messages import findings, kernel_findings
from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.sandbox import prepared_root
from pi_agent.session import namespace_limits
from tests.support import policies
from tests.support.installations import Install, Installation, grades, only
from tests.support.trees import put


@pytest.mark.parametrize(
    ("answer", "grade"), [("257.9-1~deb13u1", OK), ("258", OK), ("256.7", FAIL), ("", FAIL), ("\x1b[2J", FAIL)]
)
def test_systemd_must_be_new_enough(installation: Installation, answer: str, grade: str) -> None:
    found = only(system_checks.systemd(installation.context(systemctl=f"printf '%s' '{answer}'")))
    assert found.grade == grade and found.what.isprintable()
    assert grades(system_checks.systemd(installation.context(systemctl=f"printf '%s' '{answer}'; exit 1"))) == [FAIL]


@pytest.mark.parametrize(("release", "grade"), [("6.12.1", OK), ("5.12.0", OK), ("5.11.9", FAIL), ("x", FAIL)])
def test_the_kernel_must_be_new_enough(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, release: str, grade: str
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert grades(system_checks.kernel(installation.context())) == [grade]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("echo sent", findings.addresses_not_denied()),
        ("echo 'bash: line 1: echo: write error: Operation not permitted'; exit 1", findings.addresses_denied()),
        ("echo 'Failed to connect to bus'; exit 1", findings.addresses_unknown("Failed to connect to bus")),
        ("exit 3", findings.addresses_unknown(findings.exit_status(3))),
    ],
)
def test_whether_addresses_are_denied_is_what_a_unit_finds(
    installation: Installation, body: str, found: Finding
) -> None:
    assert only(system_checks.denied_addresses(installation.context(systemd_run=body))) == found
    assert "--property=IPAddressDeny=any" in installation.bin.calls("systemd_run")[0]


@pytest.mark.parametrize("options", [{"denyAddresses": []}, {"network": "none"}])
def test_where_none_are_denied_no_unit_is_started(install: Install, options: dict[str, object]) -> None:
    installation = install(sandbox=policies.sandbox(**options))
    assert grades(system_checks.denied_addresses(installation.context())) == [OK]
    assert installation.bin.calls("systemd_run") == []


def test_a_journal_where_nobody_listens_is_told(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journald, "SOCKET", str(installation.top / "none"))
    assert grades(system_checks.journal(installation.context())) == [FAIL]


@pytest.mark.parametrize(
    ("properties", "version", "found"),
    [
        ([], 2, kernel_findings.landlock()),
        ([], 1, kernel_findings.landlock_missing()),
        ([], 0, kernel_findings.landlock_missing()),
        (["RestrictNamespaces=no"], 7, kernel_findings.landlock_not_used()),
    ],
)
def test_whether_landlock_confines_sessions_is_told(
    install: Install, monkeypatch: pytest.MonkeyPatch, properties: list[str], version: int, found: Finding
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: version)
    installation = install(sandbox=policies.sandbox(properties=properties))
    assert only(system_checks.landlock_offered(installation.context())) == found


def test_limits_of_the_machine_that_leave_sessions_little_are_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 262144}
    monkeypatch.setattr(namespace_limits, "machine_limit", lambda name: limits[name])
    assert grades(system_checks.shared_limits(installation.context())) == [OK]
    limits["fs/inotify/max_user_instances"] = 128
    found = only(system_checks.shared_limits(installation.context()))
    assert found.grade == WARN
    assert "fs.inotify.max_user_instances is 128" in found.what and "gets 8:" in found.what
    assert found.remedy is not None and "8192" in found.remedy


@pytest.mark.parametrize(
    ("shown", "grade"),
    [
        ("LoadState=loaded ActiveState=inactive", OK),
        ("LoadState=loaded ActiveState=activating", OK),
        ("LoadState=loaded ActiveState=failed", FAIL),
        ("LoadState=not-found ActiveState=inactive", FAIL),
        ("", FAIL),
    ],
)
def test_system_directories_that_are_not_mounted_are_the_next_launchs_unless_their_service_fails(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, shown: str, grade: str
) -> None:
    monkeypatch.setattr(prepared_root, "PLACE", str(installation.top / "none"))
    context = installation.context(systemctl=f"printf '%s\\n' {shown}")
    assert only(system_checks.system_directories(context)).grade == grade


def test_system_directories_that_are_mounted_are_well(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_root, "PLACE", str(installation.top))
    monkeypatch.setattr(prepared_root, "_is_mount_point", lambda path: True)
    put(Path(prepared_root.look().mark))
    assert only(system_checks.system_directories(installation.context())) == kernel_findings.root_mounted()
    assert installation.bin.calls("systemctl") == []
