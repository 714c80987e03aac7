"""The stand-in for nixpkgs is as strict as nixpkgs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from .example import built, config
from .expect import contains, same
from .nix import STAND_IN, build, build_failure, path_expression, run


def script(options: str, text: str) -> str:
    """An expression for a Python program."""
    return f'({STAND_IN}).writers.writePython3Bin "a" {options} {json.dumps(text)}'


def check_flake8_gate() -> None:
    """An unused name, a long line and a shebang stop the build of a Python program."""
    long = f"x = '{'y' * 80}'\n"
    contains(build_failure(script("{ }", "import os\n")), "F401")
    contains(build_failure(script("{ }", long)), "E501")
    contains(build_failure(script("{ }", "#!/usr/bin/python3\n")), "E265")
    build(script('{ flakeIgnore = [ "E501" ]; }', long))


def check_flake8_ignore_list_is_replaced() -> None:
    """A list of codes to ignore replaces the codes that flake8 ignores by default."""
    operator_first = "x = (1\n     + 2)\n"
    build(script("{ }", operator_first))
    contains(build_failure(script('{ flakeIgnore = [ "E501" ]; }', operator_first)), "W503")


def check_undeclared_library() -> None:
    """A Python program sees only the libraries that it declares."""
    options = f"{{ libraries = [ ({STAND_IN}).python3Packages.orjson ]; }}"
    program = build(script(options, "import orjson\nimport xdg\nprint(orjson, xdg)\n"))
    contains(run(f"{program}/bin/a").errors, "No module named 'xdg'")


def check_placeholders() -> None:
    """replaceVars refuses a placeholder that is left, and a name that the source does not have."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "text")
        file.write_text("a @b@ c")

        def replaced(replacements: str) -> str:
            return f"({STAND_IN}).replaceVars {path_expression(file)} {{ {replacements} }}"

        contains(build_failure(replaced("")), "@b@")
        contains(build_failure(replaced('b = "x"; d = "y";')), "@d@")
        same("a $x&\\1 c", build(replaced('b = "$x&\\\\1";')).read_text())


def check_errors_name_the_option() -> None:
    """Errors about types, unknown options and failed assertions are worded as in NixOS."""
    for settings, message in (
        ("{ user = 1; }", "A definition for option `m3ta.pi-agent.user' is not of type `string'"),
        (
            "{ sandbox.resources.cpuWeight = 0; }",
            "A definition for option `m3ta.pi-agent.sandbox.resources.cpuWeight' is not of type "
            "`integer between 1 and 10000 (both inclusive)'",
        ),
        ("{ nosuch = 1; }", "The option `m3ta.pi-agent.nosuch' does not exist"),
        ("{ hostUsers.bob.nosuch = 1; }", "The option `m3ta.pi-agent.hostUsers.bob.nosuch' does not exist"),
        (
            "{ build.runner = packageWith [ ]; }",
            "The option `m3ta.pi-agent.build.runner' is read-only, but it's set multiple times",
        ),
    ):
        contains(build_failure(built(settings, "runner")), message)
    contains(
        build_failure(config("{ hostUsers.bob = { }; }", "system.build.toplevel")),
        "Failed assertions:",
        "- m3ta.pi-agent.hostUsers.bob.projectRoots must not be empty.",
    )


CHECKS: Final = (
    check_flake8_gate,
    check_flake8_ignore_list_is_replaced,
    check_undeclared_library,
    check_placeholders,
    check_errors_name_the_option,
)
