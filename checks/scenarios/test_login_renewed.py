"""A session that renews a login holds Pi's lock as long as the server takes. A launch waits, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from typing import Final

import pytest
from support.commands import CLEAN, inside, login
from support.host_configuration import document, host_file, write
from support.installed import Json, isolated, pi_package
from support.sessions import session
from support.waiting import PATIENCE

VARIANT: Final = "pi-probe"
# By Pi's own code: reports once it holds the lock, and gets the answer of the server when a line arrives.
RENEW: Final = """
import { AuthStorage } from %s;
const renewed = async () => {
  console.log("asking");
  await new Promise((resolve) => process.stdin.once("data", resolve));
  return %s;
};
await AuthStorage.create().modify("scripted", renewed);
console.log("renewed");
process.exit(0);
"""


def oauth(tokens: str) -> Json:
    return {"type": "oauth", "refresh": f"{tokens}-refresh", "access": f"{tokens}-access", "expires": 1}


def script() -> str:
    [code] = pi_package().glob("**/@earendil-works/pi-coding-agent/dist/core/auth-storage.js")
    return RENEW % (json.dumps(str(code)), json.dumps(oauth("renewed")))


def test_a_launch_with_news_of_a_login_waits_for_the_one_that_is_renewed() -> None:
    write(host_file("auth.json"), {"scripted": oauth("host")})
    inside("true").ok()
    with session("alice", VARIANT, "exec", "node", "--input-type=module", "--eval", script()) as renewing:
        write(host_file("auth.json"), {"scripted": oauth("host"), "other": oauth("host")})
        with subprocess.Popen(login("alice", [VARIANT, "exec", "true"]), stderr=subprocess.PIPE, env=CLEAN) as waiting:
            assert waiting.stderr is not None
            told = waiting.stderr.readline().decode()
            assert "waiting for another session, which is using the isolated auth.json" in told
            assert "other" not in json.loads(isolated("alice", "auth.json", VARIANT).read_text())
            renewing.say(b"go")
            assert renewing.hear() == b"renewed"
            assert waiting.wait(PATIENCE) == 0
        assert renewing.wait().ok().stderr == b""
    for _ in range(2):
        assert document("auth.json") == {"scripted": oauth("renewed"), "other": oauth("host")}
    assert not list(isolated("alice", ".", VARIANT).glob("*.lock"))


@pytest.mark.parametrize("news", [False, True])
def test_a_launch_without_news_of_a_login_does_not_wait(news: bool) -> None:
    write(host_file("auth.json"), {"scripted": oauth("host")})
    inside("true").ok()
    with session("alice", VARIANT, "exec", "node", "--input-type=module", "--eval", script()) as renewing:
        if news:
            write(host_file("skills/new/SKILL.md"), "new")
        launched = inside("true").ok()
        assert launched.stderr == b""
        renewing.say(b"go")
        assert renewing.hear() == b"renewed"
    assert document("auth.json") == {"scripted": oauth("renewed")}
