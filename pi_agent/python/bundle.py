"""Imports the package's modules from one file, if it was built (`python -m pi_agent.python.bundle DIRECTORY`).

To find, open and check a file for each of more than a hundred modules takes Python a third of a launch's own time
(docs/performance.md). The file has the compiled modules behind an index; Python reads each when it is imported. Without
the file, or if another version of Python made it, Python imports as ever.
"""

from __future__ import annotations

import _frozen_importlib as importing
import _frozen_importlib_external as compiled
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any, Final

_NAME: Final = "modules.bundle"
_LENGTH: Final = 8  # bytes of the index's size


class _Bundle:
    """The finder and loader of the modules in an open bundle (importlib.abc.MetaPathFinder, importlib.abc.Loader).

    index: module → where its code is in the file after `start`, its size in bytes, and whether it is a package.
    """

    def __init__(self, directory: str, file: int, start: int, index: Mapping[str, tuple[int, int, bool]]) -> None:
        self._directory = directory
        self._file = file
        self._start = start
        self._index = index

    def find_spec(self, name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """The module's specification; None for a module of others."""
        found = self._index.get(name)
        if found is None:
            return None
        place = f"{self._directory}/{name.partition('.')[2].replace('.', '/')}"
        loader: Any = self
        spec = importing.ModuleSpec(
            name, loader, origin=f"{place}/__init__.py" if found[2] else f"{place}.py", is_package=found[2]
        )
        spec.has_location = True
        if found[2]:
            spec.submodule_search_locations = [place]
        return spec

    def create_module(self, _spec: object) -> None:
        """Have Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102  # as Python's own loaders do

    def get_code(self, name: str) -> CodeType:
        """The module's code."""
        offset, size, _ = self._index[name]
        code: CodeType = marshal.loads(os.pread(self._file, size, self._start + offset))  # noqa: S302  # root's own
        return code


def use(directory: str) -> None:
    """From now on, import from the bundle in the package's directory, if there is one."""
    try:
        file = os.open(f"{directory}/{_NAME}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    size = int.from_bytes(os.read(file, _LENGTH), "little")
    magic, index = marshal.loads(os.read(file, size))  # noqa: S302  # root's own
    if magic == compiled.MAGIC_NUMBER:
        finder: Any = _Bundle(directory, file, _LENGTH + size, index)
        sys.meta_path.insert(0, finder)
    else:
        os.close(file)


def make(directory: str) -> None:
    """Write the bundle of the package in the directory."""
    package = os.path.basename(directory)
    index, content = {}, b""
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            stem, kind = os.path.splitext(name)
            if kind == ".py":
                path = f"{folder}/{name}"
                with open(path, "rb") as source:
                    code = marshal.dumps(compile(source.read(), path, "exec", dont_inherit=True))
                parts = [package, *os.path.relpath(folder, directory).split("/"), stem]
                module = ".".join(part for part in parts if part not in (".", "__init__"))
                index[module] = (len(content), len(code), stem == "__init__")
                content += code
    head = marshal.dumps((compiled.MAGIC_NUMBER, index))
    with open(f"{directory}/{_NAME}", "wb") as file:
        file.write(len(head).to_bytes(_LENGTH, "little") + head + content)


if __name__ == "__main__":
    make(sys.argv[1])
