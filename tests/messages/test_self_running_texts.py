"""What is said about files that run by themselves: foreign names are harmless, and what matters is in it."""

from __future__ import annotations

import pytest

from pi_agent.messages import self_running_texts as texts

_EVIL = "a\x1b[2J\nb\r\x07\u202e\udcff\x9b"

_ALL = {
    "leads_outside": texts.leads_outside(_EVIL),
    "leads_to": texts.leads_to(_EVIL),
    "leads_to_running": texts.leads_to_running(_EVIL, [_EVIL]),
    "named_by": texts.named_by(_EVIL),
    "told": texts.told(_EVIL, []),
    "item": texts.item(_EVIL, [_EVIL]),
    "many": texts.many(_EVIL, 9, [_EVIL]),
    "disarmed": texts.disarmed(_EVIL, _EVIL, [_EVIL]),
    "not_disarmed": texts.not_disarmed(_EVIL, _EVIL),
    "could_not_see": texts.could_not_see([(_EVIL, _EVIL)], _EVIL).replace("\n", ""),
}


@pytest.mark.parametrize("name", _ALL)
def test_foreign_names_are_shown_and_not_sent(name: str) -> None:
    assert _ALL[name].isprintable()
    assert "a\\x1b[2J\\nb" in _ALL[name]


def test_of_many_places_that_were_not_seen_the_first_are_named_and_the_rest_counted() -> None:
    text = texts.could_not_see([(f"d{number}", "closed") for number in range(15)], "/p")
    first, *lines = text.split("\n")
    assert first.startswith("not all of /p could be looked at")
    assert lines == [*(f"  d{number}: closed" for number in range(10)), "  and 5 more"]
    assert texts.could_not_see([("", "closed")], "/p").endswith("\n  .: closed")


def test_of_many_settings_the_first_are_named_and_the_rest_counted() -> None:
    assert texts.item("x", ["a", "b"]) == "  x: a, b"
    assert texts.item("x", [str(number) for number in range(10)]) == "  x: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert texts.item("x", ()) == "  x"
