"""What the caller's PATH finds under the command's name."""

from __future__ import annotations

import pytest

from pi_agent.cli.doctor import path_checks
from pi_agent.messages import access_findings
from pi_agent.messages.finding import OK, WARN, Finding
from tests.support.installations import Installation
from tests.support.policies import replaced


class Programs:
    """Programs called `pi`: the wrapper as it is installed, Pi itself, and another one. Each in its own directory."""

    def __init__(self, installation: Installation) -> None:
        self.top = installation.top / "programs"
        for name in ("store", "raw", "other"):
            self._program(name, "pi")
        # As it is built: what runs is a script beside the program that PATH finds.
        self.running = self._program("store", ".pi-wrapped")
        (self.top / "system").mkdir()
        (self.top / "system/pi").symlink_to("../store/pi")
        (self.top / "package").symlink_to("raw/pi")
        self.policy = replaced(installation.context().policy, program=str(self.top / "package"))

    def _program(self, folder: str, name: str) -> str:
        file = self.top / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
        return str(file)

    def path(self, *names: str) -> str:
        return ":".join(str(self.top / name) for name in names)

    def found(self, *names: str) -> Finding:
        """What is found on a PATH of these directories."""
        return path_checks.command(self.policy, self.path(*names), self.running)


@pytest.fixture
def programs(installation: Installation) -> Programs:
    return Programs(installation)


@pytest.mark.parametrize("names", [("system",), ("missing", "system", "raw", "other"), ("store", "raw")])
def test_this_command_comes_first(programs: Programs, names: tuple[str, ...]) -> None:
    first = next(name for name in names if name != "missing")
    assert programs.found(*names) == access_findings.path(f"{programs.path(first)}/pi")
    assert programs.found(*names).grade == OK


def test_a_raw_pi_that_comes_first_is_named(programs: Programs) -> None:
    found = programs.found("missing", "raw", "system")
    assert found == access_findings.path_finds_pi_itself(f"{programs.path('raw')}/pi", "pi")
    assert found.grade == WARN and f"{programs.path('raw')}/pi" in found.what


def test_another_program_that_comes_first_is_named(programs: Programs) -> None:
    found = programs.found("other", "raw", "system")
    assert found == access_findings.path_finds_another(f"{programs.path('other')}/pi", "pi")
    assert found.grade == WARN and f"{programs.path('other')}/pi" in found.what


def test_what_cannot_be_executed_does_not_count(programs: Programs) -> None:
    (programs.top / "other/pi").chmod(0o644)
    assert programs.found("other", "system").grade == OK


def test_an_empty_entry_is_the_working_directory(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.top / "other")
    assert programs.found("system").grade == OK
    found = path_checks.command(programs.policy, f":{programs.path('system')}", programs.running)
    assert found == access_findings.path_finds_another(f"{programs.path('other')}/pi", "pi")


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_a_path_without_the_command_is_told(programs: Programs, path: str) -> None:
    assert path_checks.command(programs.policy, path, programs.running) == access_findings.path_finds_nothing("pi")
