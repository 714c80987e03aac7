"""Traps for the next launch: what a session leaves in its state tree for root to follow or to wait for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.commands import Result, as_user, inside, on_machine
from support.installed import state

from escapes.case import attempt

# Root may write this directory and read this secret; the agent may do neither. Only root can have changed it.
CANARY: Final = Path("/srv/checks-canary")
SECRET: Final = "checks-canary-secret"

PLACES: Final = (
    ".pi",
    ".pi/.env",
    ".pi/agent",
    ".pi/agent/settings.json",
    ".pi/agent/auth.json",
    ".pi/agent/mcp-auth.json",
    ".pi/agent/mcp.json",
    ".pi/agent/trust.json",
    ".pi/agent/settings.json.lock",
    ".pi/agent/extensions",
    ".pi/agent/sessions",
    ".pi/agent/tmp",
    ".agents",
    ".agents/skills",
    ".config",
    ".config/git/config",
    ".npm",
    ".npm-global",
    "projects",
    "projects/demo",
)
KINDS: Final = {
    "link to a directory": f"ln -sT {CANARY} there",
    "link to a secret": f"ln -sT {CANARY}/secret there",
    "link to a new file": f"ln -sT {CANARY}/new there",
    "pipe": "mkfifo there",
}


@pytest.fixture(autouse=True)
def canary(afresh: None) -> Iterator[Path]:
    """The canary, and something of alice's to sync."""
    CANARY.mkdir(mode=0o700)
    (CANARY / "secret").write_text(f'{{"checks": "{SECRET}"}}')
    (CANARY / "secret").chmod(0o600)
    script = (
        "cd ~/.pi; mkdir -p agent/extensions ../.agents/skills; echo x >agent/extensions/e.ts; echo A=b >.env; "
        "for name in auth mcp-auth mcp trust; do echo '{}' >agent/$name.json; done; echo x >../.agents/skills/s.md"
    )
    as_user("alice", "sh", "-c", script, cwd="/").ok()
    yield CANARY
    on_machine("rm", "-rf", CANARY).ok()


def standing() -> dict[str, tuple[object, ...]]:
    """The state of the canary."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (CANARY, *CANARY.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content)
    return found


def found_secret() -> bool:
    """Whether the secret has reached the state tree."""
    files = [Path(top, name) for top, _, names in os.walk(state("alice", "pi-probe")) for name in names]
    return any(SECRET.encode() in path.read_bytes() for path in files if stat.S_ISREG(path.lstat().st_mode))


# Reports its input, restores everything, and plants the next trap: the place in $1, the kind in $2.
REPORT_AND_PLANT: Final = """
timeout 2 cat ~/.pi/agent/settings.json ~/.pi/agent/auth.json ~/.pi/.env ~/.pi/agent/extensions/* 2>/dev/null
rm -rf ~/.pi ~/.agents ~/.config ~/.npm ~/.npm-global ~/projects
mkdir -p "$(dirname ~/"$1")"
there=~/$1
eval "$2"
test -L "$there" || test -p "$there" && echo planted
"""


def planted(place: str, how: str) -> Result:
    """A launch in which something is planted for the next one. After a refused launch, starts again from nothing."""
    result = inside(REPORT_AND_PLANT, place, how.replace("there", '"$there"'))
    if result.status != 0:
        on_machine("rm", "-rf", state("alice", "pi-probe")).ok()
        inside(REPORT_AND_PLANT, place, how.replace("there", '"$there"')).ok()
    return result


@pytest.mark.parametrize("place", PLACES)
@attempt("root", "have root write, read or wait where a link or pipe in the state leads")
def test_nothing_planted_is_followed(place: str) -> None:
    before = standing()
    kinds = list(KINDS)
    planted(place, KINDS[kinds[0]]).ok()
    for kind, following in zip(kinds, [*kinds[1:], kinds[-1]], strict=True):
        after = planted(place, KINDS[following])
        # The session starts, or is refused with a sentence about the state. Nothing hangs, and nothing is a bug.
        assert after.status in (0, 69), (kind, after.status, after.complaint)
        assert after.status == 69 or after.text.endswith("planted"), kind
        assert after.status == 0 or "the isolated state" in after.complaint, (kind, after.complaint)
        assert SECRET not in after.text + after.complaint, kind
        assert standing() == before, kind
        assert not found_secret(), kind


@pytest.mark.parametrize("mode", ["000", "500", "700"])
@pytest.mark.parametrize("closed", [".", ".pi", ".pi/agent", ".pi/agent/extensions"])
@attempt("next", "close a directory, so that the next session finds what was planted below it")
def test_nothing_survives_below_a_closed_directory(closed: str, mode: str) -> None:
    plant = """
    cd ~/.pi/agent && ls extensions && echo evil >extensions/evil.ts && echo evil >AGENTS.md && touch sessions/own
    chmod "$2" ~/"$1"
    """
    assert inside(plant, closed, mode).ok().text == "e.ts"
    found = inside("cd ~/.pi/agent && echo extensions/* *.md sessions/*").ok()
    assert found.text == "extensions/e.ts *.md sessions/own", "what is the agent's own stays"


@attempt("root", "link a file of another mount into the state, for root to change there")
def test_no_hard_link_stands_in_the_state() -> None:
    inside("echo x >mine; ! ln -T mine ~/.pi/agent/hard && ! ln -T /etc/passwd ~/.pi/agent/hard").ok()
    # It can be made within one mount, so the mounts deny it.
    inside("ln -T mine other").ok()


def test_the_canary_would_tell() -> None:
    before = standing()
    on_machine("sh", "-c", f"echo x >{CANARY}/new").ok()
    assert standing() != before
    (state("alice", "pi-probe")).mkdir(parents=True, exist_ok=True)
    copy = state("alice", "pi-probe") / "copy"
    copy.write_text(SECRET)
    assert found_secret()
