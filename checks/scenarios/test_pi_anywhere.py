"""What the real Pi does for its user needs no project; where one is, it is there."""

from __future__ import annotations

import json

import pytest
from support.commands import Result, as_user
from support.host_configuration import host_file, write
from support.installed import demo, home, isolated, state

PLACES = ("/", "/tmp", "/home/alice")


def everywhere(*words: str) -> list[Result]:
    """The command's results outside of all roots, and in a project."""
    return [as_user("alice", "pi", *words, cwd=place) for place in (*PLACES, demo("alice"))]


def said(words: tuple[str, ...], expected: str) -> None:
    for found in everywhere(*words):
        assert expected in found.text + found.complaint, (words, found)
        assert "not inside an allowed project root" not in found.complaint


def test_models_logins_and_servers_are_listed_anywhere_as_the_host_configured_them() -> None:
    write(host_file("auth.json"), {"scripted": {"type": "api_key", "key": "of-the-host"}})
    write(host_file("mcp.json"), {"mcpServers": {"checks-server": {"command": "true", "enabled": False}}})
    said(("--list-models",), "scripted-1")
    said(("--list-models", "script"), "scripted-1")
    said(("auth", "check", "--provider", "scripted"), "ready")
    said(("mcp", "list"), "checks-server")


def test_packages_are_listed_anywhere_as_the_host_configured_them() -> None:
    settings = json.loads(host_file("settings.json").read_text())
    write(host_file("settings.json"), {**settings, "packages": ["npm:checks-package"]})
    said(("list",), "npm:checks-package")


@pytest.mark.parametrize("command", ["install", "remove", "update", "list", "config", "auth", "mcp"])
def test_each_command_has_help_anywhere(command: str) -> None:
    for found in everywhere(command, "--help"):
        assert command in found.ok().text


def test_nothing_of_the_host_is_mounted_there_and_a_project_is_where_one_is() -> None:
    shown = 'import { readdirSync } from "node:fs"; console.log("homes:", readdirSync("/home").join());'
    write(host_file("extensions/checks.ts"), f"{shown}\nexport default function () {{}}\n")
    for place, expected in (
        ("/", "homes: \n"),
        (str(home("alice")), "homes: \n"),
        (str(demo("alice")), "homes: alice\n"),
    ):
        found = as_user("alice", "pi", "--list-models", cwd=place).ok()
        assert expected.strip() in [line.strip() for line in (found.text + "\n" + found.complaint).splitlines()], found
    assert (state("alice") / "projects/demo").is_symlink()


def test_what_changes_a_project_or_starts_a_session_needs_one() -> None:
    for words in (["install", "-l", "x"], ["config", "--local"], ["-p", "list"], ["--list-models", "-p"], ["lists"]):
        refused = as_user("alice", "pi", *words, cwd="/")
        assert refused.status == 77, words
        assert "not inside an allowed project root" in refused.complaint
    assert not isolated("alice", "settings.json").exists()
