"""Hypothesis strategies for values that several modules take."""

from __future__ import annotations

import os
from typing import Any, Final

import orjson
from hypothesis import strategies as st

# Few keys, so that independently drawn documents share some.
_KEYS = st.sampled_from(["a", "b", "c"])
_SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 1.5]) | st.sampled_from(["", "x", "ü"])
)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=3)


json_values: st.SearchStrategy[Any] = st.recursive(_SCALARS, _larger, max_leaves=8)
json_objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(_KEYS, json_values, max_size=3)

# What the kernel allows between two slashes, as Python shows it: any byte except NUL and the slash.
file_names: st.SearchStrategy[str] = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b".."))
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
)


def canonical(value: object) -> bytes:
    """value as JSON text with sorted keys: equal for equal values, but different for 1, 1.0 and true."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


# Arguments that a shell, a unit's command line or a text would change.
ODD: Final = ("", "a b", "$x %h", "'\"\\", "new\nline", os.fsdecode(b"\xff"), "--", "-")

# Contents of files that are not a JSON object that can be written again.
NOT_OBJECTS: Final = (
    b"",
    b" ",
    b"{",
    b"{}{}",
    b"[]",
    b"null",
    b'"x"',
    b"1",
    b"// comment\n{}",
    b'{"a": 1,}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e999}',
    b'{"a": "\\ud800"}',
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    b"\0" * 100,
)
