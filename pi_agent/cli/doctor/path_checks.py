"""What the command's name finds on the caller's PATH. Asked as the caller: root's PATH is another one."""

from __future__ import annotations

import os
import shutil

from pi_agent.messages import access_findings
from pi_agent.messages.finding import Finding
from pi_agent.policy.policy_file import Policy


def command(policy: Policy, path: str, running: str) -> Finding:
    """Whether PATH finds the program that is running, and not Pi outside the sandbox.

    running: the script that is running. makeBinaryWrapper puts it beside the program that PATH finds, under another
    name; so it is the directory in the store that tells them apart.
    """
    first = shutil.which(policy.command_name, path=path)
    if first is None:
        return access_findings.path_finds_nothing(policy.command_name)
    first = os.path.abspath(first)
    real = os.path.realpath(first)
    if os.path.dirname(real) == os.path.dirname(os.path.realpath(running)):
        return access_findings.path(first)
    if real == os.path.realpath(policy.program):
        return access_findings.path_finds_pi_itself(first, policy.command_name)
    return access_findings.path_finds_another(first, policy.command_name)
