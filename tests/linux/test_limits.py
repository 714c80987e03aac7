from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from tests.support.checkout import TOP

# What a hostile caller could hand down, and the result of drop_inherited(). In a process of its own, because the effect
# is permanent.
_CODE = """
import json, os, resource, signal
os.umask(0o777)
for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE):
    resource.setrlimit(limit, (50, resource.getrlimit(limit)[1]))
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
    signal.signal(number, signal.SIG_DFL)
hard = {name: resource.getrlimit(getattr(resource, name))[1] for name in dir(resource) if name.startswith("RLIMIT_")}
from pi_agent.linux import limits
limits.drop_inherited()
print(json.dumps({
    "umask": os.umask(0),
    "hard": hard,
    "hard_now": {name: resource.getrlimit(getattr(resource, name))[1] for name in hard},
    "soft": {name: resource.getrlimit(getattr(resource, name))[0] for name in hard},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "ignored": [n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN],
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
}))
"""


def renounced() -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-B", "-c", _CODE], cwd=TOP, env={"PYTHONPATH": str(TOP)}, capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_nothing_that_the_caller_hands_down_governs_the_launch() -> None:
    found = renounced()
    assert found["umask"] == 0o022
    assert found["blocked"] == []
    stopping = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    assert set(found["ignored"]) - {signal.SIGPIPE, signal.SIGXFSZ} == stopping, "the two Python ignores itself"
    assert found["interrupt"] is True
    for name in ("RLIMIT_FSIZE", "RLIMIT_CPU"):
        assert found["soft"][name] in (-1, found["hard"][name])
    assert found["soft"]["RLIMIT_NOFILE"] > 50
    # 0 would still dump the core into a program (core(5)).
    assert (found["soft"]["RLIMIT_CORE"], found["hard_now"]["RLIMIT_CORE"]) == (1, 1)
