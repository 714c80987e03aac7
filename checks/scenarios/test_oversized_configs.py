"""A Pi configuration made to keep root busy: files, documents and trees that are too large, too deep or malformed.

Every start ends soon, in little memory, with a session or with a sentence.
"""

from __future__ import annotations

import sys

import pytest
from support.commands import as_user, on_machine
from support.hostile import told
from support.installed import home, isolated
from support.measured_starts import _MEASURED, LITTLE, configuration, make, start


def test_the_measure_would_see_a_program_that_takes_too_much() -> None:
    hog = f"x = bytearray({LITTLE * 1024}); x[::4096] = b'x' * len(x[::4096])"
    hungry = as_user("alice", sys.executable, "-I", "-c", _MEASURED, sys.executable, "-I", "-c", hog)
    assert int(hungry.stderr.split()[-1]) >= LITTLE


@pytest.mark.parametrize("name", ["settings.json", "auth.json", ".env", "models.json", "skills/x"])
def test_a_sparse_file_of_terabytes_is_refused_at_once(name: str) -> None:
    make('mkdir -p skills; rm -f "$1"; truncate --size=8T "$1"', name)
    told(start(), name if "/" not in name and name != "models.json" else "is larger than the limit of 2 GiB")
    assert not isolated("alice", name, "pi-probe").exists()


@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
def test_a_document_of_a_gibibyte_is_refused_and_not_read(name: str) -> None:
    make('printf \'{"a":"\' >"$1"; truncate --size=1G "$1"; printf \'"}\' >>"$1"', name)
    told(start(), name, "it is larger than 4096 KiB")


def test_a_git_configuration_of_terabytes_says_nothing() -> None:
    as_user("alice", "truncate", "--size=8T", home("alice") / ".gitconfig").ok()
    assert start().status == 0


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("closed", [True, False])
def test_a_document_nested_a_hundred_thousand_deep_is_refused(opening: str, closing: str, closed: bool) -> None:
    text = '{"a":' + opening * 100_000 + "1" + (closing * 100_000 + "}") * closed
    (configuration() / "settings.json").write_text(text)
    told(start(), "settings.json is not a JSON object")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"a": 1, "a": 2}', b'"a": 2'),
        ('{"a": {"b": 1}, "a": {"c": 1}}', b'"c": 1'),
        ('{"a": 18446744073709551616}', b'"a": 1.8446744073709552e19'),
        ('{"\\ud83d\\ude00": 1}', "\N{GRINNING FACE}".encode()),
        ('{"__proto__": {"polluted": true}, "": 1}', b'"polluted": true'),
        ('{"a": NaN}', None),
        ('{"a": Infinity}', None),
        ('{"a": -Infinity}', None),
        ('{"a": 1e999}', None),
        ('{"a": "\\ud800"}', None),
        ('{"\\udfff": 1}', None),
        ('{"a": "\\ud800\\ud800"}', None),
        ('{"a": 01}', None),
        ("{'a': 1}", None),
        ('{"a": 1,}', None),
        ('\ufeff{"a": 1}', b'"a": 1'),
        ('{"a": "\x01"}', None),
    ],
)
def test_json_of_doubtful_kinds_is_taken_as_pi_would_or_refused(text: str, seen: bytes | None) -> None:
    (configuration() / "settings.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    result = start()
    if seen is None:
        told(result, "settings.json is not a JSON object")
    else:
        assert seen in result.ok().stdout


def test_bytes_that_are_no_text_are_refused() -> None:
    for content in (b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"\xff\xfe{\0}\0", b'{"a"\0: 1}', b"\0" * 1000):
        (configuration() / "settings.json").write_bytes(content)
        told(start(), "settings.json is not a JSON object")


def test_an_env_file_of_the_largest_size_ends_in_a_session_or_a_sentence() -> None:
    """systemd's first process merges them. Whoever keeps it busy keeps the machine waiting."""
    for line in (
        "V=a\n" * 250_000,
        "".join(f"V{n}=\n" for n in range(100_000)),
        "V=" + "a" * 1_000_000,
        "a" * 1_000_000,
    ):
        (configuration() / ".env").write_text(line)
        result = start()
        if result.status != 0:
            told(result)


def test_a_tree_thousands_deep_is_cut_off_and_named() -> None:
    deep = "import os\nfor i in range(5000):\n    os.mkdir('d'); os.chdir('d')\n"
    as_user("alice", sys.executable, "-I", "-c", deep, cwd=configuration(), timeout=120).ok()
    try:
        result = start()
        assert result.status == 0
        assert "is nested too deeply" in result.complaint
    finally:
        on_machine("rm", "-rf", configuration() / "d", timeout=120).ok()


def test_a_tree_that_links_make_endless_is_refused() -> None:
    # Each of thirty levels leads to the next one twice: a thousand million paths.
    make("for i in $(seq 30); do mkdir l$i; ln -s ../l$((i + 1)) l$i/a; ln -s ../l$((i + 1)) l$i/b; done; mkdir l31")
    told(start(), "is larger than the limit of 400000 looks at its names")


def test_what_cannot_be_copied_counts_against_the_limit_as_well() -> None:
    # Two thousand links that lead nowhere, reached by two hundred paths. Each would be reported.
    make("mkdir x; cd x; seq 2000 | xargs -I{} ln -s nowhere {}; cd ..; for i in $(seq 200); do ln -s x l$i; done")
    told(start(), "is larger than the limit of 400000 looks at its names")
