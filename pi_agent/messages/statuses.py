"""What each exit status means, for the manual page and README.md. No launch imports this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_SOFTWARE, EX_UNAVAILABLE, EX_USAGE

MEANINGS: Final[Mapping[int, str]] = {
    EX_USAGE: "The sandbox command, or an argument of it, is unknown.",
    EX_DATAERR: "Something in your own configuration is wrong; the message names the file and the place.",
    EX_UNAVAILABLE: "sudo, systemd, a mount or the disk failed.",
    EX_SOFTWARE: "A bug in pi-agent.",
    EX_NOPERM: "Not permitted: who you are, or where you are.",
    EX_CONFIG: "The installation or its policy is broken.",
}
