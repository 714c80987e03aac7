"""The modules that a launch may import. Each one costs every launch time, from a tenth of a millisecond to many.

Reads the output of `python -X importtime` and lists the allowed modules. To add a module to the list, measure its cost
first, and check whether it can be imported later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_LINE: Final = re.compile(r"^import time: +\d+ \| +\d+ \| (?P<depth> *)(?P<name>[\w.-]+)$")
# Named after the machine that Python was built for.
_BUILD: Final = re.compile(r"^_sysconfigdata_.*")

# Floor of pi_agent → its modules.
_AT_ONCE: Final[Mapping[str, tuple[str, ...]]] = {
    "cli": ("command_line", "shortcut"),
    "python": ("bundle", "json_reader"),
}
_BOTH: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("bundle", "c_library", "json_reader", "records", "standard"),
    "messages": ("installation_refusals", "quoting", "reasons", "refusal", "refusals"),
    "linux": ("errors", "identities", "journald", "paths", "standard_error", "timing"),
    "policy": ("accounts", "policy_file", "project_roots", "shared"),
    "session": ("audit",),
    "cli": ("command_line", "entry_point"),
}
_RUNNER_ALONE: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("collector", "lazy_orjson"),
    "messages": ("notices", "start_refusals"),
    "linux": (
        *(
            "beneath",
            "descriptors",
            "directories",
            "files",
            "inotify",
            "landlock",
            "limits",
            "mount_api",
            "mount_namespaces",
            "processes",
            "removal",
            "signatures",
        ),
        "terminals",
    ),
    "state": (
        *(
            "copying",
            "document_kinds",
            "documents",
            "file_sync",
            "home_files",
            "host_config",
            "json_merge",
            "mirror",
            "pi_files",
            "pi_lock",
            "scans",
        ),
        *("settings_keys", "sync", "sync_directory", "sync_memory", "tree_entries", "user_state"),
    ),
    "environment": ("dotenv_file", "env_file_syntax", "env_files", "git_identity", "variable_layers"),
    "sandbox": (
        *("covers", "file_access", "git_config", "git_directories", "git_named", "git_settings", "git_user"),
        *(
            "listening_sockets",
            "mount_points",
            "mounts",
            "name_forms",
            "pattern_index",
            "prepared_root",
            "project_search",
            "project_walk",
            "protection",
        ),
        *("self_running_table", "system_directories", "unit_properties"),
        "self_running",
        *(f"self_running.{name}" for name in ("beyond", "comparison", "git_reading", "look", "record")),
        *(f"self_running.{name}" for name in ("rules", "seeing")),
    ),
    "session": (
        *(
            "aftermath",
            "attachment",
            "attendance",
            "awaited_paths",
            "care",
            "conclusion",
            "control_group",
            "descriptor_holders",
        ),
        *("furnishing", "gate", "guard", "host_view", "launch", "launch_plan", "namespace_limits"),
        *("patience", "provenance", "renewal", "report", "request_file", "running_sessions", "session_directory"),
        *("session_names", "signal_relay", "supervision", "systemctl", "systemd_run", "unfinished"),
    ),
    "cli": ("launch_request",),
}
# Versions of Python differ in the modules that they have and load at start.
_STANDARD: Final = frozenset(
    {
        *("__future__", "errno", "gc", "grp", "pwd", "_collections_abc", "posixpath", "genericpath", "os", "stat"),
        *("_stat", "abc", "_abc", "io", "codecs", "_codecs", "site", "_sitebuiltins"),
        # python/
        *("_ctypes", "_json", "_operator", "itertools"),
        # for the journal entries
        "_socket",
    }
)


def _modules(floors: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The full names of the modules, and of the packages that contain them."""
    return frozenset(
        name
        for floor, names in floors.items()
        for name in (f"pi_agent.{floor}", *(f"pi_agent.{floor}.{each}" for each in names))
    )


# The wrapper that becomes sudo at once; the one that looks closer, and may refuse; the runner.
WRAPPER_AT_ONCE: Final = frozenset({"pi_agent", "__future__", "gc", "pwd", "_json"}) | _modules(_AT_ONCE)
_EITHER: Final = _STANDARD | {"pi_agent"} | _modules(_BOTH)
WRAPPER: Final = _EITHER | WRAPPER_AT_ONCE | {"pi_agent.cli.handover"}
RUNNER: Final = _EITHER | _modules(_RUNNER_ALONE) | {"fcntl", "resource", "select"}


def imported(log: str) -> Mapping[str, str]:
    """Module → the chain of importers, the first one last, from the log of `-X importtime`.

    Other text on standard error is ignored.
    """
    found: list[tuple[int, str]] = []
    for line in log.splitlines():
        if match := _LINE.match(line):
            found.append((len(match["depth"]) // 2, _BUILD.sub("_sysconfigdata", match["name"])))
    chains = {}
    for place, (depth, name) in enumerate(found):
        chain = [name]
        # A module is listed below all that it imported, one level further out.
        for outer, above in found[place + 1 :]:
            if outer < depth:
                depth = outer
                chain.append(above)
        chains[name] = " < ".join(chain)
    return chains


def strangers(log: str, bare: str, allowed: Iterable[str]) -> list[str]:
    """The modules in a log, each with its chain, that are neither allowed nor loaded by Python itself.

    bare: the log of a Python that does nothing.
    """
    known = {*allowed, *imported(bare)}
    return [chain for name, chain in imported(log).items() if name not in known]
