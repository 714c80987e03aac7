from __future__ import annotations

import sys
from types import ModuleType

import pytest

from pi_agent.python import lazy_orjson


def test_orjson_is_given() -> None:
    assert lazy_orjson.orjson().loads(b"[1]") == [1]


@pytest.mark.parametrize("name", ["dataclasses", "enum", "json", "uuid", "zoneinfo", "orjson"])
def test_a_package_of_which_the_disk_hides_what_is_in_it_is_an_import_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(ImportError):
        lazy_orjson.orjson()
