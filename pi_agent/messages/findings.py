"""Everything that `--sandbox-doctor` finds: the grade, what was found, what to do.

A function takes the facts and returns the `Finding`. Names that a user or the agent chose, and what other programs
print, are escaped. What a launch would refuse is told with the launch's own refusal (`finding.refused`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal

_REBUILD: Final = "Rebuild the system (nixos-rebuild switch)."
_NAMES_AT_MOST: Final = 5
_CACHE_AGAIN: Final = "Make it anew: systemctl restart m3ta-pi-agent-compile-cache"

# -- the way to the runner


def runner_started() -> Finding:
    return Finding(OK, "sudo", "lets the caller start the runner")


def runner_failed(why: str, status: int) -> Finding:
    """why: the first line that the runner printed."""
    return Finding(FAIL, "runner", f"failed: {escaped(why)}", "See the failures below.", status)


def exit_status(status: int) -> str:
    """In place of the first line, where nothing was printed."""
    return f"exit status {status}"


def caller_listed(user: str) -> Finding:
    return Finding(OK, "caller", f"{escaped(user)} is a listed host user")


# -- programs


def package(program: str) -> Finding:
    return Finding(OK, "package", escaped(program))


def package_unusable(program: str) -> Finding:
    return Finding(FAIL, "package", _not_executable(program), "Set m3ta.pi-agent.package to one that has it.")


def tools(number: int) -> Finding:
    return Finding(OK, "tools", f"all {number} are executable")


def tool_unusable(path: str) -> Finding:
    return Finding(FAIL, "tools", _not_executable(path), _REBUILD)


def tool_file_missing(path: str) -> Finding:
    return Finding(FAIL, "tools", f"{escaped(path)} does not exist", _REBUILD)


def compile_cache(entries: int) -> Finding:
    return Finding(OK, "cache", f"Node's compile cache has {entries} entries")


def compile_cache_of_no_use() -> Finding:
    return Finding(OK, "cache", "Pi's package has no use for Node's compile cache")


def compile_cache_missing(directory: str) -> Finding:
    what = f"Pi starts more slowly: Node's compile cache is not in {escaped(directory)}"
    return Finding(WARN, "cache", what, "See why: journalctl -b -u m3ta-pi-agent-compile-cache")


def compile_cache_of_others(agent: str) -> Finding:
    what = f"Pi starts more slowly: Node's compile cache was made before the account {escaped(agent)}"
    return Finding(WARN, "cache", what, _CACHE_AGAIN)


def compile_cache_open(path: str) -> Finding:
    what = f"{escaped(path)} can be written by others, and it holds code that Pi runs"
    return Finding(FAIL, "cache", what, _CACHE_AGAIN)


def _not_executable(path: str) -> str:
    return f"{escaped(path)} does not exist or is not executable"


# -- the system


def systemd(version: str, needed: int) -> Finding:
    return Finding(OK, "systemd", f"{escaped(version)}; {needed} or later is needed")


def systemd_unreachable(answer: str) -> Finding:
    remedy = "Check that systemd and D-Bus are running: systemctl status dbus"
    return Finding(FAIL, "systemd", f"cannot be reached: {escaped(answer)}", remedy, EX_UNAVAILABLE)


def systemd_too_old(version: str, needed: int) -> Finding:
    remedy = f"Use a NixOS release with systemd {needed} or later."
    return Finding(FAIL, "systemd", f"{escaped(version)} is too old", remedy, EX_UNAVAILABLE)


def kernel(release: str, needed: str) -> Finding:
    return Finding(OK, "kernel", f"{escaped(release)}; {needed} or later is needed")


def kernel_too_old(release: str, needed: str) -> Finding:
    remedy = f"Boot Linux {needed} or later: see boot.kernelPackages."
    return Finding(FAIL, "kernel", f"{escaped(release)} is too old", remedy, EX_UNAVAILABLE)


def user_namespaces_off() -> Finding:
    remedy = 'Allow them: boot.kernel.sysctl."user.max_user_namespaces" must not be 0.'
    return Finding(FAIL, "kernel", "user namespaces are turned off", remedy, EX_UNAVAILABLE)


def journal() -> Finding:
    return Finding(OK, "journal", "accepts entries; read them with: journalctl -t pi-agent")


def journal_unreachable(socket: str, why: str) -> Finding:
    remedy = "Sessions still run, but nobody can look them up. See: systemctl status systemd-journald.socket"
    return Finding(FAIL, "journal", f"{socket} cannot be reached: {escaped(why)}", remedy, EX_UNAVAILABLE)


def no_network() -> Finding:
    return Finding(OK, "denyAddresses", "the sandbox has no network")


def no_addresses_denied() -> Finding:
    return Finding(OK, "denyAddresses", "no addresses are denied")


def addresses_denied() -> Finding:
    return Finding(OK, "denyAddresses", "enforced")


def addresses_not_denied() -> Finding:
    return _addresses("not enforced on this machine")


def addresses_unknown(answer: str) -> Finding:
    """answer: of the unit that tried."""
    return _addresses(f"could not tell whether they are enforced: {escaped(answer)}")


def _addresses(what: str) -> Finding:
    remedy = (
        'Enforcement needs cgroup v2 and BPF for cgroups. Without them, set m3ta.pi-agent.sandbox.network = "none".'
    )
    return Finding(WARN, "denyAddresses", what, remedy)


# -- what is on disk


def state(directory: str) -> Finding:
    return Finding(OK, "state", escaped(directory))


def state_of_others(directory: str, user: str, group: str) -> Finding:
    return _state(f"{escaped(directory)} does not belong to {user} and {group}", user, group)


def state_open_to_others(directory: str, mode: int, allowed: int, owner: tuple[str, str]) -> Finding:
    """owner: user and group."""
    return _state(f"{escaped(directory)} has mode {mode:04o}; at most {allowed:04o} is allowed", *owner)


def _state(what: str, user: str, group: str) -> Finding:
    remedy = f"Correct it with: systemd-tmpfiles --create\nEverything below it must belong to {user}:{group}."
    return Finding(FAIL, "state", what, remedy)


def state_unusable(directory: str) -> Finding:
    """Of what a launch puts right by itself."""
    remedy = "The next launch opens it up, or moves it aside and makes it anew."
    return Finding(WARN, "state", f"{escaped(directory)} is no directory that the agent can use", remedy)


def code_kept(paths: Sequence[str], command: str) -> Finding:
    """paths: in the agent's home, where what an earlier session left may run in the next one."""
    remedy = f"Pi and npm keep it there for later sessions. Remove it with: {escaped(command)} --sandbox-reset"
    names = ", ".join(escaped(path) for path in paths)
    return Finding(WARN, "code", f"sessions have left code that later ones may run: {names}", remedy)


