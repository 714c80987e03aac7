"""Makes attempts in the sandbox, and outside for the controls, and examines the machine from outside."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from support.commands import as_user, login, on_machine
from support.installed import Json

from escapes.case import Case

PROGRAM: Final = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
PATIENCE: Final = 120.0
_CONTROLS: Final = Path("/var/tmp/checks-controls")

Answers = dict[str, str]


def _work(facts: Json, attempts: Mapping[str, str], *, apart: bool = False) -> bytes:
    return json.dumps({"there": facts, "attempts": attempts, "apart": apart}).encode()


def made(cases: Iterable[Case], facts: Json) -> Answers:
    """The answers to the attempts of cases, by id. Each variant has one session."""
    found: Answers = {}
    cases = list(cases)
    for variant in sorted({case.variant for case in cases}):
        attempts = {case.id: case.attempt for case in cases if case.variant == variant}
        found |= _inside(variant, attempts, facts)
    return found


def controls(cases: Iterable[Case], facts: Json) -> Answers:
    """The answers to the controls of cases, by id."""
    found: Answers = {}
    cases = list(cases)
    shutil.rmtree(_CONTROLS, ignore_errors=True)
    _CONTROLS.mkdir()
    for who in sorted({case.control.who for case in cases}):
        attempts = {case.id: case.control.attempt or case.attempt for case in cases if case.control.who == who}
        found |= _inside(who, attempts, facts) if who.startswith("pi-") else _outside(who, attempts, facts)
    shutil.rmtree(_CONTROLS)
    return found


def _inside(variant: str, attempts: Mapping[str, str], facts: Json) -> Answers:
    words = (variant, "exec", "python3", "-c", PROGRAM)
    result = as_user("alice", *words, stdin=_work(facts, attempts), timeout=PATIENCE).ok()
    return _answers(result.stdout)


def _outside(who: str, attempts: Mapping[str, str], facts: Json) -> Answers:
    identity = pwd.getpwuid(facts["agent"]) if who == "agent" else pwd.getpwnam(who)
    place = _CONTROLS / who
    place.mkdir()
    os.chown(place, identity.pw_uid, identity.pw_gid)
    words = ["env", f"--chdir={place}", "python3", "-c", PROGRAM]
    if who == "agent":
        ids = (f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}", "--clear-groups")
        words = ["setpriv", *ids, *words]
    elif who != "root":
        words = [os.fsdecode(word) for word in login(who, words[2:], place)]
    # What root mounts and renames must belong to root.
    work = _work(facts, attempts, apart=who == "root")
    return _answers(on_machine(*words, stdin=work, timeout=PATIENCE).ok().stdout)


def _answers(output: bytes) -> Answers:
    value: Answers = json.loads(output)
    return value


def kept(path: str) -> tuple[Any, ...] | None:
    """The state of a path outside."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    content = Path(path).read_bytes() if os.path.isfile(path) and not os.path.islink(path) else b""
    owner = (status.st_uid, status.st_gid)
    return (status.st_ino, status.st_mode, status.st_nlink, *owner, status.st_size, status.st_mtime_ns, content)


def setid_below(*places: Path) -> list[str]:
    """The setuid and setgid files below places."""
    return on_machine("find", *places, "-type", "f", "-perm", "/6000").ok().text.split()
