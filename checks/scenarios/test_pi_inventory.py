"""The Pi that is installed here has no file and no setting that docs/pi-files.md and the code do not know.

If this fails with a new Pi: find out what the name does, add it to `pi_agent/state/pi_files.py` or `settings_keys.py`,
and to the page.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user
from support.host_configuration import host_file, write
from support.installed import demo, home, pi_package, policy
from support.terminals import ended, terminal

from pi_agent.state import pi_files, settings_keys

BOTH: Final = pytest.mark.parametrize("command", ["pi", "pi-older"])
PAGE: Final = (Path(__file__).parents[2] / "docs/pi-files.md").read_text(encoding="utf-8")
KEYS: Final = settings_keys.RUNS | settings_keys.REDIRECTS | settings_keys.TASTES
# In the home: what the page has there, and what Pi looks for in every directory above the project.
ABOVE: Final = frozenset({"AGENTS.override.md", "AGENTS.md", "AGENTS.MD", "CLAUDE.md", "CLAUDE.MD"})


def package(command: str) -> Path:
    """Pi's own package."""
    program = Path(policy(command)["program"]).read_text(encoding="utf-8", errors="replace")
    named = re.search(r"(/nix/store/[^\s\"']+)/dist/(?:bundle/)?cli\.js", program)
    if named:
        return Path(named[1])
    return next(pi_package().glob("**/pi-coding-agent/dist/cli.js")).parents[1]


def known(name: str) -> bool:
    """Whether the code knows this name at the top of Pi's directory."""
    return pi_files.is_skipped(name) or pi_files.is_mirrored(name)


def of_the_page(title: str) -> set[str]:
    """All names in the first column below the heading."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`(.*?)`", row)}


@BOTH
def test_every_name_that_pis_sources_put_into_its_directory_is_known(command: str) -> None:
    joined = re.compile(r"join\((?:[\w.]*?)[aA]gentDir(?:\(\))?,\s*([\"'`])([^\"'`]+)\1")
    found: set[str] = set()
    for path in (package(command) / "dist").rglob("*.js"):
        if "bundle" not in path.parts:
            text = path.read_text(encoding="utf-8").replace("${APP_NAME}", "pi")
            found |= {match[2].split("/")[0] for match in joined.finditer(text)}
    assert {"settings.json", "auth.json", "sessions", "oauth.json", "tools", "tmp", "pi-debug.log"} <= found
    assert {name for name in found if not known(name)} == set()


def schema_keys(value: dict[str, object], before: str = "") -> Iterator[str]:
    """The keys of an object in a schema, and of the objects in it."""
    properties = value.get("properties", {})
    assert isinstance(properties, dict)
    for key, below in properties.items():
        yield before + key
        yield from schema_keys(below, f"{before}{key}.")


def keys_of(place: Path) -> set[str]:
    """The keys of settings.json, with dots between levels: from the schema, or from a declaration without levels."""
    schema = place / "schemas/settings.schema.json"
    if schema.exists():
        return {*schema_keys(json.loads(schema.read_text(encoding="utf-8")))}
    declared = (place / "dist/core/settings-manager.d.ts").read_text(encoding="utf-8")
    body = re.search(r"interface Settings \{(.*?)\n\}", declared, re.DOTALL)
    assert body is not None
    return {*re.findall(r"^\s+(\w+)\??:", body[1], re.MULTILINE)}


@BOTH
def test_every_key_of_pis_settings_is_known_and_so_is_every_key_below_a_taste(command: str) -> None:
    found = keys_of(package(command))
    assert {"theme", "packages", "externalEditor", "retry"} <= found
    assert {key for key in found if key.split(".")[0] not in KEYS} == set()
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `([^`]+)` \| .* \| ([^|]*) \|$", PAGE, re.MULTILINE)}
    listed = {f"{key}.{below}" for key in settings_keys.TASTES for below in re.findall("`(.*?)`", rows[key])}
    assert "retry.provider.maxRetries" in listed
    below_tastes = {key for key in found if "." in key and key.split(".")[0] in settings_keys.TASTES}
    assert below_tastes - listed == set()


# -- what it looks for


def configured() -> None:
    """Give Pi something to find everywhere."""
    write(host_file("auth.json"), {"scripted": {"type": "api_key", "key": "key"}})
    write(host_file("mcp.json"), {"mcpServers": {"checks": {"command": "cat"}}})
    write(host_file("trust.json"), {str(home("alice")): True})
    for folder in (".pi/agent", "p/demo/.pi"):
        write(home("alice") / folder / "skills/checks/SKILL.md", "---\nname: checks\ndescription: A skill.\n---\nDo.")
        write(home("alice") / folder / "extensions/checks.ts", "export default function () {}")
        write(home("alice") / folder / "prompts/checks.md", "Do.")
    write(home("alice") / ".agents/skills/shared/SKILL.md", "---\nname: shared\ndescription: A skill.\n---\nDo.")


def looked_for(log: Path) -> set[str]:
    """The paths in the home that strace saw, relative to it."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return {*re.findall(rf'"{home("alice")}/([^"]+)"', text)}


RUNS: Final = (
    ("-p", "run: ls"), ("-p", "/skill:shared"), ("--list-models",), ("list",), ("mcp", "list"), ("update", "--models"),
    ("auth", "check", "--provider", "scripted"), ("remove", "npm:not-installed"),
)  # fmt: skip


@BOTH
def test_every_file_that_pi_looks_for_is_known(command: str, tmp_path: Path) -> None:
    """Without the sandbox, where strace can see it."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:-1]:
        parent.chmod(parent.stat().st_mode | 0o011)
    configured()
    log = tmp_path / "log"
    traced = ("strace", "-f", "-qq", "-e", "trace=%file", "-o", log, policy(command)["program"])
    found: set[str] = set()
    for words in RUNS:
        as_user("alice", *traced, *words)
        found |= looked_for(log)
    screen = terminal("alice", *map(os.fspath, traced))
    screen.expect_exact("scripted-1")
    screen.send("\x04")
    ended(screen)
    found |= looked_for(log)
    project = demo("alice").relative_to(home("alice"))
    inside = {path[len(".pi/agent/") :].split("/")[0] for path in found if path.startswith(".pi/agent/")}
    assert {"settings.json", "auth.json", "trust.json", "bin", "sessions", "themes", "commands"} <= inside
    assert {name for name in inside if not known(name)} == set()
    here = {path[len(f"{project}/") :].split("/")[0] for path in found if path.startswith(f"{project}/")}
    assert {".pi", ".agents"} <= here <= of_the_page("The project")
    above = {path for path in found if not path.startswith((".pi/", f"{project}/"))}
    names = {path.split("/")[0] for path in above} - {".pi", project.parts[0]}
    assert ".agents" in names and names <= of_the_page("The home") | ABOVE
    beside = {path.split("/")[1] for path in above if path.startswith(f"{project.parts[0]}/")} - {project.name}
    assert beside <= {".agents"} | ABOVE
