"""The stand-in for ctypes beside ctypes itself: they have to do the same."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from pi_agent.python import c_library


def test_a_function_gives_its_result() -> None:
    assert c_library.libc.getpid() == os.getpid()
    assert c_library.libc.strlen(b"four") == 4
    assert c_library.libc.abs(-3) == 3


def test_a_failing_function_leaves_the_number_of_its_error(tmp_path: Path) -> None:
    assert c_library.libc.close(-1) == -1
    assert c_library.get_errno() == errno.EBADF
    assert c_library.libc.rmdir(os.fsencode(tmp_path / "missing")) == -1
    assert c_library.get_errno() == errno.ENOENT
    os.stat(tmp_path)
    assert c_library.get_errno() == errno.ENOENT, "Python's own calls do not change it"


def test_a_function_that_is_missing_is_an_error() -> None:
    with pytest.raises(AttributeError):
        c_library.libc.there_is_no_such_function  # noqa: B018


@pytest.mark.parametrize("name", ["c_uint", "c_long", "c_size_t", "c_uint64", "c_longdouble", "c_void_p"])
def test_a_type_is_as_wide_and_aligned_as_that_of_ctypes(name: str) -> None:
    own, original = getattr(c_library, name), getattr(ctypes, name)
    assert c_library.sizeof(own) == ctypes.sizeof(original)
    assert ctypes.alignment(own) == ctypes.alignment(original)
    assert c_library.sizeof(own * 3) == ctypes.sizeof(original * 3)
    if name not in ("c_longdouble", "c_void_p"):
        assert own(-1).value == original(-1).value, "it wraps, or it does not"


def test_a_structure_is_passed_by_reference() -> None:
    class Two(c_library.Structure):
        _fields_ = (("first", c_library.c_uint64), ("second", c_library.c_uint64))

    two = Two(first=1, second=2)
    assert (c_library.sizeof(two), two.first, two.second) == (16, 1, 2)
    c_library.libc.memset(c_library.byref(two, 8), 0xFF, c_library.c_size_t(8))
    assert (two.first, two.second) == (1, 2**64 - 1)


def test_an_address_beyond_an_int_is_passed_whole() -> None:
    place = ctypes.create_string_buffer(b"hunter2")
    assert ctypes.addressof(place) > 2**32, "the test shows nothing here"
    c_library.libc.memset(c_library.c_void_p(ctypes.addressof(place)), 0, c_library.c_size_t(7))
    assert place.raw == bytes(8)
