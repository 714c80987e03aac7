"""Transcripts that a program inside writes where Pi's belong."""

from __future__ import annotations

from typing import Final

from support.commands import inside

# The beginning of a script: $S is the directory of transcripts inside.
IN_SESSIONS: Final = "S=~/.pi/agent/sessions; mkdir -p $S/--p--; "


def planted(name: str, content: str, user: str = "alice") -> None:
    """A transcript that the agent wrote."""
    script = IN_SESSIONS + 'mkdir -p "$(dirname "$S/$1")"; printf "%s\\n" "$2" >"$S/$1"'
    inside(script, name, content, user=user).ok()
