from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pi_agent.messages.quoting import escaped, escaped_in_full, nix_string

_TEXT = st.text(st.characters(), max_size=60)  # with surrogates


@given(_TEXT)
def test_escaped_text_is_one_line_without_control_characters(text: str) -> None:
    result = escaped(text)
    assert result.isprintable()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in result)
    assert len(result.splitlines()) <= 1
    result.encode("utf-8")


@given(st.binary(max_size=60))
def test_bytes_are_escaped_as_the_name_that_python_makes_of_them(name: bytes) -> None:
    assert escaped(name) == escaped(name.decode("utf-8", "surrogateescape"))
    assert escaped(name).isprintable()


@pytest.mark.parametrize("text", ["/home/alice/p", "ä ü", "日本", "a b", "$x", "'\"", "%h", "~"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_escaping_by_example() -> None:
    assert escaped("a\nb") == "a\\nb"
    assert escaped("\x1b[0m") == "\\x1b[0m"
    assert escaped(b"\xff") == "\\xff"
    assert escaped("\\n") == "\\\\n"
    assert escaped("\u202e") == "\\u202e"
    assert escaped("\udc00") == "\\udc00"


def test_escaped_text_is_bounded_except_in_full() -> None:
    assert escaped("x" * 400) == "x" * 400
    assert escaped("x" * 401) == "x" * 400 + "…"
    assert len(escaped("\n" * 10**5)) == 401
    assert escaped_in_full("\n" * 10**5) == "\\n" * 10**5


@given(_TEXT, _TEXT)
@example("\x80", "\udc80")
def test_two_names_never_look_the_same(left: str, right: str) -> None:
    assume(left != right)
    assume(max(len(escaped(left)), len(escaped(right))) <= 400)
    assert escaped(left) != escaped(right)


def test_a_nix_string_says_what_it_should() -> None:
    assert nix_string("~/p") == '"~/p"'
    assert nix_string('a"b') == '"a\\"b"'
    assert nix_string("a\\b") == '"a\\\\b"'
    assert nix_string("${x}") == '"\\${x}"'
    assert nix_string("$x") == '"$x"'


@given(_TEXT)
def test_a_nix_string_ends_only_at_its_end_and_evaluates_nothing(text: str) -> None:
    inner = nix_string(text)[1:-1]
    position = 0
    while position < len(inner):
        if inner[position] == "\\":
            position += 2
            continue
        assert inner[position] != '"'
        assert inner[position : position + 2] != "${"
        position += 1
    assert position == len(inner)
