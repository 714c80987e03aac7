"""Calls functions of the C library, as `ctypes.CDLL(None, use_errno=True)` does.

ctypes itself takes 1.5 ms to import, most of it for struct and for types that nothing here needs. This is made of the
same C code (CPython's Modules/_ctypes), as ctypes/__init__.py makes it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import CDLL
    from ctypes import Structure as Structure
    from ctypes import byref as byref
    from ctypes import c_long as c_long
    from ctypes import c_longdouble as c_longdouble
    from ctypes import c_size_t as c_size_t
    from ctypes import c_uint as c_uint
    from ctypes import c_uint64 as c_uint64
    from ctypes import c_void_p as c_void_p
    from ctypes import get_errno as get_errno
    from ctypes import sizeof as sizeof

    libc = CDLL(None, use_errno=True)
else:
    from _ctypes import (
        FUNCFLAG_CDECL,
        FUNCFLAG_USE_ERRNO,
        CFuncPtr,
        Structure,
        _SimpleCData,
        byref,
        dlopen,
        get_errno,
        sizeof,
    )

    def _simple(name, code):
        """A type of one value. code: as struct has it, and `g` for long double."""
        return type(name, (_SimpleCData,), {"_type_": code})

    c_int = _simple("c_int", "i")
    c_uint = _simple("c_uint", "I")
    c_long = _simple("c_long", "l")
    c_size_t = _simple("c_size_t", "L")  # as wide on every machine that Linux runs on
    c_uint64 = _simple("c_uint64", "Q")
    c_longdouble = _simple("c_longdouble", "g")
    c_void_p = _simple("c_void_p", "P")

    class _Function(CFuncPtr):
        _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
        _restype_ = c_int

    class _Library:
        """The functions of the libraries that this process has loaded, as attributes. Each returns an int."""

        def __init__(self) -> None:
            self._handle = dlopen(None, 0)

        def __getattr__(self, name):
            function = _Function((name, self))
            setattr(self, name, function)
            return function

    libc = _Library()


def checked(result: int) -> int:
    """The result of a function that returns -1 for an error. Raises OSError (errno(3))."""
    if result < 0:
        number = get_errno()
        raise OSError(number, os.strerror(number))
    return result
