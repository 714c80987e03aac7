"""The table of files that run by themselves, and docs/self-running.md, which shows it."""

from __future__ import annotations

import json
from typing import Final

import pytest

from pi_agent.sandbox import self_running_page, self_running_table
from pi_agent.sandbox.project_search import fits
from pi_agent.sandbox.self_running_table import LEFT, PROTECTED, TOLD, TREATMENTS, Beside
from tests.support.checkout import TOP

_TABLE: Final = self_running_table.load()
_PATTERNS: Final = {treatment: self_running_table.patterns(_TABLE, treatment) for treatment in TREATMENTS}


def treatments(path: str) -> set[str]:
    """How a file of this path is treated."""
    parts = path.split("/")

    def covers(pattern: str) -> bool:
        wanted = pattern.split("/")
        return len(wanted) <= len(parts) and all(map(fits, parts, wanted))

    return {treatment for treatment, patterns in _PATTERNS.items() if any(map(covers, patterns))}


def test_the_page_shows_the_table() -> None:
    page = (TOP / "docs/self-running.md").read_text()
    assert page == self_running_page.page(_TABLE), "run make docs"
    for patterns in _PATTERNS.values():
        for pattern in patterns:
            assert f"`{pattern}`" in page


def test_readme_has_the_beginning_of_the_table() -> None:
    readme = (TOP / "README.md").read_text()
    assert self_running_page.updated(readme, _TABLE) == readme, "run make docs"
    for group in _TABLE.groups:
        assert f"\n| {group} | `" in readme
    with pytest.raises(ValueError):
        self_running_page.updated("# Something else", _TABLE)


def test_every_entry_is_complete() -> None:
    assert sum(len(entry.patterns) for entry in _TABLE.entries) > 300
    for entry in _TABLE.entries:
        assert entry.patterns and entry.source and entry.treatment in TREATMENTS
        assert entry.reason.endswith("."), entry
        assert entry.when.startswith((self_running_table.BY_ITSELF, "`")), entry
        assert not {"|", "\n"} & set(entry.when + entry.reason + entry.source), entry


def test_the_entries_stand_in_the_order_of_their_groups() -> None:
    order = [_TABLE.groups.index(entry.group) for entry in _TABLE.entries]
    assert order == sorted(order)
    assert set(order) == set(range(len(_TABLE.groups)))


def test_no_pattern_stands_twice() -> None:
    every = [pattern for patterns in _PATTERNS.values() for pattern in patterns]
    assert sorted(every) == sorted(set(every))


def test_no_protected_pattern_is_covered_by_another() -> None:
    """Each costs a look in every place."""
    for pattern in _PATTERNS[PROTECTED]:
        components = pattern.split("/")
        above = {"/".join(components[:length]) for length in range(1, len(components))}
        assert not above & set(_PATTERNS[PROTECTED]), pattern


def test_only_what_may_change_has_conditions() -> None:
    for entry in _TABLE.entries:
        if entry.parts or entry.beside:
            assert entry.treatment == TOLD, entry
    conditions = {pattern: entry.beside for entry in _TABLE.entries for pattern in entry.patterns if entry.beside}
    assert conditions["flake.nix"] == Beside(".envrc", "flake")
    [parts] = [entry.parts for entry in _TABLE.entries if entry.patterns == ("package.json",)]
    assert {"scripts", "lint-staged", "husky"} <= set(parts)
    assert "dependencies" not in parts


def test_which_entries_run_by_themselves_is_known() -> None:
    by_itself = {
        pattern for entry in _TABLE.entries if self_running_table.runs_by_itself(entry) for pattern in entry.patterns
    }
    assert {".git/hooks", ".envrc", ".vscode", ".bashrc"} <= by_itself
    assert not {"package.json", ".npmrc", "Makefile"} & by_itself


@pytest.mark.parametrize(
    ("treatment", "path"),
    [
        *(
            (PROTECTED, path)
            for path in (
                *(".vimrc", ".gvimrc", ".vim/plugin/x.vim", ".exrc", ".nvim.lua", ".dir-locals.el", ".dir-locals-2.el"),
                *("mise.toml", "mise.local.toml", ".mise.local.toml", ".mise.dev.local.toml", ".tool-versions"),
                *(".envrc", ".envrc.local", "opencode.json", "opencode.jsonc", ".opencode/plugin/x.ts"),
                *(".cargo/config.toml", ".cargo/config", ".lintstagedrc", ".lintstagedrc.json", "hie.yaml"),
                *("x.sublime-project", "x.code-workspace", ".git/hooks/pre-commit"),
                *(".local/bin/ls", ".config/nvim/init.lua", ".1password"),
                *(".local/share/systemd/user/x.service", ".config/systemd/user/x.service", ".config/systemd/x"),
                *(".husky/pre-commit", "lefthook.yml", "lefthook-local.toml", ".pre-commit-config.yaml", ".npmrc"),
                *(".yarnrc.yml", ".pnpmfile.cjs", "bunfig.toml", ".mvn/extensions.xml", "gradlew", ".bazelrc"),
                *(
                    ".claude/settings.json",
                    ".mcp.json",
                    ".cursor/mcp.json",
                    ".gemini/settings.json",
                    ".pi/settings.json",
                ),
                *(".aider.conf.yml", ".continue/config.yaml", ".windsurf/hooks.json", ".zed/settings.json"),
                *(".idea/startup.xml", ".vscode/tasks.json", ".helix/languages.toml", ".bashrc", ".zshrc"),
            )
        ),
        *((TOLD, path) for path in ("package.json", "flake.nix", "shell.nix", "composer.json", "eslint.config.js")),
        *((TOLD, path) for path in ("AGENTS.md", "CLAUDE.md", "build.rs", "CMakePresets.json", ".bsp/sbt.json")),
        *((LEFT, path) for path in ("Makefile", "Cargo.toml", "CMakeLists.txt", "pyproject.toml", "justfile", ".env")),
        *((LEFT, path) for path in (".gitattributes", ".editorconfig", "go.mod", "pom.xml", ".nvmrc", "Gemfile")),
    ],
)
def test_a_file_is_treated_as_decided(treatment: str, path: str) -> None:
    assert treatments(path) == {treatment}


@pytest.mark.parametrize(
    "path", ["README.md", "src/main.rs", ".config/nextest.toml", ".git/index", ".github/CODEOWNERS"]
)
def test_an_ordinary_file_is_not_in_the_table(path: str) -> None:
    assert treatments(path) == set()


def test_the_file_is_plain_json_of_known_keys() -> None:
    value = json.loads((TOP / "pi_agent/sandbox/self_running_files.json").read_text())
    needed = {"patterns", "group", "when", "treatment", "reason", "source"}
    for entry in value["files"]:
        assert needed <= entry.keys() <= {*needed, "parts", "beside"}
