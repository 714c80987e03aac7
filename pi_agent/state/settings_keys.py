"""The keys of Pi's settings.json, by what they can do. docs/pi-files.md explains each, by version of Pi.

Only a taste survives as a choice made inside. A key that is not listed here does not: a newer Pi may run what it says.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

# Pi loads or runs what these name, follows it as instructions, or, with defaultProjectTrust, stops asking first.
RUNS: Final = frozenset(
    {
        "apiKeys",
        "defaultProjectTrust",
        "extensions",
        "externalEditor",
        "npmCommand",
        "packages",
        "prompts",
        "selfUpdateCommand",
        "shellCommandPrefix",
        "shellPath",
        "skills",
        "themes",
    }
)
# Of these: lists of places.
PLACES: Final = ("extensions", "packages", "prompts", "skills", "themes")
# Of the tastes: whether Pi sends reports to its makers. Inside, a refusal of the host's cannot be taken back.
CONSENTS: Final = frozenset({"enableAnalytics", "enableInstallTelemetry"})
# These say where transcripts and requests go.
REDIRECTS: Final = frozenset({"httpProxy", "sessionDir", "sessionShareDestination"})
TASTES: Final = frozenset(
    {
        "$schema",
        "autocompleteMaxVisible",
        "branchSummary",
        "cacheWarming",
        "codemode",
        "collapseChangelog",
        "compaction",
        "defaultModel",
        "defaultProvider",
        "defaultThinkingLevel",
        "defaultTools",
        "deviceId",
        "doubleEscapeAction",
        "editorPaddingX",
        "enableAnalytics",
        "enableInstallTelemetry",
        "enableSkillCommands",
        "enabledModels",
        "extensionChangelogVersions",
        "followUpMode",
        "fullscreenCopyOnSelect",
        "fullscreenExitOutput",
        "fullscreenScrollbar",
        "fullscreenWheelScrollLines",
        "hideThinkingBlock",
        "httpIdleTimeoutMs",
        "images",
        "lastChangelogVersion",
        "markdown",
        "modelThinkingLevels",
        "outputPad",
        "queueMode",
        "quietStartup",
        "retry",
        "showCacheMissNotices",
        "showHardwareCursor",
        "steeringMode",
        "terminal",
        "theme",
        "thinkingBudgets",
        "trackingId",
        "transport",
        "treeFilterMode",
        "tuiMode",
        "warnings",
        "websocketConnectTimeoutMs",
        "websockets",
    }
)


def name_places(settings: Mapping[str, object]) -> bool:
    """Whether the settings say where code and instructions are: settings_places.py is imported only if they do."""
    return not settings.keys().isdisjoint(PLACES)
