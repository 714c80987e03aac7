"""Python as the installed programs have it: with -I, it finds pi_agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.support.checkout import TOP

# The interpreter of the tests; some replace sys.executable.
PYTHON: Final = sys.executable
# Code that makes a guard look again soon.
HASTY_GUARD: Final = "from pi_agent.session import guard; guard._SECOND_LOOKS = (0.01, 0.01)"


def importing(path: Path, before: str = "") -> str:
    """Make a program at path that runs `-I -c CODE …` with this checkout's pi_agent, and return it.

    before: code that comes first.
    """
    setup = path.with_suffix(".setup")
    setup.write_text(before)
    path.write_text(
        f"""#!/bin/sh
[ "$1 $2" = "-I -c" ] || exit 99
code=$3
shift 3
PYTHONPATH="{TOP}" exec "{PYTHON}" -B -s -P -c "exec(open('{setup}').read())
$code" "$@"
"""
    )
    path.chmod(0o755)
    return str(path)
