"""The wrapper's way where `shortcut` has not become sudo: a closer look, which refuses with a message.

Runs as the host user and enforces nothing: the runner checks everything again.
"""

from __future__ import annotations

import os

from pi_agent.cli import command_line, entry_point, shortcut
from pi_agent.linux import timing
from pi_agent.messages import refusals
from pi_agent.policy import accounts, policy_file, project_roots
from pi_agent.session import audit


def check_and_become(policy_path: str, runner: str) -> int:
    """Check, then become `sudo runner`. Returns the exit status only if the runner is not needed. Raises Refusal."""
    try:
        policy = policy_file.load(policy_path)
        timing.mark("policy")
        arguments = command_line.arguments()
        needs_project = not command_line.needs_no_project(arguments, policy.extra_run_args)
        if command_line.is_sandbox_command(arguments):
            from pi_agent.cli import dispatch  # not imported by a launch of Pi

            answer = dispatch.on_host(policy, arguments, runner)
            if isinstance(answer, int):
                return answer
            arguments, needs_project = [*answer.arguments], answer.command.launches
        caller = accounts.by_uid(policy, os.getuid())
        timing.mark("caller")
        if needs_project:
            project_roots.locate(policy, caller)
    except Exception as error:
        refusal = entry_point.as_refusal(error)
        audit.refused(audit.Known(policy_path), refusal.status, refusal.what)
        raise refusal from error
    sudo = policy.tools.sudo
    try:
        shortcut.become(sudo, runner, arguments)
    except OSError as error:
        raise refusals.sudo_unavailable(sudo, error.strerror or str(error)) from error
