from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.checkout import TOP

SCRIPT: Final = TOP / "pi_agent/session/fill_compile_cache.bash"
ME: Final = os.getuid()
NAME: Final = "named-by-the-package"
# As Node does: a folder whose name ends with the user's id, made of what each run compiled. script(1) is a part of it.
NODE: Final = f"""
here=$NODE_COMPILE_CACHE/v1-x64-abc-{ME}
mkdir -p "$here"
umask 077
[[ -t 0 ]] && kind=screen || kind=$1.$2
echo code >"$here/$kind"
echo part >"$here/0123abcd.XyZ123"
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The directory that systemd gives the service."""
    made = tmp_path / "cache"
    made.mkdir()
    return made


def fill(cache: Path, program: str, *agents: str) -> subprocess.CompletedProcess[str]:
    """Make the cache of a package whose program is this bash script. What it prints, with its exit status."""
    path = cache.parent / "pi"
    path.write_text(f"#!/bin/bash\n{program}\n")
    path.chmod(0o755)
    argv = ["bash", "-p", str(SCRIPT), str(path), NAME, "/forget.cjs", *agents]
    places = {"CACHE_DIRECTORY": str(cache), "TMPDIR": str(cache.parent)}
    environ = {"PATH": os.environ["PATH"], "SHELL": "/bin/bash", **places}
    return subprocess.run(argv, check=False, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def entries(cache: Path) -> set[str]:
    return {path.name for path in (cache / NAME / "node" / f"v1-x64-abc-{ME}").iterdir()}


def test_what_the_version_the_providers_and_the_interface_compile_is_kept_and_no_part_of_an_entry(cache: Path) -> None:
    assert fill(cache, NODE).returncode == 0
    assert entries(cache) == {"--version.", "--provider.anthropic-messages", "--provider.google-generative-ai",
        "--provider.openai-codex-responses", "--provider.openai-completions", "--provider.openai-responses", "screen",
    }  # fmt: skip


def test_each_agent_finds_the_entries_under_the_name_that_node_looks_for(cache: Path) -> None:
    agents = [user for user in pwd.getpwall() if user.pw_uid != ME][:2]
    finished = fill(cache, NODE, agents[0].pw_name, "no-such-agent", agents[1].pw_name)
    assert finished.returncode == 0
    assert "no-such-agent" in finished.stderr
    node = cache / NAME / "node"
    links = {path.name: os.readlink(path) for path in node.iterdir() if path.is_symlink()}
    assert links == {f"v1-x64-abc-{user.pw_uid}": f"v1-x64-abc-{ME}" for user in agents}
    assert len({path.name for path in node.iterdir()} - links.keys()) == 1


def test_everybody_may_read_the_cache_and_nobody_else_may_write_it(cache: Path) -> None:
    assert fill(cache, f"umask 0; {NODE}").returncode == 0
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in (cache / NAME).rglob("*")}
    assert modes == {0o755, 0o644}
    assert stat.S_IMODE((cache / NAME).stat().st_mode) == 0o755


def test_nothing_is_left_of_other_packages_or_of_a_run_that_broke_off(cache: Path) -> None:
    for name in ("another-package", "new", ".hidden", NAME):
        (cache / name / "node/v0-x64-abc-1").mkdir(parents=True)
        (cache / name / "node/v0-x64-abc-1/old").touch()
    assert fill(cache, NODE).returncode == 0
    assert [path.name for path in cache.iterdir()] == [NAME]
    assert not list(cache.rglob("old"))


@pytest.mark.parametrize("program", ["true", "exit 3", "kill -KILL $$", 'echo x >"$NODE_COMPILE_CACHE/not-nodes"'])
def test_a_package_that_compiles_nothing_leaves_an_empty_directory(cache: Path, program: str) -> None:
    assert fill(cache, program).returncode == 0
    assert list((cache / NAME).iterdir()) == []


def test_a_program_that_did_not_end_is_not_started_again(cache: Path) -> None:
    # As timeout(1) says that it ended the program.
    assert fill(cache, f"{NODE}\nexit 124").returncode == 0
    assert entries(cache) == {"--version."}


def test_the_program_starts_in_a_home_that_is_empty(cache: Path) -> None:
    seen = cache.parent / "seen"
    finished = fill(cache, f'[[ $1 != --version ]] || {{ pwd; echo "$HOME"; find "$HOME" -type f; }} >{seen}')
    assert finished.returncode == 0
    where, *others = seen.read_text().splitlines()
    assert others == [where]
    assert not Path(where).exists(), "it is removed afterwards"


def test_it_fails_where_it_cannot_write(cache: Path) -> None:
    shutil.rmtree(cache)
    assert fill(cache, NODE).returncode == 1
