from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from pi_agent.messages import notices

_EVIL = "a\x1b[2J\nb\r\x07\u202e\udcff\x9b\"${x}'"

# Every notice, with the same text in every place that takes one.
_TABLE: dict[str, Callable[[str], str]] = {
    "owners_not_mapped": lambda x: notices.owners_not_mapped(x),
    "directories_unsearched": lambda x: notices.directories_unsearched(x, x),
    "git_settings_unread": lambda x: notices.git_settings_unread(x, x),
    "git_setting_names_all": lambda x: notices.git_setting_names_all(x, x, x),
    "protected_path_vanished": lambda x: notices.protected_path_vanished(x),
    "hidden_paths_exposed": lambda x: notices.hidden_paths_exposed([x, x]),
    "sockets_reachable": lambda x: notices.sockets_reachable([x, x]),
    "sockets_not_looked_for": lambda x: notices.sockets_not_looked_for(x),
    "left_out": lambda x: notices.left_out(x, x),
    "not_a_file": lambda x: notices.not_a_file(x),
    "loop_of_links": lambda x: notices.loop_of_links(x),
    "too_deep": lambda x: notices.too_deep(x),
    "isolated_file_replaced": lambda x: notices.isolated_file_replaced(x, x, x),
    "document_in_use": lambda x: notices.document_in_use(x),
    "isolated_path_overgrown": lambda x: notices.isolated_path_overgrown(x, x),
    "isolated_directory_closed": lambda x: notices.isolated_directory_closed(x),
    "sync_memory_unreadable": lambda x: notices.sync_memory_unreadable(x),
}


def test_every_notice_is_in_the_table() -> None:
    functions = [
        name
        for name, value in vars(notices).items()
        if inspect.isfunction(value) and value.__module__ == notices.__name__ and not name.startswith("_")
    ]
    assert sorted(functions) == sorted(_TABLE)


@pytest.mark.parametrize("name", sorted(_TABLE))
@pytest.mark.parametrize("text", ["/home/alice/x", _EVIL, "x" * 5000])
def test_every_notice_is_harmless_on_a_terminal_and_bounded(name: str, text: str) -> None:
    notice = _TABLE[name](text)
    assert all(line and line.isprintable() for line in notice.split("\n"))
    assert len(notice) < 2000


@pytest.mark.parametrize("name", sorted(_TABLE))
def test_every_notice_names_what_it_is_about(name: str) -> None:
    assert "/home/alice/x" in _TABLE[name]("/home/alice/x")


def test_a_notice_with_several_facts_says_each_of_them() -> None:
    assert all(word in notices.left_out("/c/x", "Permission denied") for word in ("/c/x", "Permission denied"))
    replaced = notices.isolated_file_replaced("auth.json", "no object", "auth.json.displaced-1")
    assert all(word in replaced for word in ("auth.json ", "no object", "auth.json.displaced-1"))
    assert "skills.displaced-1" in notices.isolated_path_overgrown("skills", "skills.displaced-1")
