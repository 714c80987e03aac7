"""What is in the built packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from .example import built
from .expect import contains, same
from .nix import PROJECT, build, build_failure, flake_build, run


def interpreter(package: str, script: str) -> str:
    """The Python that runs one of the built programs, with the libraries that the program declares."""
    return (flake_build(package) / "bin" / script).read_text().splitlines()[0].removeprefix("#!").strip()


def runner_python() -> str:
    """The Python that runs the runner."""
    return interpreter("runner", ".m3ta-pi-agent-runner-wrapped")


def program_of(settings: str) -> str:
    """The name of the program that the built policy's link points to."""
    policy = json.loads(build(built(settings, "policy")).read_text())
    return Path(policy["program"]).readlink().name


def check_first_choice() -> None:
    """binaryName comes before pi and pi-agent."""
    same("mine", program_of('{ binaryName = "mine"; package = packageWith [ "pi-agent" "pi" "mine" ]; }'))


def check_second_choice() -> None:
    """If the package has no binaryName, pi is used."""
    same("pi", program_of('{ binaryName = "mine"; package = packageWith [ "pi-agent" "pi" ]; }'))


def check_third_choice() -> None:
    """If the package has no pi either, pi-agent is used."""
    same("pi-agent", program_of('{ binaryName = "mine"; package = packageWith [ "other" "pi-agent" ]; }'))


def check_no_choice() -> None:
    """If the package has none of them, the build lists the names it tried and the programs it found."""
    errors = build_failure(built('{ binaryName = "readme"; package = packageWith [ "other" ]; }', "policy"))
    contains(errors, "some-package", "readme pi pi-agent", "other", "m3ta.pi-agent.binaryName")


def check_sudo_rule_is_what_the_wrapper_calls() -> None:
    """The wrapper calls the path that the sudo rule allows."""
    source = (flake_build("wrapper") / "bin" / ".pi-wrapped").read_text()
    contains(source, f"{flake_build('runner')}/bin/m3ta-pi-agent-runner")


def check_pages_bear_the_commands_name() -> None:
    """The command comes with completions and a manual page under its own name, and the reference of options."""
    wanted = {
        "bin/agent",
        "share/bash-completion/completions/agent",
        "share/doc/pi-agent/options.md",
        "share/doc/pi-agent/self-running.md",
        "share/fish/vendor_completions.d/agent.fish",
        "share/man/man1/agent-sandbox.1",
        "share/zsh/site-functions/_agent",
    }
    package = build(built('{ wrapper.commandName = "agent"; }', "wrapper"))
    found = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    same(sorted(wanted), sorted(found - {"bin/.agent-wrapped"}))
    same((PROJECT / "docs/options.md").read_text(), (package / "share/doc/pi-agent/options.md").read_text())


def check_only_the_wrapper_knows_where_users_keep_data() -> None:
    """The runner does not have pyxdg, which reads the caller's environment."""
    for package, script, status in (("wrapper", ".pi-wrapped", 0), ("runner", ".m3ta-pi-agent-runner-wrapped", 1)):
        python = interpreter(package, script)
        same(status, run(python, "-I", "-c", "import orjson, pi_agent, xdg.BaseDirectory").status)


def check_package_is_compiled() -> None:
    """pi_agent is in the store as byte code that Python loads without looking at its source."""
    code = "import pi_agent, sys; sys.stdout.write(pi_agent.__cached__)"
    cached = Path(run(runner_python(), "-I", "-c", code).output)
    # PEP 552: these flags after the magic number say "by hash, unchecked".
    same("01000000", cached.read_bytes()[4:8].hex())


CHECKS: Final = (
    check_first_choice,
    check_second_choice,
    check_third_choice,
    check_no_choice,
    check_sudo_rule_is_what_the_wrapper_calls,
    check_pages_bear_the_commands_name,
    check_only_the_wrapper_knows_where_users_keep_data,
    check_package_is_compiled,
)
