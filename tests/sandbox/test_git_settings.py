from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.sandbox import git_config, git_settings
from pi_agent.sandbox.git_settings import Effect

PLAIN = b"""[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tworktree = ../../../lib
[remote "origin"]
\turl = https://example.org/filter/hook.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main
[submodule "lib"]
\turl = ../lib
\tactive = true
[user]
\tname = Alice
"""


def effects(content: bytes) -> list[tuple[str, Effect]]:
    found = [(setting.key, git_settings.effect_of(setting)) for setting in git_config.settings(content)]
    return [(key, effect) for key, effect in found if effect is not None]


def test_what_every_repository_has_is_plain() -> None:
    assert git_settings.is_plain(PLAIN)
    assert effects(PLAIN) == []


@pytest.mark.parametrize(
    ("content", "key", "effect"),
    [
        (b"[core]\nhooksPath=x", "core.hookspath", Effect.PATH),
        (b"[CORE]\nFSMonitor=x", "core.fsmonitor", Effect.RUN),
        (b"[core]\nsshCommand=x", "core.sshcommand", Effect.RUN),
        (b"[include]\npath=x", "include.path", Effect.INCLUDE),
        (b'[includeIf "gitdir:x"]\npath=x', "includeif.gitdir:x.path", Effect.INCLUDE),
        (b'[filter "a.b"]\nclean=x', "filter.a.b.clean", Effect.RUN),
        (b"[filter.a]\nsmudge=x", "filter.a.smudge", Effect.RUN),
        (b'[diff "x"]\ntextconv=x', "diff.x.textconv", Effect.RUN),
        (b"[diff]\nexternal=x", "diff.external", Effect.RUN),
        (b'[merge "x"]\ndriver=x', "merge.x.driver", Effect.RUN),
        (b"[alias]\nst=!x", "alias.st", Effect.RUN),
        (b"[pager]\nlog=x", "pager.log", Effect.RUN),
        (b'[credential "https://x"]\nhelper=!x', "credential.https://x.helper", Effect.RUN),
        (b'[remote "x"]\nuploadPack=x', "remote.x.uploadpack", Effect.RUN),
        (b'[submodule "x"]\nupdate=!x', "submodule.x.update", Effect.RUN),
        (b'[gpg "ssh"]\nallowedSignersFile=x', "gpg.ssh.allowedsignersfile", Effect.PATH),
        (b"[blame]\nignoreRevsFile=x", "blame.ignorerevsfile", Effect.PATH),
        (b"[core]\nattributesFile=x", "core.attributesfile", Effect.PATH),
        (b"[init]\ntemplateDir=x", "init.templatedir", Effect.PATH),
    ],
)
def test_a_setting_with_an_effect_is_known_and_its_file_not_plain(content: bytes, key: str, effect: Effect) -> None:
    assert effects(PLAIN + content) == [(key, effect)]
    assert not git_settings.is_plain(PLAIN + content)


@pytest.mark.parametrize(
    "content", [b"[core]\nexcludesFile=x", b"[diff]\nrenames=x", b"[merge]\ntool=x", b"[foo]\npath=x"]
)
def test_a_setting_that_runs_nothing_has_no_effect(content: bytes) -> None:
    assert effects(content) == []


_SECTIONS = st.sampled_from(sorted({*git_settings._RUN, *git_settings._PATH, *git_settings._INCLUDE}))
_NAMES = st.sampled_from(["path", "hooksPath", "HOOKSPATH", "clean", "editor", "update", "vcs", "x"])
_SUBSECTIONS = st.sampled_from(["", ".y", ' "y"', '\t"\\y]"'])


@given(st.lists(st.tuples(_SECTIONS, _SUBSECTIONS, _NAMES, st.booleans()), max_size=4))
def test_no_file_with_an_effect_is_plain(parts: list[tuple[str, str, str, bool]]) -> None:
    lines = [f"[{section.upper() if upper else section}{sub}]{name} = x\n" for section, sub, name, upper in parts]
    content = "".join(lines).encode()
    assert not effects(content) or not git_settings.is_plain(content)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sh scripts/x.sh %f", ["sh", "scripts/x.sh", "%f"]),
        ('!f() { "$HOME/x" --config=tools/y; }; f', ["f", "HOME/x", "--config", "tools/y", ";", "f"]),
        ("!./run|tee log", ["./run", "tee", "log"]),
        ("'my tool'", ["my", "tool"]),
    ],
)
def test_a_command_has_words(command: str, expected: list[str]) -> None:
    assert [word for word in git_settings.words(command) if word != ";"] == [word for word in expected if word != ";"]
