"""Attempts on the Nix store and its daemon, as an untrusted user."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")
_CLOSED: Final = ("EROFS", "EACCES", "EPERM")
# On NixOS, the store is read-only for root too.
_STORE: Final = Control("root", gives=("works", "EROFS"))
_CREATED: Final = Control("root", "create('/nix/store/checks-escape')", ("works", "EROFS"))
_BUILD: Final = (
    'derivation { name = "checks-NAME"; system = builtins.currentSystem; builder = "/bin/sh";'
    ' args = [ "-c" "echo SALT >$out" ]; }'
)


def _option(name: str, tries: str, option: str, value: str) -> Case:
    """An option that only a trusted user may set: with it, the daemon would run a program of the agent's as root."""
    salt = "' + os.urandom(4).hex() + '"
    expression = "'" + _BUILD.replace("NAME", name).replace("SALT", salt) + "'"
    run = (
        "trap = os.getcwd() + '/trap'\n"
        "with open('hook', 'w') as file: file.write(f'#!/bin/sh\\necho ran >>{trap}\\n')\n"
        "os.chmod('hook', 0o755)\nos.chmod('.', 0o777)\n"
        f"program('nix-build', '--no-out-link', '--option', {option!r}, {value}, '--expr', {expression},"
        " env={'NIX_REMOTE': 'daemon'})\n"
        "found(os.path.exists(trap))"
    )
    return Case(name, "nix", tries, run, ("nothing",), _ROOT)


CASES: Final = grouped(
    "nix",
    Case(
        "store-create",
        "nix",
        "create a path in the store",
        "leave('/nix/store/checks-escape')",
        _CLOSED,
        _CREATED,
        absent="/nix/store/checks-escape",
    ),
    Case("store-append", "nix", "change a file of the store", "append(there.policy)", _CLOSED, _STORE),
    Case(
        "store-remove",
        "nix",
        "remove a path of the store",
        "os.unlink(there.policy)",
        _CLOSED,
        _CREATED,
        unchanged="policy",
    ),
    Case(
        "database", "nix", "change the database of the store", "append('/nix/var/nix/db/db.sqlite')", ("ENOENT",), _ROOT
    ),
    Case(
        "profile",
        "nix",
        "change the system's profile",
        "leave('/nix/var/nix/profiles/checks-escape')",
        _CLOSED,
        Control("root", "create('/nix/var/nix/profiles/checks-escape')"),
        absent="/nix/var/nix/profiles/checks-escape",
    ),
    Case(
        "root",
        "nix",
        "make a root of the garbage collector outside",
        "leave('/nix/var/nix/gcroots/checks-escape')",
        ("ENOENT",),
        Control("root", "create('/nix/var/nix/gcroots/checks-escape')"),
        absent="/nix/var/nix/gcroots/checks-escape",
    ),
    Case(
        "settings",
        "nix",
        "change the settings of Nix",
        "append('/etc/nix/nix.conf')",
        _CLOSED,
        _STORE,
    ),
    _option(
        "post-build-hook", "have the daemon run a program after a build", "post-build-hook", "os.getcwd() + '/hook'"
    ),
    Case(
        "trusted",
        "nix",
        "be trusted by the daemon",
        "found(json.loads(program('nix', 'store', 'info', '--json', '--store', 'daemon'))['trusted'])",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "unsigned",
        "nix",
        "import a path that nobody signed",
        "program('sh', '-c', 'nix-store --import <' + there.archive, env={'NIX_REMOTE': 'daemon'})",
        ("exit 1: .*(lacks a (valid )?signature|not trusted|privileged)",),
        _ROOT,
    ),
)
