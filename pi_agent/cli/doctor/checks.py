"""All checks, in the order in which things depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent.cli import entry_point
from pi_agent.cli.doctor import account_checks, disk_checks, host_user_checks, program_checks, system_checks
from pi_agent.cli.doctor.context import Context
from pi_agent.messages import finding
from pi_agent.messages.finding import Finding
from pi_agent.messages.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Check:
    """name: of its findings. needs_root: whether it is left out where we are not root."""

    name: str
    run: Callable[[Context], Iterable[Finding]]
    needs_root: bool = False


CHECKS: Final[Sequence[Check]] = (
    Check("user", account_checks.owner),
    Check("agentUser", account_checks.agent),
    Check("projectGroup", account_checks.project_group),
    Check("package", program_checks.package),
    Check("tools", program_checks.tools),
    Check("cache", program_checks.compile_cache, needs_root=True),
    Check("systemd", system_checks.systemd),
    Check("kernel", system_checks.kernel),
    Check("directories", system_checks.system_directories, needs_root=True),
    Check("Landlock", system_checks.landlock_offered),
    Check("limits", system_checks.shared_limits),
    Check("journal", system_checks.journal),
    Check("denyAddresses", system_checks.denied_addresses, needs_root=True),
    Check("state", disk_checks.state, needs_root=True),
    Check("code", disk_checks.kept_code, needs_root=True),
    Check("staging", disk_checks.staging, needs_root=True),
    Check("leftovers", disk_checks.leftovers, needs_root=True),
    Check("env file", disk_checks.environment_files, needs_root=True),
    Check("shown path", disk_checks.shown_paths, needs_root=True),
    Check("root", host_user_checks.project_roots),
    Check("configuration", host_user_checks.configuration),
    Check("git", host_user_checks.git),
)


def run_all(context: Context) -> list[Finding]:
    """The findings of all checks. A check that raises a refusal or an error has that as its finding."""
    found: list[Finding] = []
    for check in CHECKS:
        if check.needs_root and not context.as_root:
            continue
        try:
            found += check.run(context)
        except (Refusal, OSError) as error:
            found.append(finding.refused(check.name, entry_point.as_refusal(error)))
    return found
