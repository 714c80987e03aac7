"""The privileged part of pi-agent: one launch of Pi, from the caller's request to its exit status.

Runs as root, through the module's sudo rule, for a listed host user. That user may pass any arguments, environment and
working directory, and owns files that the runner reads. The runner trusts only the frozen policy, the caller's uid as
sudo reports it, and what the kernel reports about open descriptors. No argument widens the policy: all arguments are
Pi's, except the sandbox commands (pi_agent/cli). When the runner returns, no unit, mount or file of the session is
left.
"""

import os

from pi_agent.cli import command_line, entry_point, launch_request
from pi_agent.linux import limits, timing
from pi_agent.policy import accounts, policy_file
from pi_agent.session import audit, launch, launch_plan

POLICY = "@policy@"
COMMAND = "pi"


def main() -> int:
    """Carry out the caller's request, and return the exit status."""
    known = audit.Known(POLICY)
    try:
        limits.drop_inherited()
        policy = policy_file.load(POLICY)
        timing.mark("policy")
        known = known.of_user(os.environ.get("SUDO_UID", ""))
        caller = accounts.through_sudo(policy, os.environ)
        known = known.of_user(caller.name)
        timing.mark("caller")
        arguments = command_line.arguments()
        if command_line.is_sandbox_command(arguments):
            from pi_agent.cli import dispatch  # not imported by a launch of Pi

            answer = dispatch.as_root(policy, caller, arguments)
            if isinstance(answer, int):
                return answer
            request = answer
        else:
            request = launch_request.for_pi(policy, caller, arguments)
        known = known.in_root(None if request.project is None else request.project.root)
        plan = launch_plan.plan(request)
        known = known.of_unit(request.session.unit)
        return launch.carry_out(plan, known)
    except Exception as error:
        refusal = entry_point.as_refusal(error)
        audit.refused(known, refusal.status, refusal.what)
        raise refusal from error


if __name__ == "__main__":
    entry_point.exit_at_once(entry_point.run(COMMAND, main))
