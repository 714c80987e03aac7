"""Stands in for Pi when a test asks what a program in the sandbox receives and can do.

`exec COMMAND…` becomes that command. Anything else prints, as one JSON object, what this process received. Bytes that
are not UTF-8 appear as lone surrogates, as os.fsdecode makes them.
"""

import json
import os
import signal
import sys


def report() -> dict[str, object]:
    """What this process received."""
    return {
        "argv": sys.argv[1:],
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "pid": os.getpid(),
        "tty": [os.isatty(stream) for stream in range(3)],
    }


if sys.argv[1:2] == ["exec"]:
    # Python ignores these signals, and a command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[2], sys.argv[2:])
print(json.dumps(report()))
