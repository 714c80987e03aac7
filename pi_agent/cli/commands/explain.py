"""`--sandbox-explain`: the plan of a launch here, told instead of carried out.

Runs as root, for a listed host user, and changes nothing: what it tells is gathered by the rooms that a launch goes
through, up to where a launch would begin to write. Of variables, settings and credentials it tells names, never
values. `_facts` makes one JSON object, whose strings may be printed anywhere; `_Page` makes that fit for reading.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pi_agent.cli import output
from pi_agent.cli.dispatch import Call
from pi_agent.cli.parsing import Request
from pi_agent.environment import dotenv_file
from pi_agent.environment import git_identity
from pi_agent.environment.env_files import secrets_in
from pi_agent.linux import directories
from pi_agent.linux import files
from pi_agent.linux.identities import Identity
from pi_agent.linux.identities import acting_as
from pi_agent.messages.quoting import escaped_in_full
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts
from pi_agent.policy import project_roots
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.sandbox.protection import Kind
from pi_agent.session import configuration
from pi_agent.session import session_directory
from pi_agent.session import staging
from pi_agent.session import systemd_run
from pi_agent.session.configuration import Gathered
from pi_agent.session.staging import Plan
from pi_agent.state import json_merge
from pi_agent.state import mirror
from pi_agent.state import sync
from pi_agent.state import user_state
from pi_agent.state.documents import SETTINGS
from pi_agent.state.json_merge import REMOVED
from pi_agent.state.user_state import PI_DIRECTORY
from pi_agent.state.user_state import Seen

VERSION: Final = 1

_NUMBER: Final = "ID"  # where a session has its random number

_NAMES_AT_MOST: Final = 5

_WIDTH: Final = 110

_INDENT: Final = 20

_COVERS: Final = {"protected": Kind.PROTECT, "hidden": Kind.HIDE, "pinned": Kind.PIN, "links": Kind.LINK}

Facts = dict[str, Any]


def on_host(policy: Policy, request: Request) -> Sequence[str] | int:
    """As the user: what the runner would not be asked for, a refused user, is told at once."""
    try:
        accounts.by_uid(policy, os.getuid())
    except Refusal as refusal:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
        facts = _opening(policy, name)
        return _told(request, _closing(facts, refusal))
    return [request.command.name, *sorted(request.flags)]


def run(call: Call) -> int:
    """Tell the plan. The status is that with which a launch would be refused, 0 where it would not be."""
    facts = _opening(call.policy, call.caller.name)
    facts["roots"] = [
        {
            "configured": escaped_in_full(root.configured),
            "path": escaped_in_full(root.path) if root.path else None,
            "unusable": root.why,
        }
        for root in project_roots.survey(call.policy, call.caller)
    ]
    refused = None
    try:
        _fill(facts, call)
    except Refusal as refusal:
        refused = refusal
    return _told(call.request, _closing(facts, refused))


def _told(request: Request, facts: Facts) -> int:
    if "--json" in request.flags:
        output.json(facts)
    else:
        output.lines(_page(facts))
    return int(facts["status"])


# -- what there is to tell


def _opening(policy: Policy, user: str) -> Facts:
    """The object with all its keys; what does not come to be known stays null."""
    try:
        directory = os.getcwd()
    except OSError:
        directory = ""
    known: Facts = {"version": VERSION, "command": policy.command_name, "user": escaped_in_full(user)}
    known |= {
        "agent": policy.user,
        "directory": escaped_in_full(directory),
        "allowed": None,
        "status": None,
        "refusal": None,
    }
    unknown = ("root", "roots", "mounts", *_COVERS, "configuration", "state", "environment", "unit", "notices")
    return known | dict.fromkeys(unknown)


def _closing(facts: Facts, refusal: Refusal | None) -> Facts:
    facts |= {"allowed": refusal is None, "status": 0 if refusal is None else refusal.status}
    if refusal is not None:
        facts["refusal"] = {"what": refusal.what, "remedy": refusal.remedy}
    return facts


def _fill(facts: Facts, call: Call) -> None:
    """Go the way of a launch, and note in facts what is found. Raises Refusal where a launch would be refused."""
    policy, user, agent = call.policy, call.caller, call.agent
    notices = facts["notices"] = list[str]()
    chosen = project_roots.locate(policy, user)
    facts["root"] = escaped_in_full(chosen.root)
    seen = user_state.look(policy, agent, user.name)
    gathered = configuration.gather(policy, user, from_host=True)
    synced = sync.look(policy, user, agent, gathered.host, seen.home, seen.memory, notices.append)
    facts["configuration"] = _configuration(policy, gathered, synced)
    facts["state"] = _state(policy, agent, user, chosen, seen, gathered)
    named = session_directory.named(user.name, user.uid, _NUMBER)
    with staging.planned(policy, named, user, agent, chosen, gathered.configured, notices.append) as plan:
        facts["mounts"] = _mounts(policy, user, chosen, plan, named)
        for name, kind in _COVERS.items():
            facts[name] = [
                escaped_in_full(f"{chosen.root}/{cover.path}") for cover in plan.covers if cover.kind is kind
            ]
        facts["environment"] = {
            escaped_in_full(name): layer.setter for layer in plan.layers for name in sorted(layer.variables)
        }
        properties = [escaped_in_full(each) for each in plan.properties]
        facts["unit"] = {"name": named.unit, "slice": systemd_run.SLICE, "properties": properties}


def _mounts(
    policy: Policy, user: Identity, chosen: Project, plan: Plan, named: session_directory.Session
) -> list[Facts]:
    staged = {mount.bind.source: mount for mount in (plan.project, *plan.extras) if mount is not None}
    others = {named.state: f"{policy.state_dir}/users/{user.name}", named.terminals: "devpts"}
    found: list[Facts] = []
    for bind in plan.binds:
        mount = staged.get(bind.source)
        source = bind.target if mount is not None else others[bind.source]
        found.append(_mount(source, bind.target, writable=bind.writable, mapped=mount is not None and mount.mapped))
    # The project comes first: it is what was asked for.
    found.sort(key=lambda entry: entry["target"] != escaped_in_full(chosen.root))
    return [*found, *(_mount(path, path, writable=False, mapped=False) for path in plan.system.binds)]


def _mount(source: str, target: str, *, writable: bool, mapped: bool) -> Facts:
    return {
        "source": escaped_in_full(source),
        "target": escaped_in_full(target),
        "writable": writable,
        "owners_mapped": mapped,
    }


def _configuration(policy: Policy, gathered: Gathered, synced: sync.Plan) -> Facts:
    env_files: list[Facts] = [
        {"path": escaped_in_full(path), "from": "host .env", "variables": len(found)}
        for path, found in gathered.env_files.items()
    ]
    env_files += [
        {"path": escaped_in_full(path), "from": "environmentFiles", "variables": len(secrets_in(path))}
        for path in policy.environment_files
    ]
    return {
        "host": None if gathered.host is None else escaped_in_full(gathered.host.path),
        "nix_settings": _places(json_merge.changes({}, policy.settings, SETTINGS.depth)),
        "env_files": env_files,
        "git_identity": sorted(gathered.committer),
        "documents": {
            plan.kind.name: {
                "set": _places(path for path, value in plan.changes.items() if value is not REMOVED),
                "remove": _places(path for path, value in plan.changes.items() if value is REMOVED),
                "unreadable": None if plan.unreadable is None else escaped_in_full(plan.unreadable),
            }
            for plan in synced.documents
        },
        "files": None if synced.files is None else _files(synced.files.work, synced.files.overgrown),
    }


def _places(found: Iterable[json_merge.Path]) -> list[str]:
    """Where values stand in a document: the keys on the way, with dots between them."""
    return sorted(escaped_in_full(".".join(path)) for path in found)


def _files(work: mirror.Plan, aside: Sequence[str]) -> Facts:
    def told(names: Sequence[str]) -> Facts:
        return {"count": len(names), "first": [escaped_in_full(name) for name in sorted(names)[:_NAMES_AT_MOST]]}

    return {"copy": told(work.copy), "make": told(work.make), "remove": told(work.remove), "move_aside": told(aside)}


def _state(policy: Policy, agent: Identity, user: Identity, chosen: Project, seen: Seen, gathered: Gathered) -> Facts:
    """What a launch makes and writes in the user's own tree, beside what is synchronised."""
    home = f"users/{user.name}"
    writes = []
    with acting_as(agent):
        dotenv = dotenv_file.content(policy, gathered.configured.host_env)
        if not _within(seen.home, PI_DIRECTORY, lambda at: files.says(at, ".env", dotenv)):
            writes.append(f"{home}/{PI_DIRECTORY}/.env")
        git = ".config/git"
        if gathered.committer and not _within(seen.home, git, lambda at: git_identity.stays(at, gathered.committer)):
            writes.append(f"{home}/{git}/{git_identity.NAME}")
        link = f"projects/{os.path.basename(chosen.root)}"
        if not _leads(seen.home, link, chosen.root):
            writes.append(f"{home}/{link}")
    return {
        "path": escaped_in_full(policy.state_dir),
        "exists": seen.home is not None,
        "make": [escaped_in_full(name) for name in seen.missing],
        "write": [escaped_in_full(name) for name in writes],
    }


