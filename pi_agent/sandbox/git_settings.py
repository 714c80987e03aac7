"""What settings of git run, include or take from a path (git-config(1))."""

from __future__ import annotations

from pi_agent.python.standard import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pi_agent.sandbox.git_config import Setting


class Effect(Enum):
    """RUN: the value is a command. INCLUDE: a file with more settings. PATH: a file or directory that git obeys."""

    RUN = "run"
    INCLUDE = "include"
    PATH = "path"


# Section → names, with or without a subsection; `*` stands for every name.
_RUN: Final = {
    "alias": "*",
    "browser": ("cmd", "path"),
    "core": ("alternaterefscommand", "askpass", "editor", "fsmonitor", "gitproxy", "pager", "sshcommand"),
    "credential": ("helper",),
    "diff": ("command", "external", "textconv"),
    "difftool": ("cmd", "path"),
    "filter": ("clean", "process", "smudge"),
    "gpg": ("defaultkeycommand", "program"),
    "guitool": ("cmd",),
    "help": ("browser",),
    "hook": ("command",),
    "imap": ("tunnel",),
    "instaweb": ("browser", "httpd"),
    "interactive": ("difffilter",),
    "lfs": ("path", "smudge", "clean"),
    "man": ("cmd", "path"),
    "merge": ("driver",),
    "mergetool": ("cmd", "path"),
    "pager": "*",
    "remote": ("receivepack", "uploadpack", "vcs"),
    "sendemail": ("cccmd", "headercmd", "sendmailcmd", "smtpserver", "tocmd"),
    "sequence": ("editor",),
    "submodule": ("update",),
    "tar": ("command",),
    "trailer": ("cmd", "command"),
    "uploadpack": ("packobjectshook",),
    "web": ("browser",),
}
_INCLUDE: Final = {"include": ("path",), "includeif": ("path",)}
# Hooks, templates of hooks; which drivers run; whom git trusts; what git leaves out of sight. What a project is to
# ignore (core.excludesFile) is not here: it is the agent's to change.
_PATH: Final = {
    "blame": ("ignorerevsfile",),
    "core": ("attributesfile", "hookspath"),
    "gpg": ("allowedsignersfile", "revocationfile"),
    "http": ("cookiefile", "sslcainfo", "sslcapath", "sslcert", "sslkey"),
    "init": ("templatedir",),
}
_EFFECTS: Final = ((_INCLUDE, Effect.INCLUDE), (_PATH, Effect.PATH), (_RUN, Effect.RUN))
# Sections that most configuration files have: in these, names tell.
_USUAL: Final = frozenset({"core", "remote", "submodule"})
# No setting has an effect without one of these in the text of the file: it can be written in no other way.
_SIGNS: Final = (
    *{f"[{section}".encode() for table, _ in _EFFECTS for section in table if section not in _USUAL},
    *{b"\n" + name.encode() for table, _ in _EFFECTS for section in _USUAL for name in table.get(section, ())},
)
# Makes letters small, and line ends of what may stand before the name of a setting.
_LOWERED: Final = bytes(10 if byte in b" \t\r]" else byte for byte in bytes(range(256)).lower())
# What separates the words of a command, besides white space.
_SEPARATORS: Final = str.maketrans(dict.fromkeys("'\"();|&<>=`{}$\t\n\r", " "))
_WORDS_AT_MOST: Final = 64


def effect_of(setting: Setting) -> Effect | None:
    """What git does with the setting; None if it runs, includes and takes nothing. A pure function."""
    for table, effect in _EFFECTS:
        names = table.get(setting.section, ())
        if names == "*" or setting.name in names:
            return effect
    return None


def is_plain(content: bytes) -> bool:
    """Whether the text of a configuration file certainly has no setting with an effect. A pure function."""
    small = content.translate(_LOWERED)
    return not any(sign in small for sign in _SIGNS)


def words(command: str) -> Iterator[str]:
    """The words of a command that may be names of files. A pure function."""
    for word in command.removeprefix("!").translate(_SEPARATORS).split()[:_WORDS_AT_MOST]:
        yield word.replace("\\", "")
