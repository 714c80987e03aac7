"""What `--sandbox-explain` prints, as one JSON object (docs/explain.md). Pure functions of a plan.

All strings are escaped. Of variables, settings and credentials there are names, never values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pi_agent.messages.quoting import escaped_in_full
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Root
from pi_agent.sandbox import prepared_root
from pi_agent.sandbox.protection import Kind
from pi_agent.sandbox.system_directories import COMPILE_CACHE
from pi_agent.session import systemd_run
from pi_agent.session.launch_plan import Configuration, Plan, Request
from pi_agent.state import json_merge
from pi_agent.state.document_kinds import SETTINGS
from pi_agent.state.file_sync import FilePlan
from pi_agent.state.json_merge import REMOVED

VERSION: Final = 1
_NAMES_AT_MOST: Final = 5
_COVERS: Final = {"protected": Kind.PROTECT, "hidden": Kind.HIDE, "pinned": Kind.PIN, "links": Kind.LINK}
Facts = dict[str, Any]


def opening(policy: Policy, user: str) -> Facts:
    """The object with all its keys; what stays unknown is null."""
    try:
        directory = os.getcwd()
    except OSError:
        directory = ""
    known: Facts = {"version": VERSION, "command": policy.command_name, "user": escaped_in_full(user)}
    agent = policy.host_users[user].agent_user if user in policy.host_users else None
    known |= {"agent": agent, "directory": escaped_in_full(directory)}
    known |= {"allowed": True, "status": 0, "refusal": None}
    unknown = (
        "root",
        "roots",
        "mounts",
        *_COVERS,
        "of_agents",
        "configuration",
        "state",
        "environment",
        "unit",
        "notices",
    )
    return known | dict.fromkeys(unknown)


def refused(facts: Facts, refusal: Refusal) -> Facts:
    """The object of a launch that would be refused."""
    told = {"what": refusal.what, "remedy": refusal.remedy}
    return {**facts, "allowed": False, "status": refusal.status, "refusal": told}


def of_roots(roots: Iterable[Root]) -> Facts:
    """All roots of the user."""
    return {
        "roots": [
            {
                "configured": escaped_in_full(root.configured),
                "path": escaped_in_full(root.path) if root.path else None,
                "unusable": root.why,
            }
            for root in roots
        ]
    }


def of_request(request: Request) -> Facts:
    """What is asked for."""
    return {"root": None if request.project is None else escaped_in_full(request.project.root)}


def of_plan(plan: Plan) -> Facts:
    """Everything that a launch would do."""
    session = plan.request.session
    root = "" if plan.request.project is None else plan.request.project.root
    facts: Facts = {"mounts": _mounts(plan)}
    for name, kind in _COVERS.items():
        facts[name] = [escaped_in_full(f"{root}/{cover.path}") for cover in plan.view.covers if cover.kind is kind]
    return facts | {
        "configuration": _configuration(plan.request.policy, plan.configuration),
        "state": _state(plan),
        "environment": {
            escaped_in_full(name): layer.setter for layer in plan.layers for name in sorted(layer.variables)
        },
        "unit": {
            "name": session.unit,
            "slice": systemd_run.SLICE,
            "properties": [escaped_in_full(each) for each in plan.properties],
        },
        "notices": [*plan.notices],
    }


def _mounts(plan: Plan) -> list[Facts]:
    """Every mount, the project first."""
    request, view = plan.request, plan.view
    home = f"{request.policy.state_dir}/users/{request.accounts.caller.name}"
    agent_home = request.accounts.agent.home
    shown = [view.project] if view.project is not None else []
    cache = view.system.compile_cache
    return [
        *(_mount(each.target, each.target, each.writable, each.mapped) for each in shown),
        _mount(home, agent_home, writable=True, mapped=view.state_mapped),
        _mount("devpts", "/dev/pts", writable=True, mapped=False),
        *(_mount(each.target, each.target, each.writable, each.mapped) for each in view.extras),
        *(
            _mount(path, path, writable=False, mapped=False)
            for path in (*prepared_root.content().directories, *view.system.paths)
        ),
        *([] if cache is None else [_mount(cache, COMPILE_CACHE, writable=False, mapped=False)]),
    ]


def _mount(source: str, target: str, writable: bool, mapped: bool) -> Facts:
    return {
        "source": escaped_in_full(source),
        "target": escaped_in_full(target),
        "writable": writable,
        "owners_mapped": mapped,
    }


def _configuration(policy: Policy, found: Configuration) -> Facts:
    env_files = [_env_file(path, "host .env", variables) for path, variables in found.sources.host_files.items()]
    env_files += [
        _env_file(path, "environmentFiles", variables) for path, variables in found.sources.secret_files.items()
    ]
    synced = found.sync
    host = None if synced is None or synced.sides.host is None else synced.sides.host.path
    return {
        "host": None if host is None else escaped_in_full(host),
        "nix_settings": _places(json_merge.changes({}, policy.settings, SETTINGS.depth)),
        "env_files": env_files,
        "git_identity": sorted(found.git_identity),
        "documents": {
            plan.kind.name: {
                "set": _places(path for path, value in plan.changes.items() if value is not REMOVED),
                "remove": _places(path for path, value in plan.changes.items() if value is REMOVED),
                "unreadable": None if plan.unreadable is None else escaped_in_full(plan.unreadable),
            }
            for plan in (synced.documents if synced is not None else ())
        },
        "files": None if synced is None or not synced.files else _files(synced.files),
    }


def _env_file(path: str, source: str, variables: Iterable[str]) -> Facts:
    return {"path": escaped_in_full(path), "from": source, "variables": len(list(variables))}


def _places(found: Iterable[json_merge.Path]) -> list[str]:
    """The places of values in a document: the keys on the way, with dots between them."""
    return sorted(escaped_in_full(".".join(path)) for path in found)


def _files(plans: Sequence[FilePlan]) -> Facts:
    return {
        "copy": _counted([name for plan in plans for name in plan.work.copy]),
        "make": _counted([name for plan in plans for name in plan.work.make]),
        "remove": _counted([name for plan in plans for name in plan.work.remove]),
        "move_aside": _counted([name for plan in plans for name in plan.overgrown]),
    }


def _counted(names: Sequence[str]) -> Facts:
    return {"count": len(names), "first": [escaped_in_full(name) for name in sorted(names)[:_NAMES_AT_MOST]]}


def _state(plan: Plan) -> Facts:
    """What a launch makes and writes in the user's own tree, apart from the synced configuration."""
    home = f"users/{plan.request.accounts.caller.name}"
    written = [file.path for file in plan.configuration.files]
    if plan.configuration.link is not None:
        written.append(plan.configuration.link.path)
    return {
        "path": escaped_in_full(plan.request.policy.state_dir),
        "exists": plan.state.home is not None or plan.state.closed,
        "make": [escaped_in_full(name) for name in plan.state.make],
        "write": [escaped_in_full(f"{home}/{name}") for name in written],
    }
