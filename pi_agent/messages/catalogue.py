"""The tables of messages in README.md, made from the messages themselves. No launch imports this.

`python3 -m pi_agent.messages.catalogue README.md` writes them anew between their marks; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pi_agent.messages import (
    command_refusals,
    installation_refusals,
    notices,
    refusals,
    self_running_texts,
    start_refusals,
    statuses,
)
from pi_agent.messages.refusal import Refusal

_ANY: Final = "…"
_ERROR: Final = OSError(0, _ANY)
# What the programs refuse, in the order in which a newcomer may meet it.
REFUSALS: Final[Sequence[Refusal]] = (
    refusals.outside_roots(_ANY, _ANY, [_ANY], _ANY),
    refusals.user_not_listed(_ANY),
    refusals.root_refused("pi"),
    refusals.not_through_sudo(),
    refusals.directory_gone(_ANY),
    refusals.directory_closed_to_agent(_ANY),
    refusals.directory_too_deep(_ANY, 128),
    refusals.root_reserved(_ANY, _ANY),
    refusals.root_unmountable(_ANY),
    refusals.too_much_to_protect(_ANY, _ANY),
    refusals.config_not_a_directory(_ANY),
    refusals.config_unreadable(_ANY, _ANY),
    refusals.config_too_large(_ANY, _ANY),
    refusals.document_invalid(_ANY, _ANY),
    refusals.host_env_invalid(_ANY, _ANY),
    installation_refusals.env_file_unusable(_ANY, _ANY),
    installation_refusals.extra_path_unusable(_ANY, _ANY),
    refusals.state_being_reset(),
    refusals.state_unreadable(_ANY, _ERROR),
    refusals.state_not_writable(_ANY, _ERROR),
    installation_refusals.state_missing(_ANY, _ANY),
    installation_refusals.state_not_mapped(_ANY, _ANY, _ANY),
    installation_refusals.sync_directory_unusable(_ANY, _ANY),
    installation_refusals.identities_missing([("user", _ANY)]),
    installation_refusals.agent_shares_id(_ANY, _ANY),
    installation_refusals.agent_shares_group(_ANY, _ANY),
    installation_refusals.policy_unreadable(_ANY, _ANY),
    refusals.staging_failed(_ANY, _ANY),
    start_refusals.session_not_started(_ANY),
    start_refusals.root_not_mounted(_ANY),
    start_refusals.session_not_limited(_ANY),
    start_refusals.protection_lost(_ANY, _ANY),
    start_refusals.watches_used_up(),
    refusals.sudo_unavailable(_ANY, _ANY),
    refusals.tool_failed([_ANY], _ANY),
    refusals.machine_failed(_ERROR),
    refusals.bug(Exception(_ANY)),
    command_refusals.command_unknown(_ANY, "pi", [_ANY]),
    command_refusals.argument_unknown(_ANY, _ANY, _ANY),
    command_refusals.session_not_chosen("pi"),
    command_refusals.session_unknown(_ANY, "pi"),
    command_refusals.session_not_ended(_ANY),
    command_refusals.export_directory_missing("pi"),
    command_refusals.export_failed(_ANY),
    command_refusals.reset_not_confirmed(),
    command_refusals.sessions_live([], "pi"),
    command_refusals.reset_incomplete(_ANY),
)
# A notice → what it means for its reader.
NOTICES: Final[Mapping[str, str]] = {
    self_running_texts.CHANGED: "See `sandbox.onSelfRunning`.",
    self_running_texts.could_not_see([], _ANY).partition(".")[0]: "The agent may have hidden something there.",
    self_running_texts.DISARMED.rstrip(":"): "It says what each file is called now, or which settings were removed.",
    self_running_texts.NOT_DISARMED.partition(".")[0]: "Something runs as soon as you use the project.",
    notices.hidden_paths_exposed([]).partition(":")[0]: "If they hold secrets, replace these.",
    notices.owners_not_mapped(_ANY): "The agent has group and other permissions there: see `projectGroup`.",
    notices.directories_unsearched(_ANY, _ANY): "More than 20,000 directories, or 500,000 names, were found, or a "
    "directory cannot be listed.",
    notices.git_settings_unread(
        _ANY, _ANY
    ): "A file has more than 256 KiB, or all that are not plain have more than 2 MiB.",
    notices.git_setting_names_all(_ANY, _ANY, _ANY): "`core.hooksPath`, say, is the project's own directory.",
    notices.protected_path_vanished(_ANY): "Somebody else is at work in the project.",
    notices.hidden_paths_exposed([]).partition(":")[0]: "Somebody has replaced them; change the secrets.",
    notices.sockets_reachable([]).partition(":")[0]: "Stop these programs, or hide the sockets: `sandbox.hiddenPaths`.",
    notices.sockets_not_looked_for(_ANY): "The host has very many sockets, or `/proc` cannot be read.",
    notices.left_out(_ANY, _ANY): "This part of your Pi configuration cannot be synced.",
    notices.not_a_file(_ANY): "The same.",
    notices.loop_of_links(_ANY): "The same.",
    notices.too_deep(_ANY): "More than 64 levels of directories are not synced.",
    notices.isolated_file_replaced(_ANY, _ANY, _ANY): "Pi's own file inside was broken.",
    notices.document_in_use(_ANY): "It may be renewing a login. The launch goes on after 30 seconds at the latest.",
    notices.isolated_path_overgrown(_ANY, _ANY): "More than 200,000 files, or too many levels of directories.",
    notices.isolated_directory_closed(_ANY): "The agent has taken its own permissions away.",
    notices.sync_memory_unreadable(_ANY): "Nothing is lost.",
}


def tables() -> Mapping[str, Sequence[str]]:
    """Name of a table → its lines of Markdown."""
    return {
        "statuses": _table(("Status", "Meaning"), ((str(status), text) for status, text in statuses.MEANINGS.items())),
        "refusals": _table(
            (f"Message (`{_ANY}` stands for a name)", "What to do"),
            ((f"`{_plain(each.what)}`", _remedy(each.remedy)) for each in REFUSALS),
        ),
        "notices": _table(("Notice", "Meaning"), ((f"`{notice}`", meaning) for notice, meaning in NOTICES.items())),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = "|---" * len(head) + "|"
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def _plain(what: str) -> str:
    """A bug names a line of our own, which is nobody's message."""
    return re.sub(r"\(Exception at .*?\): …", "(…)", what)


def _remedy(text: str) -> str:
    """A remedy as one cell: lines of Nix, options and commands as code."""
    lines = [f"`{line.strip()}`" if line.startswith("  ") else _coded(line) for line in text.split("\n")]
    return " ".join(lines)


def _coded(line: str) -> str:
    line = re.sub(r"m3ta\.pi-agent(?:\.[A-Za-z<>]+)+", lambda found: f"`{found[0]}`", line)
    return re.sub(r"(?<=: )(?:pi|journalctl|systemctl) .+?(?=$|\. )", lambda found: f"`{found[0]}`", line)


def updated(text: str) -> str:
    """README's text with its tables as they have to be. Raises ValueError where a table has no place in it."""
    for name, lines in tables().items():
        begin, end = f"<!-- {name}: made by make docs -->\n", f"<!-- end of {name} -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise ValueError(f"there is no place for the table {name}")
        text = "\n".join([f"{before}{begin}", *lines, "", f"{end}{after}"])
    return text


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(updated(file.read_text(encoding="utf-8")), encoding="utf-8")
