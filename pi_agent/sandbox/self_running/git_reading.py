"""Git configuration as git itself reads it, and which of its settings run something.

Git reads the content on its standard input, as nobody, outside any repository, and follows no include: that runs
nothing. What somebody else wrote is parsed by no code of ours that would have to agree with git.
"""

from __future__ import annotations

from pi_agent.linux import processes
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.sandbox import git_settings
from pi_agent.sandbox.git_config import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

# As git lists a setting: its key, and its value, None if it has none.
Pair = tuple[bytes, "bytes | None"]
_NOBODY: Final = "65534"
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CEILING_DIRECTORIES": "/",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
}
_OUTPUT_AT_MOST: Final = 1 << 22
# Names by which programs that git or its companions start are usually called. What git does not know yet is in here.
_TELLING: Final = (b"command", b"cmd", b"hook", b"helper", b"program", b"editor", b"pager", b"askpass", b"driver")
_SECTIONS: Final = (b"tig.", b"annex.", b"lfs.", b"hook.", b"alias.", b"pager.", b"guitool.", b"protocol.")
# Values by which git runs something, whatever the setting: a shell command, and the transport that runs one.
_RUNNING_VALUES: Final = (b"!", b"ext::")
_HARMLESS: Final = (b"true", b"false", b"yes", b"no", b"on", b"off", b"0", b"1", b"")
# What only switches something on or off, where any other value is a program.
_SWITCHES: Final = (b"core.fsmonitor",)
# Names like those, which run nothing.
_INNOCENT: Final = (b"proxyauthmethod", b"fsmonitorhookversion", b"hookversion")


def read(tools: Tools, content: bytes) -> list[Pair] | None:
    """The settings in the content of a configuration file, in order; None if git cannot read it."""
    if not content.strip():
        return []
    argv = [
        tools.setpriv,
        f"--reuid={_NOBODY}",
        f"--regid={_NOBODY}",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
        tools.git,
        "-C",
        "/",
        *("config", "--file", "-", "--no-includes", "--list", "-z"),
    ]
    try:
        output = processes.filtered(argv, content, _ENVIRONMENT, _OUTPUT_AT_MOST)
    except Refusal:
        return None
    return None if output is None else [_pair(each) for each in output.split(b"\0")[:-1]]


def _pair(text: bytes) -> Pair:
    key, has_value, value = text.partition(b"\n")
    return key, value if has_value else None


def is_plain(content: bytes) -> bool:
    """Whether certainly nothing in the content runs, without a question to git. A pure function."""
    small = content.lower()
    telling = (*_TELLING, *_RUNNING_VALUES, *(b"[" + section.rstrip(b".") for section in _SECTIONS))
    return git_settings.is_plain(content) and not any(word in small for word in telling)


def running(pairs: Iterable[Pair]) -> list[Pair]:
    """Those that run something, include a file or lead git to a file that it obeys. A pure function."""
    return [pair for pair in pairs if runs(*pair)]


def runs(key: bytes, value: bytes | None) -> bool:
    """Whether the setting runs something. A pure function. key: as git lists it, its ends in small letters."""
    section, _, rest = key.partition(b".")
    subsection, _, name = rest.rpartition(b".")
    if key in _SWITCHES and (value or b"").lower() in _HARMLESS:
        return False
    if value is not None and value.strip().lower().startswith(_RUNNING_VALUES):
        return True
    if section == b"alias":  # without an exclamation mark it is a command of git's
        return False
    if section == b"pager" and (value or b"").lower() in _HARMLESS:
        return False
    if section == b"submodule" and name == b"update":
        return False
    if section == b"url" and b"ext::" in subsection.lower():
        return True
    if name in _INNOCENT:
        return False
    setting = Setting(section.decode("latin-1"), subsection.decode("latin-1"), name.decode("latin-1"), "")
    if git_settings.effect_of(setting) is not None:
        return True
    return key.startswith(_SECTIONS) or any(word in name for word in _TELLING)


def shown(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The keys, each once, as foreign text."""
    return tuple(dict.fromkeys(key.decode("utf-8", "surrogateescape") for key, _ in pairs))


def written(pairs: Iterable[Pair]) -> bytes:
    """A configuration file with these settings. A pure function."""
    lines, header = [], b""
    for key, value in pairs:
        section, _, rest = key.partition(b".")
        subsection, has_subsection, name = rest.rpartition(b".")
        wanted = b"[" + section
        if has_subsection:
            wanted += b' "' + subsection.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        if wanted != header:
            lines.append(wanted + b"]")
            header = wanted
        lines.append(b"\t" + name + (b"" if value is None else b" = " + _quoted(value)))
    return b"".join(line + b"\n" for line in lines)


def _quoted(value: bytes) -> bytes:
    for char, written_as in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\t", b"\\t"), (b"\b", b"\\b")):
        value = value.replace(char, written_as)
    return b'"' + value + b'"'
