"""The fuzz targets: one function per parser, which takes any bytes, and inputs to begin with.

A target raises AssertionError, or an error that the parser does not document, if the parser is wrong.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from typing import Final

import orjson

from pi_agent.cli import command_line
from pi_agent.environment import env_file_syntax, git_identity
from pi_agent.messages.quoting import escaped, nix_string
from pi_agent.messages.refusal import EX_NOPERM, Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.sandbox import git_config, git_settings
from pi_agent.session import report
from pi_agent.state import documents, json_merge, settings_keys, sync_memory
from pi_agent.state.document_kinds import AUTH, SETTINGS
from pi_agent.state.documents import Memory
from tests.support import policies

Target = Callable[[bytes], None]


def env_file(content: bytes) -> None:
    """What is parsed is written so that it parses to the same, and no message quotes the content."""
    try:
        found = env_file_syntax.parse(content)
    except UnicodeDecodeError:
        return
    except ValueError as error:
        assert str(error).isascii() and str(error).isprintable()
        return
    assert all(env_file_syntax.is_name(name) and env_file_syntax.is_value(value) for name, value in found.items())
    assert env_file_syntax.parse(env_file_syntax.rendered(found)) == found


def frozen_policy(content: bytes) -> None:
    """A policy, and a host user's file, is parsed, or refused with one of three errors."""
    try:
        user = policy_file._host_user(content, "bob")
        assert all(root.startswith(("/", "~")) for root in user.project_roots)
    except (ValueError, KeyError, TypeError):
        pass
    try:
        assert policy_file.parse(content).state_dir.startswith("/")
    except (ValueError, KeyError, TypeError):
        return


def document(content: bytes) -> None:
    """A document merges: the Nix settings hold, code comes only from the host, and merging again changes nothing."""
    try:
        inside = documents._parse(content)
    except ValueError:
        return
    nix = {"theme": "dark", "nested": {"a": 1}}
    for kind in (SETTINGS, AUTH):
        overriding = nix if kind is SETTINGS else {}
        once = documents.merged(kind, Memory({}, {}, {}), inside, {"model": "host", "extensions": []}, overriding)
        again = documents.merged(kind, once, once.written, {"model": "host", "extensions": []}, overriding)
        assert json_merge.same(once.written, again.written)
        assert all(once.written[key] == value for key, value in overriding.items() if not isinstance(value, dict))
        if kind is SETTINGS:
            assert once.written["extensions"] == []
            assert once.written.keys() <= {"model", "extensions", *nix, *settings_keys.TASTES}
        restored = documents.memory_from_json(orjson.loads(orjson.dumps(documents.memory_to_json(once))))
        assert json_merge.same(restored.written, once.written)


def memory(content: bytes) -> None:
    """Sync's memory is read or dropped. What was read is written and read again unchanged."""
    try:
        known = sync_memory.SyncMemory.from_json(content)
        written = known.to_json()
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    assert sync_memory.SyncMemory.from_json(written).to_json() == written


def git_configuration(content: bytes) -> None:
    """A name and an e-mail at most, each on one line."""
    found = git_identity.parsed(content.decode("utf-8", "replace"))
    assert found.keys() <= {"name", "email"}
    assert all("\n" not in value and "\0" not in value for value in found.values())


def git_settings_of_a_project(content: bytes) -> None:
    """Every text is read, and a file that counts as plain has no setting with an effect."""
    found = git_config.settings(content)
    assert all(setting.name and "\0" not in setting.value for setting in found)
    assert all(setting.section == setting.section.lower() for setting in found)
    if git_settings.is_plain(content):
        assert not [setting for setting in found if git_settings.effect_of(setting) is not None]


def launch_report(content: bytes) -> None:
    """Whatever the agent writes, a status is a status."""
    read, write = os.pipe2(os.O_NONBLOCK)
    try:
        os.write(write, content[:4096])
        found = report.Report(read)
        assert found.started is (content != b"")
        assert found.ended is None or 0 <= found.ended <= 255
    finally:
        os.close(read)
        os.close(write)


def sudo_uid(content: bytes) -> None:
    """A user that is found is listed and has that uid."""
    frozen = policies.frozen()
    text = content.decode("utf-8", "surrogateescape").replace("\0", "")
    try:
        found = accounts.through_sudo(frozen, {"SUDO_UID": text})
    except Refusal as refusal:
        assert refusal.status == EX_NOPERM
        return
    assert found.name in frozen.host_users and pwd.getpwnam(found.name).pw_uid == int(text) == found.uid


def shown_text(content: bytes) -> None:
    """No output that a terminal would obey, and no two names look alike."""
    text = escaped(content)
    assert text.isprintable() and len(text) <= 401
    literal = nix_string(os.fsdecode(content.replace(b"\0", b"")))
    assert literal.isprintable() and literal.startswith('"') and literal.endswith('"')
    assert '"' not in literal[1:-1].replace("\\\\", "").replace('\\"', "")
    command_line.needs_no_project([text], [])


TARGETS: Final[dict[str, Target]] = {
    target.__name__: target
    for target in (
        env_file, frozen_policy, document, memory, git_configuration, git_settings_of_a_project, launch_report,
        sudo_uid, shown_text,
    )
}  # fmt: skip

_ODD: Final = b"\x1b[2J\r\xff\xe2\x80\xae\"'\\${x}%h\n"

SEEDS: Final[dict[str, list[bytes]]] = {
    "env_file": [b"A=1\n", b"export A='x y'\n", b'A="a\\"b\\\n$c`d"\n; no\n#no\n', b"A=a\\\nb\n", b"A=" + _ODD],
    "frozen_policy": [orjson.dumps(policies.document())],
    "document": [
        b"{}", b'{"model":"a","theme":"b","packages":["x"],"nested":{"a":2,"b":[1,{"c":null}]}}',
        b'{"a":{"type":"oauth","refresh":"r"},"a":1}', b'{"a":1e999}', b"[" * 200, b'{"a":' * 120,
    ],
    "memory": [
        sync_memory.SyncMemory({}, {}).to_json(),
        b'{"version":1,"files":{"a":[1,2,3,4,5,6,7,8]},"documents":{}}',
    ],
    "git_configuration": [b"[user]\n name = A B\n email = a@b\n", b'[USER "x"]\nname="a\\\nb" # c\n', _ODD],
    "git_settings_of_a_project": [
        b'[core]\n\thooksPath = "a b" # c\n[include]path=x\n', b'[filter "a\\"b"]\nCLEAN = x\\\n y\n',
        b"[a.b]c\n[pager]\nd", b'\xef\xbb\xbf[alias]\r\n a = "!b;c"\r\n[submodule "x"]update=!y', _ODD,
    ],
    "launch_report": [b"started\n", b"started\nended 7\n", b"ended 999\nended -1\nended\n"],
    "sudo_uid": [b"0", b"1000", b"4294967296", "\u0661\u0660".encode(), b"-1", b" 1"],
    "shown_text": [b"/home/alice/x", _ODD, b"x" * 500],
}  # fmt: skip
