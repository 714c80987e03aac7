"""Scenarios and attempts to escape run on NixOS as well (checks/vm.nix): they name no file that only Debian has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.checkout import TOP

CHECKS: Final = TOP / "checks"
# What runs in the machine. The benchmarks do not run on NixOS.
SOURCES: Final = sorted(
    path
    for place in ("scenarios", "escapes", "support", "guest")
    for path in (CHECKS / place).rglob("*")
    # Only Debian needs activating.
    if path.is_file() and path.suffix in (".py", "") and path.name not in ("activate", "enter", "prepare", "packages")
    if path.suffix == ".py" or path.read_bytes().startswith(b"#!/usr/bin/python3")
)
_TOP: Final = r"(?:usr|bin|sbin|lib|lib32|lib64|libx32|games|boot|media)"
# A path below one of Debian's directories, as a word of its own: not the end of a longer path or of a pattern.
_PATH: Final = re.compile(rf"(?<![\w./}}*~$-])/{_TOP}(?:/[\w.+*{{}}-]+)*/?(?![\w/])|(?<![\w./}}*~$-])/etc/[\w./-]+")
# NixOS has these.
_THERE: Final = {"/usr", "/usr/bin", "/usr/bin/env", "/bin", "/bin/sh", "/lib", "/lib64"}
# Files of /etc that NixOS does not have, or does not have as files that can be replaced.
_DEBIANS_ETC: Final = re.compile(
    r"/etc/(?:alternatives|apt|bash\.bashrc|debian_version|default|environment|init\.d|ld\.so|login\.defs|profile\.d"
    r"|sudoers\.d|update-motd\.d)(?:/|$)"
)
# A directory on a PATH may be missing.
_SEARCH: Final = re.compile(r"(?<![\w/.-])(?:/[\w./-]+:)+/[\w./-]+")
# Each of these looks in Debian's place and in that of NixOS, or does so on Debian alone.
EXCEPTIONS: Final = {
    "scenarios/test_pages.py": {"/usr/share/bash-completion/bash_completion", "/usr/local/share", "/usr/share"},
    "scenarios/test_doctor_access.py": {"/etc/sudoers.d/system", "/etc/sudoers.d/zz-administrator"},
    "scenarios/test_settings.py": {"/bin/bash"},  # a value that is never looked up
    "scenarios/test_options.py": {"/bin/bash"},  # the end of a path in the store
    "scenarios/test_work.py": {"/bin/bash", "/bin/checks-extra"},  # the same
}


def strings(source: str) -> Iterator[str]:
    """The strings of a Python source that are no docstrings. In a formatted one, `}` stands for each value."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docstrings:
            yield node.value


def paths_of_debian(source: str) -> set[str]:
    """The paths in the strings of a Python source that NixOS does not have."""
    found = {path for text in strings(source) for path in _PATH.findall(_SEARCH.sub("", text))}
    return {path for path in found if not path.startswith("/etc/") or _DEBIANS_ETC.match(path)} - _THERE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKS)))
def test_nothing_that_runs_on_nixos_names_a_path_of_debian(path: Path) -> None:
    found = paths_of_debian(path.read_text(encoding="utf-8"))
    excepted = EXCEPTIONS.get(str(path.relative_to(CHECKS)), set())
    assert found - excepted == set(), "find programs on the PATH"
    assert excepted <= found, "an exception that is needed no longer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'/usr/bin/id'", {"/usr/bin/id"}),
        ("f'cp /usr/bin/id {place}'", {"/usr/bin/id"}),
        ("('/bin/bash', '/bin/sh', '/usr/bin/env')", {"/bin/bash"}),
        ("'#!/bin/bash\\n'", {"/bin/bash"}),
        ("'x=/sbin/init; ls /usr/share /usr/lib/x/*'", {"/sbin/init", "/usr/share", "/usr/lib/x/*"}),
        ("'PATH=/usr/sbin:/usr/bin:/bin; /usr/sbin/nologin'", {"/usr/sbin/nologin"}),
        ("'/etc/bash.bashrc /etc/passwd /etc/sudoers.d/x /etc/sudoers'", {"/etc/bash.bashrc", "/etc/sudoers.d/x"}),
        ("'/nix/store/x/bin/y $out/bin/y ~/bin/y ./usr/bin/y /run/current-system/sw/bin/y'", set()),
        ("f'{store}/bin/y'", set()),
        ("'/srv/usr/bin /user /binary /libexec'", set()),
    ],
)
def test_a_path_of_debian_is_found(text: str, expected: set[str]) -> None:
    assert paths_of_debian(f"use({text})") == expected
    assert paths_of_debian(f"def f():\n  {text if text[0] == chr(39) else 'pass'}") == set(), "a docstring"


def test_scenarios_name_only_those_files_of_the_project_that_the_vm_has() -> None:
    vm = (CHECKS / "vm.nix").read_text(encoding="utf-8")
    there = {(CHECKS / path).resolve() for path in re.findall(r"^\s+(\.\.?/[\w./]*)$", vm, re.MULTILINE)}
    assert CHECKS in there and TOP / "README.md" in there
    named = {
        TOP / path
        for source in SOURCES
        for text in strings(source.read_text(encoding="utf-8"))
        for path in re.findall(r"/opt/pi-agent/([\w./-]+)", text)
    }
    existing = {path for path in named if path.exists()}
    assert existing, "nothing was found"
    assert [path for path in existing if not there.intersection((path, *path.parents))] == []
