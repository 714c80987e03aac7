"""Work that no denial may break, one group at a time. For all of it, see checks/scenarios/test_work.py."""

from __future__ import annotations

import pytest
from support.commands import inside, on_machine
from support.exposure import AT_MOST, at_work
from support.installed import demo
from support.servers import SERVE_AND_ASK

from escapes.case import grant

PATIENCE = 60.0


@grant("filesystem", "the project and the state are read and written")
def test_files_are_read_and_written() -> None:
    inside(
        "cat README; echo x >made; mv made moved; ln moved hard; ln -s hard soft; rm -r moved hard soft; echo x >~/kept"
    ).ok()


@grant("processes", "processes are started, signalled and waited for")
def test_own_processes_are_governed() -> None:
    inside("sleep 100 & kill -0 $! && kill $!; wait $!; test $? = 143; ps aux >/dev/null; nohup true").ok()


@grant("devices", "ordinary modes and devices")
def test_ordinary_modes_and_devices() -> None:
    inside("echo x >f; chmod 755 f; chmod +t .; head -c 1 /dev/urandom >/dev/null; script -qec true /dev/null").ok()


@grant("kernel", "Node compiles at run time, also WebAssembly")
def test_node_compiles() -> None:
    script = (
        "let s = 0; for (let i = 0; i < 1e7; i++) s += i % 7;"
        "new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.of(0,97,115,109,1,0,0,0))); console.log(s > 0)"
    )
    assert inside('node -e "$1"', script).ok().text == "true"


@grant("kernel", "a program is compiled, linked and run")
def test_a_compiler_works() -> None:
    (demo("alice") / "main.c").write_text("int main(void) { return 7; }\n")
    assert inside("gcc -o main main.c || exit 1; ./main", timeout=PATIENCE).status == 7


@grant("protected", "git: add, commit, fetch, switch, worktree, submodule")
def test_git_works() -> None:
    inside(
        "set -e; git init --quiet ~/part; (cd ~/part; git commit --quiet --allow-empty -m part);"
        "echo x >x; git add x; git commit --quiet -m x; git switch --quiet -c side; git switch --quiet -;"
        "git fetch --quiet ~/part; git worktree add --quiet --detach tree; git worktree remove tree;"
        "git clone --quiet . ~/copy; cd ~/copy; git -c protocol.file.allow=always submodule --quiet add ~/part lib;"
        "git commit --quiet -m lib; git -C lib log --oneline",
        timeout=PATIENCE,
    ).ok()


@grant("privilege", "npm installs a package from a tarball")
def test_npm_installs() -> None:
    inside(
        'set -e; mkdir pkg use; echo \'{"name": "checks", "version": "1.0.0", "main": "i.js"}\' >pkg/package.json;'
        "echo 'module.exports = 7' >pkg/i.js; (cd pkg; npm pack --silent >/dev/null); cd use; npm init -y >/dev/null;"
        "npm install --no-audit --no-fund ../pkg/checks-1.0.0.tgz; node -e 'process.exit(require(\"checks\") - 7)'",
        timeout=PATIENCE,
    ).ok()


@pytest.mark.parametrize("family", ["inet", "inet6", "unix"])
@pytest.mark.parametrize("command", ["pi-probe", "pi-offline"])
@grant("network", "a server and its client on the loopback")
def test_a_server_and_a_client_meet(command: str, family: str) -> None:
    assert inside('python3 -c "$@"', SERVE_AND_ASK, family, command=command).ok().text == "answer"


@grant("nix", "Nix's daemon builds, and the result is linked")
def test_nix_builds() -> None:
    salt = on_machine("cat", "/proc/sys/kernel/random/uuid").ok().text
    (demo("alice") / "default.nix").write_text(
        'derivation { name = "checks-grant"; system = builtins.currentSystem; builder = "/bin/sh";'
        f' args = [ "-c" "echo {salt} >$out" ]; }}'
    )
    assert inside("nix-build >/dev/null && cat result", timeout=PATIENCE).ok().text == salt


@grant("all", "the real Pi calls a tool, at an exposure of at most 1.2")
def test_the_real_pi_works_and_the_exposure_is_low(request: pytest.FixtureRequest) -> None:
    level = at_work()
    request.node.user_properties.append(("exposure", level))
    assert level <= AT_MOST
