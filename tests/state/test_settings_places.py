from __future__ import annotations

from typing import Any, Final

import pytest

from pi_agent.state import settings_places

_HOME: Final = "/var/lib/agent"
_KEYS: Final = ("extensions", "packages", "prompts", "skills", "themes")
_INSTALLED: Final = ("npm:x", "git:github.com/x/y", "https://x/y", "!x", "-x", "+builtin:mcp")
_MIRRORED: Final = {"mine": "mine", " ./a/b.ts ": "a", "~/.pi/agent/c": "c", f"{_HOME}/.pi/agent/d/e": "d"}
_MIRRORED_TOO: Final = {f"file://{_HOME}/.pi/agent/f": "f", "a/../g": "g", "*.ts": "*.ts"}
_STRAYS: Final = ("~", "~/x", "..", "../x", ".", "", f"{_HOME}/x", "/var/lib", "/", f"file://{_HOME}/x", "npm/../..")
_ELSEWHERE: Final = ("/srv/x", "~x/../../../../../../../srv", "~/.agents/skills", "/var/lib/agent2")


def entries(place: str) -> list[Any]:
    return [place, {"source": place, "autoload": False}]


@pytest.mark.parametrize("key", _KEYS)
def test_a_place_below_pi_s_directory_is_mirrored_by_its_first_name(key: str) -> None:
    for place, name in {**_MIRRORED, **_MIRRORED_TOO}.items():
        settings = {key: entries(place)}
        assert settings_places.mirrored(settings, _HOME) == {name}
        assert settings_places.usable(settings, _HOME) == (settings, ())


@pytest.mark.parametrize("key", _KEYS)
def test_a_place_that_only_the_agent_fills_is_left_out_and_named(key: str) -> None:
    for place in _STRAYS:
        settings = {key: ["/srv/x", *entries(place)], "theme": "~/x"}
        kept = {key: ["/srv/x"], "theme": "~/x"}
        assert settings_places.usable(settings, _HOME) == (kept, (place,))
        assert settings_places.mirrored(settings, _HOME) == frozenset()


@pytest.mark.parametrize("place", (*_INSTALLED, *_ELSEWHERE))
def test_what_is_no_place_of_the_agent_s_stays(place: str) -> None:
    settings = {"skills": entries(place)}
    assert settings_places.usable(settings, _HOME) == (settings, ())
    assert settings_places.mirrored(settings, _HOME) == frozenset()


@pytest.mark.parametrize("value", [None, "~/x", {"source": "~/x"}, [1, None, {}, {"source": 1}, []]])
def test_what_is_no_list_of_places_is_left_to_pi(value: Any) -> None:
    settings = {"extensions": value}
    assert settings_places.usable(settings, _HOME) == (settings, ())
    assert settings_places.mirrored(settings, _HOME) == frozenset()


def test_of_many_places_the_first_are_named() -> None:
    told = settings_places.notices_of([f"~/{number}" for number in range(22)], "settings.json")
    assert len(told) == 21 and told[0].startswith("settings.json: ~/0 was left out")
    assert told[-1].startswith("settings.json: and 2 more")
