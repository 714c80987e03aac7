from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.environment import env_file_syntax
from pi_agent.environment.env_file_syntax import parse, rendered

_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def parsed(content: bytes) -> dict[str, str]:
    r"""Read an env file as systemd does (systemd.exec(5), EnvironmentFile=), but only bare and double-quoted values.

    In double quotes, a backslash is literal unless `"`, `\`, a backquote, `$` or a newline follows.
    """
    text, found, position = content.decode(), {}, 0
    assignment = re.compile(r"\s*(?:#[^\n]*\n|([A-Za-z_][A-Za-z0-9_]*)=)")
    while (match := assignment.match(text, position)) is not None:
        position = match.end()
        if match[1] is None:
            continue
        value = ""
        if text[position : position + 1] != '"':
            end = text.find("\n", position) % (len(text) + 1)
            value, position = text[position:end].strip(), end
        else:
            position += 1
            while text[position] != '"':
                if text[position] != "\\":
                    value += text[position]
                elif text[position + 1] in '"\\`$':
                    position += 1
                    value += text[position]
                elif text[position + 1] == "\n":
                    position += 1
                else:
                    value += "\\"
                position += 1
            position += 1
        found[match[1]] = value
    assert text[position:].strip() == "", f"left over: {text[position:]!r}"
    return found


# -- writing


@given(st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_what_is_rendered_is_read_back_by_systemd(variables: dict[str, str]) -> None:
    assert parsed(rendered(variables)) == variables


@given(st.dictionaries(_NAMES, _VALUES.filter(env_file_syntax.is_value), max_size=4))
def test_what_is_rendered_is_read_back_by_us(variables: dict[str, str]) -> None:
    assert parse(rendered(variables)) == variables


@pytest.mark.parametrize(
    "value",
    ["", " ", '"', "\\", "\\\\", "\\n", "$HOME", "`id`", "'", "#", "a\nB=1", "\\\n", "%h", " a ", "ü", "\t", ";"],
)
def test_a_value_is_literal_and_ends_where_it_should(value: str) -> None:
    assert parsed(rendered({"A": value, "NEXT": "1"})) == {"A": value, "NEXT": "1"}
    assert parse(rendered({"A": value, "NEXT": "1"})) == {"A": value, "NEXT": "1"}


# -- reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n \n\r\n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=", {"A": ""}),
        ("A=\"\"\nB=''", {"A": "", "B": ""}),
        ("  A = 1 \t\n", {"A": "1"}),
        ("A=1\r\nB=2\rC=3", {"A": "1", "B": "2", "C": "3"}),
        ("# A=1\n ; B=2\nC=3 # no comment", {"C": "3 # no comment"}),
        ("export A=1\nexport\tB=2\nexport  C=3", {"A": "1", "B": "2", "C": "3"}),
        ("exported=1\nexport=2", {"exported": "1", "export": "2"}),
        ("A=b=c==", {"A": "b=c=="}),
        ('A=it\'s\nB=x"y"', {"A": "it's", "B": 'x"y"'}),
        ("A='$x `y` \\'", {"A": "$x `y` \\"}),
        ('A="\\"\\\\\\`\\$\\n"', {"A": '"\\`$\\n'}),
        ('A="one\\\ntwo"\nB=one\\\ntwo', {"A": "onetwo", "B": "onetwo"}),
        ('A="one\ntwo\tthree"', {"A": "one\ntwo\tthree"}),
        ("A='one\ntwo'", {"A": "one\ntwo"}),
        ("A=\"one\"' two'\nB='x' y z ", {"A": "one two", "B": "xy z"}),
        ('A=" x "  \n', {"A": " x "}),
        ("A=x\\ \nB=\\n\\\\", {"A": "x ", "B": "n\\"}),
        ("A=$B ${B} $(id)", {"A": "$B ${B} $(id)"}),
        ("A=ü日本\u2028", {"A": "ü日本\u2028"}),
    ],
)
def test_reading_by_example(text: str, expected: dict[str, str]) -> None:
    assert parse(text.encode()) == expected


@pytest.mark.parametrize(
    "text", ["# C:\\\nA=1", "; x \\\nA=1\n", "#\\\\\nA=1", "# \"it's\nA=1", "#\\\rA=1", "  # B='\\\n\tA=1"]
)
def test_a_comment_ends_with_its_line_whatever_stands_before(text: str) -> None:
    """Since systemd 254, a backslash there does not join the next line to it (NEWS)."""
    assert parse(text.encode()) == {"A": "1"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A", 1),
        (b"A=1\nhunter2\n", 2),
        (b"# x\n\n=hunter2", 3),
        (b"1A=hunter2", 1),
        (b"A-B=hunter2", 1),
        ("Ä=hunter2".encode(), 1),
        (b"A B=hunter2", 1),
        (b"export A B=hunter2", 1),
        (b'A=1\nB="hunter2\n\n', 2),
        (b"A='hunter2", 1),
        (b'A="hunter2\\"', 1),
        (b"A=hunter2\0", 1),
        (b"A='x\ny'\nB=hunter2\x1b[2J", 3),
        (b"A='x\ry'", 1),
        ("A=hunter2\x9b".encode(), 1),
        (b"A=\x7f", 1),
    ],
)
def test_what_is_not_understood_is_refused_by_its_line_and_not_quoted(content: bytes, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^line {line} ") as caught:
        parse(content)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"A=\xff", b"\xff\xfeA\0", b"A=\xed\xa0\x80"])
def test_what_is_no_utf_8_is_refused(content: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        parse(content)


@given(st.binary(max_size=40) | st.text("AB=\"'\\ \n#;x$", max_size=40).map(str.encode))
@example(b"A=\\")
@example(b'A="\\')
@example(b"#\\")
def test_any_bytes_are_variables_or_refused(content: bytes) -> None:
    try:
        found = parse(content)
    except ValueError as error:
        assert str(error)
    else:
        assert all(env_file_syntax.is_name(name) and env_file_syntax.is_value(value) for name, value in found.items())
        assert parse(rendered(found)) == found


@pytest.mark.parametrize("name", ["A", "_", "a1", "HTTP_PROXY", "class"])
def test_names(name: str) -> None:
    assert env_file_syntax.is_name(name)


@pytest.mark.parametrize("name", ["", "1", "A-B", "A B", "A\n", "Ä", "A=", "²", "A\0"])
def test_what_is_no_name(name: str) -> None:
    assert not env_file_syntax.is_name(name)
