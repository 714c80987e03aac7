"""docs/pi-files.md says of each name and key what the code does with it, and names all that the code names."""

from __future__ import annotations

import re
from typing import Final

from pi_agent.cli.doctor import disk_checks
from pi_agent.state import pi_files, settings_keys
from pi_agent.state.document_kinds import DOCUMENTS
from tests.support.checkout import TOP

_PAGE: Final = (TOP / "docs/pi-files.md").read_text()
_VERSIONS: Final = ("0.87, 1.6", "1.6", "")


def rows(title: str) -> list[list[str]]:
    """The cells of the table below the heading."""
    [section] = [text for text in re.split(r"^## ", _PAGE, flags=re.MULTILINE) if text.startswith(f"{title}\n")]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    assert all(len(cells) == len(found[0]) for cells in found[2:]), found
    return found[2:]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def becomes(title: str) -> dict[str, str]:
    """Name → the first words of what becomes of it."""
    return {name: re.split("[:,]", row[-1])[0] for row in rows(title) for name in names(row[0])}


def test_every_name_becomes_what_the_page_says() -> None:
    page = becomes("Pi's directory")
    code = {
        **dict.fromkeys(pi_files.MERGED, "merged"),
        **dict.fromkeys((*pi_files.MIRRORED, "*.md"), "mirrored"),
        **dict.fromkeys((*pi_files.PIS_OWN, "*.lock"), "kept"),
        **dict.fromkeys(pi_files.KEPT_CODE, "kept code"),
        **dict.fromkeys(pi_files.CLEARED, "cleared"),
        **dict.fromkeys(pi_files.ELSEWHERE, "written"),
    }
    assert page == code
    for pattern, of_that_kind in (("*.md", pi_files.is_mirrored), ("*.lock", pi_files.is_pis_own)):
        assert of_that_kind(pattern.replace("*", "x"))


def test_the_home_is_what_the_page_says() -> None:
    page = becomes("The home")
    assert page[pi_files.SHARED_SKILLS] == "mirrored"
    code = {path.split("/")[0] for path in disk_checks._CODE} - {".pi"}
    for kind, of_code in {
        "kept code": code,
        "kept settings": {*pi_files.KEPT_SETTINGS},
        "cleared": {*pi_files.CLEARED_IN_HOME},
    }.items():
        assert {name for name, becomes_ in page.items() if becomes_ == kind} == of_code


def test_every_key_of_the_settings_is_of_the_kind_that_the_page_says() -> None:
    page = {name: row[2] for row in rows("Keys of settings.json") for name in names(row[0])}
    code = {
        **dict.fromkeys(settings_keys.RUNS, "runs"),
        **dict.fromkeys(settings_keys.REDIRECTS, "redirects"),
        **dict.fromkeys(settings_keys.TASTES, "taste"),
    }
    assert page == code


def test_every_row_says_which_pi_has_it() -> None:
    for title in ("Pi's directory", "The home", "The project", "Keys of settings.json", "Locks"):
        assert {row[1] for row in rows(title)} <= {*_VERSIONS}


def test_locks_are_stale_when_the_page_says_and_waited_for_as_long() -> None:
    page = {row[0].strip("`"): (row[2], row[-1]) for row in rows("Locks")}
    for kind in DOCUMENTS:
        stale, waits = page[f"{kind.name}.lock"]
        assert stale.startswith(f"{kind.stale:.0f} s") and waits == f"{kind.patience:.0f} s"
