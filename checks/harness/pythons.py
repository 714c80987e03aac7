"""The unit tests under the Pythons of Debian's releases, each in a root of its own that has little else.

nixpkgs moves to a new Python sooner than this project's machine does; a release that is still being made has it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from . import artifact, layout, project
from .base import ANY_AGE
from .nspawn import PROPAGATE
from .run import run, say

# A version of Python → the release that has it.
RELEASES: Final = {"3.13": "trixie", "3.14": "forky"}
PACKAGES: Final = (
    "git",
    "python3",
    "python3-hypothesis",
    "python3-orjson",
    "python3-pexpect",
    "python3-pytest",
    "python3-xdg",
)
# These take matplotlib and atheris.
WITHOUT: Final = ("tests/test_benchmark.py", "tests/test_fuzz.py")


def unit(version: str, arguments: list[str]) -> int:
    """Run the unit tests under one version; pytest's exit status."""

    def build(draft: Path, log: Path) -> None:
        say(f"building a root with Python {version} (a minute, once)")
        run(
            ["mmdebstrap", "--variant=minbase", ANY_AGE, f"--include={','.join(PACKAGES)}", RELEASES[version], draft],
            log=log,
        )
        # Another release may have moved on meanwhile.
        run(["chroot", draft, "python3", "-c", f"import sys; assert sys.version.startswith('{version}.')"], log=log)

    key = layout.digest([Path(__file__).read_bytes()])
    root = artifact.ensure(f"python{version}", key, build)
    place = layout.cache() / f"python{version}-project-{layout.digest([bytes(layout.CHECKOUT)])}"
    with layout.locked(place):
        project.export(project.files(layout.CHECKOUT), place)
        # pytest is not to be the first process there, which would have to reap orphans.
        nspawn = ["systemd-nspawn", "--quiet", "--as-pid2", "--register=no", "--keep-unit", "--private-network"]
        shown = [f"--bind-ro={place}:{layout.GUEST_PROJECT}", f"--chdir={layout.GUEST_PROJECT}"]
        pytest = ["python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", *(f"--ignore={name}" for name in WITHOUT)]
        try:
            return run(
                [
                    *nspawn,
                    *shown,
                    "--console=pipe",
                    "--volatile=overlay",
                    f"--directory={root}",
                    "--",
                    *pytest,
                    *arguments,
                ],
                accept=range(256),
            ).status
        finally:
            # nspawn removes it itself, but only where /run is no disk.
            shutil.rmtree(PROPAGATE / root.name, ignore_errors=True)
