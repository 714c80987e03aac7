"""`--sandbox-doctor`: what is wrong with the installation, a line for each thing, and what to do about it.

In the wrapper it looks at the caller's PATH, then asks the runner, which sees the most. Where the runner cannot be
asked, it says why, and what a user can see. root, for whom there is no runner, is told whom sudo lets start it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.cli.doctor import checks, path_checks, sudo_checks
from pi_agent.cli.doctor.context import Context
from pi_agent.cli.parsing import Invocation
from pi_agent.linux import processes
from pi_agent.messages import finding, findings, refusals
from pi_agent.messages.finding import Finding
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.policy import accounts
from pi_agent.policy.policy_file import Policy


def ask_runner(policy: Policy, _invocation: Invocation, argv: Sequence[str]) -> int:
    """As the user: print the runner's findings, or our own if the runner cannot be asked. Returns the exit status.

    argv: the command that asks the runner.
    """
    found = [path_checks.command(policy, os.environ.get("PATH", ""), sys.argv[0])]
    as_root = os.geteuid() == 0
    user = None
    try:
        user = accounts.by_uid(policy, os.getuid())
    except Refusal as refusal:
        if as_root:
            found += _whom_sudo_lets(policy, argv[0], argv[-2])
        found.append(finding.refused("caller", refusal))
    else:
        answer = _answer(argv)
        if isinstance(answer, processes.Finished):
            output.lines([*map(str, found), answer.output])
            return answer.status
        found += [answer, findings.caller_listed(user.name)]
    return report([*found, *checks.run_all(Context(policy, user, as_root))])


def run(call: Call) -> int:
    """As root: print all findings. Returns the exit status."""
    found = [findings.runner_started(), findings.caller_listed(call.accounts.caller.name)]
    return report([*found, *checks.run_all(Context(call.policy, call.accounts.caller, as_root=True))])


def report(found: Sequence[Finding]) -> int:
    """Print findings. Returns 0 if none fails, 69 if all that fail do so because of the system, or else 78."""
    output.lines([str(each) for each in found])
    failures = {each.status for each in found if each.grade == finding.FAIL}
    return 0 if not failures else EX_UNAVAILABLE if failures == {EX_UNAVAILABLE} else EX_CONFIG


def _whom_sudo_lets(policy: Policy, sudo: str, runner: str) -> list[Finding]:
    """Of each host user, whether sudo lets them start the runner."""
    try:
        return [sudo_checks.of_user(sudo, runner, name) for name in policy.host_users.names]
    except Refusal as refusal:
        return [_no_sudo(sudo, refusal)]


def _no_sudo(sudo: str, refusal: Refusal) -> Finding:
    return finding.refused("sudo", refusals.sudo_unavailable(sudo, refusal.what.rpartition(": ")[2]))


def _answer(argv: Sequence[str]) -> processes.Finished | Finding:
    """The runner's answer, or why there is none."""
    try:
        finished = processes.run(argv, accept=range(256))
    except Refusal as refusal:
        return _no_sudo(argv[0], refusal)
    if finished.output.startswith(str(findings.runner_started())):
        return finished
    first = finished.output.partition("\n")[0] or findings.exit_status(finished.status)
    if finished.status >= EX_UNAVAILABLE:  # one of ours; sudo's own is 1
        return findings.runner_failed(first, finished.status)
    return sudo_checks.not_started(argv[0], argv[-2], first)
