"""The NixOS VM test, checks/vm.nix, as far as it can be checked without booting it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .expect import CheckFailedError
from .nix import PROJECT

# A file where Debian has it. NixOS has /usr/bin/env and /bin/sh, and directories on a PATH may be missing.
DEBIAN: Final = re.compile(
    r"/usr/(?!bin/env\b)(?:s?bin|lib\w*|libexec|local|share)/\w[^\s\"']*|(?<=[\s=(])/s?bin/(?!sh\b)\w+"
)
# These look in Debian's place and in that of NixOS.
BOTH: Final = {
    "checks/scenarios/test_pages.py": {"/usr/share/bash-completion/bash_completion", "/usr/local/share"},
}


def debian_paths(source: Path) -> set[str]:
    """The paths of Debian's own files in a Python file."""
    return set(DEBIAN.findall(source.read_text(encoding="utf-8")))


def check_scenarios_name_no_path_of_debian() -> None:
    """No scenario uses a file that is only in Debian's place: they run on NixOS as well."""
    for directory in ("checks/scenarios", "checks/escapes"):
        for source in sorted((PROJECT / directory).glob("*.py")):
            name = str(source.relative_to(PROJECT))
            if found := debian_paths(source) - BOTH.get(name, set()):
                raise CheckFailedError(f"{name}: {', '.join(sorted(found))}; find programs on the PATH")


CHECKS: Final = (check_scenarios_name_no_path_of_debian,)
