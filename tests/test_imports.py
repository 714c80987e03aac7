"""What the two programs import before they do anything. A scenario checks whole launches in the same way."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import launch_imports

from tests.support.checkout import TOP


def _log(code: str) -> str:
    """Python's report of the imports that the code makes."""
    argv = [sys.executable, "-I", "-X", "importtime", "-c", f"import sys; sys.path.insert(0, {str(TOP)!r}); {code}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    ("module", "needed", "allowed"),
    [
        ("runner", "pi_agent.policy.policy_file", launch_imports.RUNNER),
        ("wrapper", "pi_agent.python.json_reader", launch_imports.WRAPPER_AT_ONCE),
        ("pi_agent.cli.handover", "pi_agent.policy.policy_file", launch_imports.WRAPPER),
    ],
)
def test_a_program_imports_what_it_is_allowed_to_and_no_more(module: str, needed: str, allowed: frozenset[str]) -> None:
    log = _log(f"import {module}")
    assert {needed, module} <= launch_imports.imported(log).keys()
    new = launch_imports.strangers(log, _log("pass"), {*allowed, module})
    assert not new, "new on the way to every launch, and through whom:\n" + "\n".join(new)


@pytest.mark.parametrize("module", ["runner", "wrapper"])
def test_no_garbage_is_looked_for_while_a_program_imports(module: str) -> None:
    looks = "sum(each['collections'] for each in gc.get_stats())"
    code = f"import gc, pi_agent; before = {looks}; import {module}; print({looks} - before)"
    argv = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(TOP)!r}); {code}"]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout == "0\n"


def test_who_is_new_is_told_with_those_that_asked_for_it() -> None:
    log = _log("import colorsys")
    assert launch_imports.strangers(log, _log("pass"), ["os"]) == ["colorsys"]
    nested = (
        "import time:   1 |    1 |     subprocess\nsomething else\n"
        "import time:   1 |    1 |     json\n"
        "import time:   1 |    1 |   pi_agent.linux.processes\n"
        "import time:   1 |    1 | pi_agent.session.supervision\n"
    )
    assert launch_imports.strangers(nested, "", ["pi_agent.session.supervision", "json"]) == [
        "subprocess < pi_agent.linux.processes < pi_agent.session.supervision",
        "pi_agent.linux.processes < pi_agent.session.supervision",
    ]


def test_nothing_heavy_is_allowed() -> None:
    heavy = {
        *("argparse", "asyncio", "collections", "concurrent.futures", "contextlib", "ctypes", "dataclasses", "enum"),
        *("fnmatch", "functools", "hashlib", "importlib.metadata", "inspect", "json", "logging", "operator", "orjson"),
        *("pathlib", "random", "re", "shutil", "signal", "socket", "ssl", "struct", "subprocess", "tempfile"),
        *("typing", "typing_extensions", "urllib.parse", "xdg"),
    }
    assert not heavy & launch_imports.RUNNER
    never = ("pi_agent.cli.commands", "pi_agent.cli.timing", "pi_agent.linux.progress_bar")
    assert not [name for name in launch_imports.RUNNER if name.startswith(never)]
