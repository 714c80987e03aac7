"""The usual work of a coding agent, done inside as it would be outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine, pi, probe
from support.installed import agent, demo, home, policy, state

BUILD_PATIENCE = 60.0


def test_git_works_in_the_users_repository_and_finds_no_dubious_owner() -> None:
    script = (
        "set -e; git status --short; echo new >made; git add made; git commit --quiet --message 'By the agent';"
        "git log --format='%an %ae %s'; git diff HEAD~1 --stat; git checkout --quiet -b side; git gc --quiet"
    )
    result = inside(script).ok()
    assert "dubious" not in result.complaint
    author = "alice alice@machine.invalid"
    assert result.text.splitlines()[:2] == [f"{author} By the agent", f"{author} Begin"]
    # The user continues with it.
    as_user("alice", "git", "commit", "--quiet", "--allow-empty", "--message", "By herself").ok()
    assert as_user("alice", "git", "status", "--short").ok().stdout == b""
    strangers = on_machine("find", demo("alice"), "!", "-user", "alice")
    assert strangers.ok().text == ""


def test_an_identity_of_the_repositorys_own_wins_and_nothing_else_of_the_users_git_is_inside() -> None:
    as_user("alice", "git", "config", "--global", "credential.helper", "store").ok()
    as_user("alice", "git", "config", "user.name", "Alice of the project").ok()
    inside("git commit --quiet --allow-empty --message made").ok()
    assert as_user("alice", "git", "log", "-1", "--format=%an").ok().text == "Alice of the project"
    assert inside("git config --get-all credential.helper").status == 1


def test_git_takes_its_author_from_the_users_env_file() -> None:
    env = b"GIT_AUTHOR_NAME=A\nGIT_AUTHOR_EMAIL=a@b\nGIT_COMMITTER_NAME=A\nGIT_COMMITTER_EMAIL=a@b\n"
    as_user("alice", "sh", "-c", "cat >~/.pi/agent/.env", stdin=env).ok()
    inside("echo new >made && git add made && git commit --quiet --message made").ok()
    assert as_user("alice", "git", "log", "-1", "--format=%an <%ae>").ok().text == "A <a@b>"


def test_git_makes_clones_and_worktrees_of_its_own() -> None:
    inside("git init --quiet new && git clone --quiet . ~/copy && cd ~/copy && git log --oneline", timeout=60).ok()
    inside("cd ~/copy && git status --short && git fetch --quiet").ok()


def test_a_package_that_npm_installed_globally_is_found_in_the_next_session() -> None:
    (demo("alice") / "pkg").mkdir()
    (demo("alice") / "pkg/package.json").write_text('{"name": "checks-tool", "version": "1.0.0", "bin": "tool.js"}')
    (demo("alice") / "pkg/tool.js").write_text("#!/usr/bin/env node\nconsole.log('from npm')\n")
    on_machine("chown", "-R", "alice:", demo("alice") / "pkg").ok()
    (demo("alice") / "pkg/tool.js").chmod(0o755)
    inside("npm install --global --install-links --no-audit --no-fund ./pkg", timeout=BUILD_PATIENCE).ok()
    assert inside("checks-tool; command -v checks-tool").ok().text.splitlines() == [
        "from npm",
        f"{policy('pi-probe')['stateDir']}/.npm-global/bin/checks-tool",
    ]
    assert inside("npm config get prefix; npm config get cache").ok().text.splitlines() == [
        f"{policy('pi-probe')['stateDir']}/.npm-global",
        f"{policy('pi-probe')['stateDir']}/.npm",
    ]
    # It belongs to that user only, and is not on the host.
    assert inside("checks-tool", user="bob").status == 127
    assert as_user("alice", "sh", "-c", "command -v checks-tool").status == 127
    assert (state("alice", "pi-probe") / ".npm-global/bin/checks-tool").exists()


def test_node_compiles_just_in_time_and_runs_web_assembly_and_workers() -> None:
    script = (
        "let s = 0; for (let i = 0; i < 3e7; i++) s += i % 7;"
        "const m = new WebAssembly.Module(Uint8Array.of(0,97,115,109,1,0,0,0)); new WebAssembly.Instance(m);"
        "const { Worker } = require('node:worker_threads');"
        "new Worker('require(\"node:worker_threads\").parentPort.postMessage(1)', { eval: true })"
        ".on('message', () => console.log('worker', s > 0, require('node:os').cpus().length > 0,"
        " Object.keys(require('node:os').networkInterfaces())))"
    )
    assert "worker true true" in inside('node -e "$1"', script).ok().text
    assert "lo" in inside("node -p 'Object.keys(os.networkInterfaces())'").ok().text


def test_a_program_is_compiled_linked_and_run() -> None:
    (demo("alice") / "main.c").write_text('#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n')
    (demo("alice") / "Makefile").write_text("main: main.c\n\t$(CC) -O2 -o $@ $<\n")
    seen = inside("make --silent CC=gcc && ./main && gcc -o /tmp/main main.c && /tmp/main", timeout=BUILD_PATIENCE).ok()
    assert seen.text == "compiled\ncompiled"


def test_python_runs_with_processes_threads_and_locks() -> None:
    script = (
        "import multiprocessing, threading, tempfile, subprocess, ctypes, socket, ssl, sqlite3\n"
        "with multiprocessing.Pool(2) as pool: print(sum(pool.map(abs, range(10))))\n"
        "lock = multiprocessing.Lock()\n"
        "with lock, tempfile.NamedTemporaryFile() as file: print(subprocess.check_output(['echo', 'sub']).decode())\n"
        "db = sqlite3.connect('made.db'); db.execute('create table t (x)'); db.commit(); db.close()\n"
        "ssl.create_default_context().load_default_certs()\n"
    )
    assert inside('python3 -c "$1"', script).ok().text.split() == ["45", "sub"]


@pytest.mark.parametrize(
    "work",
    [
        "mkdir -p a/b && echo x >a/b/f && tar --create --file t.tar a && rm -r a && tar -xpf t.tar && cat a/b/f",
        "cp -a README copy && cmp README copy && cp -a .git /tmp/git && cp -a /tmp/git back && rm -rf back",
        "touch -d 2001-01-01 old && mv old /tmp/old && mv /tmp/old back && rm back",
        "ulimit -n 512 && ulimit -c 0 && ulimit -v 8000000 && nice -n 5 true",
        "mkfifo p && (echo through >p & cat p) && rm p",
        "flock lock true && ln -s README l && readlink l && rm l lock && setfattr -n user.x -v y README",
        "timeout 5 sleep 0.01 && nohup true && setsid true && (exec 9<>/tmp/x) && mktemp && mktemp --directory",
        "rg --version >/dev/null && rg project README; fdfind --version >/dev/null || fd --version >/dev/null; true",
        'id && whoami && test "$(whoami)" = "$(id -un)" && getent passwd "$(id -u)" && groups',
        "ps aux >/dev/null && free >/dev/null; df . >/dev/null && du -s . >/dev/null && nproc >/dev/null",
        "find . -newer README | head -n 1 && truncate -s 1M sparse && fallocate -l 1M full && rm sparse full",
    ],
)
def test_ordinary_tools_work(work: str) -> None:
    inside(f"set -e; {work}", timeout=BUILD_PATIENCE).ok()


def test_a_server_inside_serves_a_client_inside_on_loopback_and_on_a_socket_file() -> None:
    script = (
        "set -e; echo served >page; python3 -m http.server --bind 127.0.0.1 0 >/tmp/log 2>&1 & "
        "until grep -q 'port' /tmp/log; do sleep 0.05; done; port=$(grep -o 'port [0-9]*' /tmp/log | cut -d ' ' -f 2);"
        "python3 -c \"import urllib.request; print(urllib.request.urlopen('http://localhost:$port/page').read())\""
    )
    assert "served" in inside(f'python3() {{ command python3 -u "$@"; }}; {script}').ok().text
    local = (
        "import socket\n"
        "server = socket.socket(socket.AF_UNIX); server.bind('made.sock'); server.listen()\n"
        "client = socket.socket(socket.AF_UNIX); client.connect('made.sock'); client.send(b'x')\n"
        "print(server.accept()[0].recv(1))\n"
    )
    assert inside('python3 -c "$1"', local).ok().text == "b'x'"


def test_names_are_resolved() -> None:
    assert "localhost" in inside("getent hosts localhost").ok().text
    name = on_machine("hostname").ok().text
    assert inside('getent hosts "$1" || getent ahosts "$1"', name).ok().text
    assert inside("hostname").ok().text == name
    assert inside("cat /etc/resolv.conf /etc/nsswitch.conf /etc/hosts >/dev/null").status in (0, 1)
    assert inside("getent passwd alice").ok().text.startswith("alice:")


def test_the_time_zone_is_the_machines_and_the_callers_wins() -> None:
    assert inside("date -d 2026-01-01T12:00Z +%H%Z").ok().text == "13CET"
    assert (
        as_user(
            "alice", "env", "TZ=America/New_York", "pi-probe", "exec", "date", "-d", "2026-01-01T12:00Z", "+%H"
        ).text
        == "07"
    )
    assert inside("python3 -c 'import zoneinfo; print(zoneinfo.ZoneInfo(\"Asia/Tokyo\"))'").ok().text == "Asia/Tokyo"


def test_the_locale_is_the_callers() -> None:
    seen = as_user("alice", "env", "LC_ALL=de_DE.UTF-8", "pi-probe", "exec", "date", "-d", "2026-03-03", "+%B").ok()
    assert seen.text == "März"
    result = as_user("alice", "env", "LC_ALL=de_DE.UTF-8", "pi-probe", "exec", "locale").ok()
    assert 'LC_TIME="de_DE.UTF-8"' in result.text
    assert result.stderr == b""


def test_certificate_variables_name_a_bundle_that_is_there() -> None:
    seen = inside('head -c 30 "$SSL_CERT_FILE"; echo; head -c 30 "$NIX_SSL_CERT_FILE"').ok().text
    assert Path(probe()["env"]["SSL_CERT_FILE"]).exists()
    assert len(seen) > 30


def test_projects_links_lead_to_the_mounted_root() -> None:
    assert inside("cat ~/projects/demo/README; readlink ~/projects/demo").ok().text.splitlines() == [
        "A project of alice.",
        str(demo("alice")),
    ]
    assert inside("ls ~/projects/p/demo/README", cwd=home("alice") / "p").ok()
    # The other link exists, but now leads nowhere.
    assert inside("test -L ~/projects/p && test ! -e ~/projects/p/demo/../other").ok()


def test_a_name_that_the_agent_took_for_itself_is_left_alone() -> None:
    inside("rm ~/projects/demo; mkdir ~/projects/demo; echo mine >~/projects/demo/file").ok()
    assert inside("cat ~/projects/demo/file").ok().text == "mine"


def test_what_is_written_at_home_is_there_in_the_next_session_and_in_no_other_users() -> None:
    inside("echo kept >~/file").ok()
    assert inside("cat ~/file").ok().text == "kept"
    assert inside("cat ~/file", user="bob").status != 0
    # All sessions of one person share it, wherever they are.
    assert inside("cat ~/file", cwd=home("alice") / "p").ok().text == "kept"


# -- Nix, through the daemon

DERIVATION = """
derivation {
  name = "checks-%s";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo built by %s >$out" ];
}
"""


def test_nix_speaks_to_the_daemon_as_nobody_special() -> None:
    seen = inside("nix store ping --json 2>/dev/null || nix store info --json", timeout=BUILD_PATIENCE).ok()
    assert '"trusted":true' not in seen.text.replace(" ", "")
    assert inside("nix store ping 2>&1 || nix store info 2>&1").ok().text.count("daemon") >= 1


def test_nix_builds_something_new_and_links_it_into_the_project() -> None:
    (demo("alice") / "default.nix").write_text(DERIVATION % (os.urandom(4).hex(), "the daemon"))
    built = inside("nix-build && cat result", timeout=BUILD_PATIENCE).ok()
    path, said = built.text.splitlines()
    assert path.startswith("/nix/store/")
    assert said == "built by the daemon"
    assert os.readlink(demo("alice") / "result") == path
    assert (demo("alice") / "result").lstat().st_uid == home("alice").stat().st_uid
    # The daemon may build. Nobody may write to the store.
    assert inside('touch /nix/store/checks || rm -f "$1" || echo x >>"$1"', path).status != 0
    assert Path(path).exists()


def test_nix_develop_enters_the_shell_of_a_flake() -> None:
    flake = """
{
  outputs = { self }: {
    devShells.${builtins.head self.systems}.default = self.shell;
    systems = [ "SYSTEM" ];
    shell = derivation {
      name = "checks-shell";
      system = "SYSTEM";
      builder = builtins.storePath "BASH" + "/bin/bash";
      args = [ "-c" "echo >$out" ];
      outputs = [ "out" ];
      CHECKS_SHELL = "of the flake";
    };
  };
}
"""
    system = on_machine("nix", "eval", "--impure", "--raw", "--expr", "builtins.currentSystem").ok().text
    bash = policy()["tools"]["bash"].removesuffix("/bin/bash")
    (demo("alice") / "dev").mkdir()
    (demo("alice") / "dev/flake.nix").write_text(flake.replace("SYSTEM", system).replace("BASH", bash))
    on_machine("chown", "-R", "alice:", demo("alice") / "dev").ok()
    seen = inside(
        "nix develop --impure path:./dev --command bash -c 'echo shell $CHECKS_SHELL'", timeout=BUILD_PATIENCE
    )
    assert seen.ok().text.splitlines()[-1] == "shell of the flake"


def test_the_real_pis_bash_tool_finds_all_of_it() -> None:
    answer = pi("run: command -v git node npm python3 nix checks-extra && id -un && git status --short && pwd").ok()
    assert f"/bin/checks-extra\n{agent().pw_name}\n{demo('alice')}" in answer.text