def _within(home: int | None, folder: str, ask: Callable[[int], bool]) -> bool:
    """ask's answer on the open directory folder; False where it is not there or cannot be entered."""
    with suppress(OSError):
        if home is not None:
            directory = directories.peek_path(home, folder)
            try:
                return ask(directory)
            finally:
                os.close(directory)
    return False


def _leads(home: int | None, link: str, root: str) -> bool:
    """Whether the link is there, or something of the agent's own, which is left alone."""

    def stays(directory: int) -> bool:
        name = os.path.basename(link)
        try:
            return os.readlink(name, dir_fd=directory) == root
        except FileNotFoundError:
            return False
        except OSError:
            return True

    return _within(home, os.path.dirname(link), stays)


# -- for reading


def _page(facts: Facts) -> list[str]:
    """The facts as a page of text."""
    page = _Page()
    _verdict(page, facts)
    if facts["mounts"] is not None:
        _view(page, facts)
    if facts["configuration"] is not None:
        _changes(page, facts)
    if facts["environment"] is not None:
        _session(page, facts)
    if facts["notices"]:
        page.section("Notices")
        for notice in facts["notices"]:
            page.line("", notice)
    return page.lines


class _Page:
    """Lines of a label and words, broken where they get long."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines += [""] if self.lines else []
        self.lines.append(title)

    def line(self, label: str, *words: str, between: str = " ") -> None:
        """Words one after the other behind a label."""
        for number, row in enumerate(_rows(words, between, _WIDTH - _INDENT) or ["-"]):
            self.lines.append(f"  {label if number == 0 else '':<{_INDENT - 3}} {row}")

    def words(self, words: Iterable[str]) -> None:
        """Words one after the other over the whole width."""
        self.lines += [f"  {row}" for row in _rows(words, "  ", _WIDTH - 2)]


def _rows(words: Iterable[str], between: str, width: int) -> list[str]:
    """Words as rows of about that width; none is broken."""
    rows: list[str] = []
    for word in words:
        if rows and len(rows[-1]) + len(between) + len(word) <= width:
            rows[-1] += between + word
        else:
            if rows:
                rows[-1] += between.rstrip()
            rows.append(word)
    return rows


def _verdict(page: _Page, facts: Facts) -> None:
    page.section(f"{facts['command']} in {facts['directory'] or 'a directory that is gone'}")
    refusal = facts["refusal"]
    if refusal is None:
        page.line("allowed", f"for {facts['user']}, in the root {facts['root']}")
        page.line("runs as", f"{facts['agent']}, in {facts['unit']['name']} of {facts['unit']['slice']}")
    else:
        page.line("refused", f"with status {facts['status']}: {refusal['what']}")
        page.line("what to do", refusal["remedy"].split("\n")[0])
        for row in refusal["remedy"].split("\n")[1:]:
            page.line("", row)
    for root in facts["roots"] or []:
        where = "" if root["path"] in (None, root["configured"]) else f" ({root['path']})"
        chosen = ", which holds this directory" if root["path"] and root["path"] == facts["root"] else ""
        page.line("root", f"{root['configured']}{where}{chosen}{_because(root['unusable'])}")


def _because(why: str | None) -> str:
    return "" if why is None else f": cannot be used, {why}"


def _view(page: _Page, facts: Facts) -> None:
    page.section("What it sees")
    shown = [mount for mount in facts["mounts"] if mount["writable"] or mount["source"] != mount["target"]]
    for mount in facts["mounts"]:
        if mount not in shown and mount["owners_mapped"]:
            shown.append(mount)
    width = max(len(mount["target"]) for mount in shown)
    for mount in shown:
        source = "" if mount["source"] == mount["target"] else f"  is {mount['source']}"
        owners = "  owners are mapped" if mount["owners_mapped"] else ""
        page.line(
            "read-write" if mount["writable"] else "read-only", f"{mount['target']:<{width}}{source}{owners}".rstrip()
        )
    page.line("read-only", *(mount["target"] for mount in facts["mounts"] if mount not in shown))
    top = f"{facts['root'].rstrip('/')}/"
    for name in ("protected", "hidden"):
        page.line(name, *(path.removeprefix(top) for path in facts[name]), between="  ")


def _changes(page: _Page, facts: Facts) -> None:
    found = facts["configuration"]
    page.section("Configuration")
    page.line("from the host", found["host"] or "nothing")
    page.line("from Nix", *(found["nix_settings"] or ["no settings"]), between=", ")
    for each in found["env_files"]:
        page.line("variables", f"{each['path']} ({each['from']}): {each['variables']}")
    for name, document in found["documents"].items():
        words = [f"sets {place}" for place in document["set"]]
        words += [f"removes {place}" for place in document["remove"]]
        if document["unreadable"] is not None:
            words.insert(0, f"is kept aside ({document['unreadable']})")
        page.line(name, *(words or ["no change"]), between=", ")
    work = found["files"] or {}
    words = [_counted(verb.replace("_", " "), what) for verb, what in work.items() if what["count"]]
    page.line("files", *(words or ["no change"]), between="; ")
    for label in ("make", "write"):
        names = facts["state"][label]
        page.line(f"state, to {label}", *(names or ["nothing"]), between=", ")


def _counted(verb: str, what: Mapping[str, Any]) -> str:
    more = what["count"] - len(what["first"])
    return f"{verb} {what['count']}: {', '.join(what['first'])}" + (f" and {more} more" if more else "")


def _session(page: _Page, facts: Facts) -> None:
    page.section("Environment, by who sets it")
    setters: dict[str, list[str]] = {}
    for name, setter in facts["environment"].items():
        setters.setdefault(setter, []).append(name)
    for setter, names in setters.items():
        page.line(setter, *sorted(names))
    page.section("The unit's properties")
    page.words(facts["unit"]["properties"])