def settings_kept(paths: Sequence[str], command: str) -> Finding:
    """paths: in the agent's home, with which an earlier session may have programs of later ones run something."""
    remedy = (
        f"Read it with: {escaped(command)} --sandbox-shell\n"
        f"Remove it, and all else that the agent keeps, with: {escaped(command)} --sandbox-reset --all"
    )
    names = ", ".join(escaped(path) for path in paths)
    return Finding(WARN, "code", f"sessions have left files that programs of later ones read: {names}", remedy)


def staging(directory: str) -> Finding:
    return Finding(OK, "staging", f"only root can enter {directory}")


def no_leftovers() -> Finding:
    return Finding(OK, "leftovers", "none")


def leftovers(units: Sequence[str]) -> Finding:
    more = f" and {len(units) - _NAMES_AT_MOST} more" if len(units) > _NAMES_AT_MOST else ""
    what = f"of dead sessions: {', '.join(escaped(name) for name in units[:_NAMES_AT_MOST])}{more}"
    remedy = "The next launch by the same user removes staged files. End a unit with: systemctl stop UNIT"
    return Finding(FAIL, "leftovers", what, remedy, EX_UNAVAILABLE)


def env_file(path: str) -> Finding:
    return Finding(OK, "env file", escaped(path))


def shown_path(path: str) -> Finding:
    return Finding(OK, "shown path", escaped(path))


def shown_path_not_mapped(path: str) -> Finding:
    return _not_mapped("shown path", path)


def shown_path_unusable(refusal: Refusal) -> Finding:
    remedy = f"{refusal.remedy}\nThe options are m3ta.pi-agent.sandbox.readOnlyPaths and readWritePaths."
    return Finding(FAIL, "shown path", refusal.what, remedy)


# -- the host user


def root(configured: str) -> Finding:
    return Finding(OK, "root", escaped(configured))


def root_mapped(configured: str) -> Finding:
    return Finding(OK, "root", f"{escaped(configured)}; owners can be mapped")


def root_closed_to_agent(configured: str, refusal: Refusal) -> Finding:
    """Launches in it are refused; those in other roots are not."""
    return Finding(WARN, "root", f"{escaped(configured)}: {refusal.what}", refusal.remedy)


def root_not_mapped(configured: str) -> Finding:
    return _not_mapped("root", configured)


def _not_mapped(name: str, path: str) -> Finding:
    remedy = (
        "The agent has only the access that its own user and m3ta.pi-agent.projectGroup have there. Use ext4, xfs or "
        "btrfs, for instance."
    )
    return Finding(WARN, name, f"{escaped(path)}: the file system or the kernel cannot map owners", remedy)


def root_unusable(configured: str, why: str) -> Finding:
    """why: escaped."""
    remedy = "Create or correct the directory, or change m3ta.pi-agent.hostUsers.<user>.projectRoots."
    return Finding(FAIL, "root", f"{escaped(configured)}: {why}", remedy)


def bare_repositories_distrusted() -> Finding:
    return Finding(OK, "git", "safe.bareRepository is explicit: git obeys no bare repository that a project contains")


def bare_repositories_trusted() -> Finding:
    what = (
        "obeys bare repositories that a project contains, if you own them; "
        "`git config --global safe.bareRepository explicit` ends that"
    )
    return Finding(OK, "git", what)


def configuration(path: str) -> Finding:
    return Finding(OK, "configuration", escaped(path))


def no_configuration() -> Finding:
    return Finding(OK, "configuration", "no Pi configuration of the host user is used")
