"""Fuzz one target, guided by the code that its inputs reach (atheris, libFuzzer).

    python -m tests.fuzz TARGET [CORPUS] [-runs=N] [-max_total_time=SECONDS] [-seed=N]

If the target fails, the exit status is 77, and the input is printed and kept as `crash-…`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pi_agent"]):
    from tests.fuzz.targets import SEEDS, TARGETS


def main(name: str, *options: str) -> None:
    """Seed a corpus, and hand over to libFuzzer, which ends the process."""
    with tempfile.TemporaryDirectory() as seeds:
        for number, seed in enumerate(SEEDS[name]):
            Path(seeds, str(number)).write_bytes(seed)
        places = [option for option in options if not option.startswith("-")]
        for place in places:
            Path(place).mkdir(parents=True, exist_ok=True)
        flags = [option for option in options if option.startswith("-")]
        atheris.Setup([sys.argv[0], *flags, *places, seeds], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz TARGET [CORPUS] [-OPTION…]\ntargets: {' '.join(TARGETS)}")
    main(*sys.argv[1:])
