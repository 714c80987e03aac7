"""The files that Pi has in its agent directory, and what becomes of each at a start, by top-level name.

docs/pi-files.md says what Pi does with each, by version; tests hold this module and that page against each other, and
against the Pi of the test machine.
"""

from __future__ import annotations

from pi_agent.linux import directories
from pi_agent.state.document_kinds import DOCUMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MERGED: Final = frozenset(kind.name for kind in DOCUMENTS)
# Pi's own, and code that a later session runs. Where nothing else keeps it, `--sandbox-doctor` names it.
KEPT_CODE: Final = ("bin", "npm", "git")
PIS_OWN: Final = frozenset(
    {*KEPT_CODE, "sessions", "models-store.json", "crashes.json", "pi-debug.log", "mcp.log", "mcp.log.1"}
)
# Packages for one run (`pi -e npm:…`), which Pi uses again if they are there.
CLEARED: Final = ("tmp",)
# In the agent's home: where Node looks for a module that an extension asks for and that is nowhere else. Two are above
# the extension; for the others see "Loading from the global folders" in Node's documentation of modules.
_HOME_MODULES: Final = (".node_modules", ".node_libraries", "node_modules", "package.json")
# In ~/.pi: the same, and what Pi reads in a project. The commands that need no project run in the home.
_AS_IN_A_PROJECT: Final = (
    "node_modules",
    "package.json",
    "settings.json",
    "mcp.json",
    "extensions",
    "skills",
    "prompts",
    "commands",
    "themes",
    "npm",
    "git",
    "SYSTEM.md",
    "APPEND_SYSTEM.md",
)
# In the home: what makes programs that Pi or the agent starts run something, or go elsewhere. `--sandbox-doctor` names
# it.
KEPT_SETTINGS: Final = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile"),
    *(".zshenv", ".zprofile", ".zshrc", ".zlogin", ".config/fish"),
    *(".gitconfig", ".config/git/hooks", ".ssh", ".netrc", ".curlrc", ".wgetrc", ".config/direnv", ".config/nixpkgs"),
    *(".npmrc", ".yarnrc", ".yarnrc.yml", ".bunfig.toml", ".cargo", ".config/pip", ".local/bin", ".local/lib"),
    *(".inputrc", ".vimrc", ".vim", ".config/nvim", ".emacs", ".emacs.d", ".tmux.conf", ".config/tmux"),
    *(".aws", ".config/gcloud"),
)
CLEARED_IN_HOME: Final = (*_HOME_MODULES, *(f".pi/{name}" for name in _AS_IN_A_PROJECT))
# environment/dotenv_file.py writes this file.
ELSEWHERE: Final = frozenset({".env"})
# What Pi loads, runs, obeys or makes one of these: commands becomes prompts, tools becomes bin, and oauth.json becomes
# auth.json. Extensions find their modules in node_modules, and Node obeys package.json.
MIRRORED: Final = frozenset(
    {
        "extensions",
        "skills",
        "prompts",
        "commands",
        "themes",
        "hooks",
        "tools",
        "node_modules",
        "package.json",
        "keybindings.json",
        "models.json",
        "mcp.json",
        "oauth.json",
    }
)
# The directory of the agent's home that holds skills which several agents share. It is mirrored as a whole.
SHARED_SKILLS: Final = ".agents"


def is_pis_own(name: str) -> bool:
    """Whether Pi owns this top-level name at run time. It is then neither copied nor removed."""
    return name in PIS_OWN or name.endswith(".lock")


def is_mirrored(name: str) -> bool:
    """Whether this top-level name holds code or instructions, and must match the host exactly.

    This includes the leftovers of a killed sync, which the host does not have.
    """
    return name in MIRRORED or name.lower().endswith(".md") or name.startswith(directories.OURS)


def is_skipped(name: str) -> bool:
    """Whether this top-level name is not copied as a file: Pi's own, cleared, merged, or written elsewhere."""
    return name in MERGED or name in ELSEWHERE or name in CLEARED or is_pis_own(name)


def is_no_shared_skill(name: str) -> bool:
    """Whether this name at the top of the agent's home is none of ours to mirror."""
    return name != SHARED_SKILLS


def is_shared_skill(name: str) -> bool:
    """The opposite."""
    return name == SHARED_SKILLS
