"""The prose of the manual page, pi-sandbox(1). Commands and exit statuses have theirs in command_texts and statuses."""

from __future__ import annotations

from typing import Final

NAME: Final = "sandbox commands of the Pi coding agent"

# These follow the command's name.
LAUNCH: Final = (
    "starts the Pi coding agent in the current directory, as a system user that your agents alone run as, in a "
    "hardened systemd unit. The unit sees the allowed project root that holds this directory, state of its own, a "
    "read-only system, and nothing else of yours. All arguments are passed to Pi: see"
)

COMMANDS: Final = (
    "If the first argument is one of the commands below, that command runs instead. Each concerns only the user who "
    "runs it: none shows or changes anything of another user."
)

EXIT_STATUS: Final = "If Pi ran, its own exit status, or 128 + n if signal n ended it. Otherwise:"
SUCCESS: Final = "The command succeeded."
REFUSAL: Final = (
    "A refusal prints one line on standard error that says what is wrong, and below it what to do about it."
)

CONFIGURATION: Final = (
    "Your Pi configuration, unless the administrator set another path. It is read at each launch and never written."
)
VARIABLES: Final = "Variables for Pi, such as API keys: one NAME=value a line."
OPTIONS: Final = "All options of the NixOS module, m3ta.pi-agent, with types, defaults and examples."

EXAMPLE_PROMPT: Final = "what does this project do?"
