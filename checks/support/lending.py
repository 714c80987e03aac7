"""Descriptors sent between a session and a process of the host, through a Unix socket in the project.

Two programs meet at the socket: one binds it, the other connects. Either can be inside. The lender opens something and
sends it (unix(7), SCM_RIGHTS); the borrower runs attempts on what it got and prints their answers as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.commands import CLEAN, Word, login, on_machine
from support.installed import Json, demo
from support.waiting import PATIENCE

_SOCKET: Final = "lent"
_COMMON: Final = f"""
import array, ctypes, errno, json, os, socket, stat, sys, time
LIBC = ctypes.CDLL(None, use_errno=True)
def answer(code, lent):
    try:
        exec(code, {{**globals(), "lent": lent}})
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "works"
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "a call failed")
    return result
def met(binds):
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(60)
    if binds:
        end.bind({_SOCKET!r})
        os.chmod({_SOCKET!r}, 0o777)
        end.listen()
        return end.accept()[0]
    for _ in range(600):
        try:
            end.connect({_SOCKET!r})
            return end
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.1)
    raise SystemExit("nobody is there")
"""
LENDER: Final = (
    _COMMON
    + """
names = {**globals()}
exec(sys.argv[2], names)
peer = met(sys.argv[1] == "binds")
peer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [names["lent"]]))])
peer.recv(1)
"""
)
BORROWER: Final = (
    _COMMON
    + """
peer = met(sys.argv[1] == "binds")
_, rights, _, _ = peer.recvmsg(1, socket.CMSG_SPACE(4))
[lent] = array.array("i", rights[0][2])
print(json.dumps({name: answer(code, lent) for name, code in json.loads(sys.argv[2]).items()}), flush=True)
peer.send(b"x")
"""
)


@dataclass(frozen=True, slots=True)
class Party:
    """Who takes part. user: whose process or session it is. command: the variant whose sandbox it is in, if any.

    place: its directory, where the socket is.
    """

    user: str
    command: str | None = None
    place: Path | None = None

    def python(self, *words: str) -> list[Word]:
        """The command that runs Python there."""
        inside = () if self.command is None else (self.command, "exec")
        return login(self.user, (*inside, "python3", "-c", *words), self.place)


def answers(lender: Party, opens: str, borrower: Party, attempts: Mapping[str, str]) -> Mapping[str, str]:
    """What the borrower's attempts gave, by name: `works`, or the name of an error.

    opens: Python that sets `lent` to the descriptor to lend. attempts: Python that uses `lent`.
    """
    place = borrower.place or demo(borrower.user)
    (place / _SOCKET).unlink(missing_ok=True)
    words = borrower.python(BORROWER, "binds", json.dumps(attempts))
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=CLEAN, cwd="/") as waits:
        try:
            on_machine(*lender.python(LENDER, "connects", opens)).ok()
            output, _ = waits.communicate(timeout=PATIENCE)
        finally:
            waits.kill()
    found: Json = json.loads(output)
    return found
