"""Calls functions of the C library, as `ctypes.CDLL(None, use_errno=True)` does.

ctypes itself takes 1.5 ms to import, most of it for struct and for types that nothing here needs. This is made of the
same C code (CPython's Modules/_ctypes), as ctypes/__init__.py makes it.
"""

from __future__ import annotations

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

    class c_int(_SimpleCData):
        _type_ = "i"

    class c_uint(_SimpleCData):
        _type_ = "I"

    class c_long(_SimpleCData):
        _type_ = "l"

    class c_size_t(_SimpleCData):
        _type_ = "L"  # as wide on every machine that Linux runs on

    class c_uint64(_SimpleCData):
        _type_ = "Q"

    class c_longdouble(_SimpleCData):
        _type_ = "g"

    class c_void_p(_SimpleCData):
        _type_ = "P"

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
