"""The JSON reader agrees with json.loads, for any input, and on any Python."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.python import json_reader
from tests.support.checkout import TOP

Loads = Callable[[bytes], Any]


@pytest.fixture(scope="module")
def without_c() -> Iterator[ModuleType]:
    """The reader without the C code of json."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "_json", None)  # as if it did not exist
        spec = importlib.util.find_spec("pi_agent.python.json_reader")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    yield module


_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
# Texts that are almost JSON: pieces of it, and of what Python or JavaScript would accept.
_pieces = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', '"a"', "'a'", "1", "-", "0x1", "1.", ".5", "1e5", "01", "true", "True"),
        *("null", "NaN", "Infinity", "-Infinity", "\\u0041", '"\\ud800"', "//"),
        *(" ", "\n", "\t", "\x0b", "\xa0", "\ufeff", "\x00"),
    ]
)
_texts = st.lists(_pieces, max_size=12).map("".join)


def told(loads: Loads, content: bytes) -> tuple[str, object]:
    """The result for content: a value, as text that distinguishes 1 from 1.0 and true; or the error."""
    try:
        return "value", _shown(loads(content))
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)


def _shown(value: Any) -> object:
    if isinstance(value, dict):
        return [(key, _shown(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return repr(value) if not isinstance(value, float) or not math.isnan(value) else "nan"


def by_json(content: bytes) -> Any:
    return json.loads(content.decode("utf-8", "surrogatepass"))


@given(_values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_what_json_wrote_is_read_as_json_reads_it(value: Any, indent: int | str | None, ascii_: bool) -> None:
    content = json.dumps(value, indent=indent, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    assert told(json_reader.loads, content) == told(by_json, content)


@given(_texts)
@example("")
@example(" ")
@example("1 2")
@example('{"a": 1,}')
@example('{"a": 1, "a": 2}')
@example('"\n"')
@example("[1")
@example("\ufeff{}")
@example("-")
def test_of_what_is_no_json_the_error_is_jsons_own(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    assert told(json_reader.loads, content) == told(by_json, content)


@given(st.binary(max_size=20))
def test_bytes_that_are_no_text_are_an_error_and_nothing_else(content: bytes) -> None:
    assert told(json_reader.loads, content) == told(by_json, content)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_what_is_nested_too_deeply_is_a_recursion_error_as_in_json(content: bytes) -> None:
    assert told(json_reader.loads, content)[0] == told(by_json, content)[0] == "RecursionError"


@pytest.mark.parametrize("content", [b"9" * 5000, b"1e400", b"-0", b"-0.0", b"1E5"])
def test_numbers_are_those_of_json(content: bytes) -> None:
    assert told(json_reader.loads, content) == told(by_json, content)


@given(_values | _texts)
def test_where_the_c_code_is_missing_nothing_is_different(without_c: ModuleType, value: Any) -> None:
    assert without_c._scan is None
    for content in (json.dumps(value).encode(), str(value).encode("utf-8", "surrogatepass")):
        assert told(without_c.loads, content) == told(json_reader.loads, content)


def test_no_launch_imports_json_to_read_what_is_json() -> None:
    code = (
        "import sys; from pi_agent.python import json_reader; "
        """assert json_reader.loads(b'{"a": [1, 2.5, null, "\\u00fc"]}') == {"a": [1, 2.5, None, "ü"]}; """
        "print(sorted({'json', 're'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(TOP)!r}); {code}"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    assert done.stdout == "[]\n"
