"""The privileged half of pi-agent: one launch of Pi, from the caller's request to its exit status.

Runs as root, through the sudo rule of the module, on behalf of a listed host user who may give any arguments, any
environment and any working directory, and who owns files that are read here. It believes the frozen policy, what
sudo says of the caller's uid, and what the kernel says of open descriptors; nothing else. No argument widens what the
policy allows: all are Pi's, except for the sandbox commands (pi_agent/cli). When it returns, no unit, mount or
file of the session is left.
"""

import os

from pi_agent.cli import command_line, entry_point, launch_request
from pi_agent.linux import limits, timing
from pi_agent.policy import accounts, policy_file
from pi_agent.session import audit, launch, launch_plan

POLICY = "@policy@"
COMMAND = "pi"


def main() -> int:
    """Do what the caller asks for, and return the exit status."""
    limits.drop_inherited()
    known = audit.Known(POLICY)
    try:
        policy = policy_file.load(POLICY)
        timing.mark("policy")
        known = known.of_user(os.environ.get("SUDO_UID", ""))
        caller = accounts.through_sudo(policy, os.environ)
        known = known.of_user(caller.name)
        timing.mark("caller")
        arguments = command_line.arguments()
        if command_line.is_sandbox_command(arguments):
            from pi_agent.cli import dispatch  # no launch of Pi waits for it

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
