"""The host user's roots and Pi configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pi_agent.cli.doctor import host_user_checks
from pi_agent.messages import findings, refusals
from pi_agent.messages.finding import FAIL, OK
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from tests.support import people
from tests.support.fakes import Kernel
from tests.support.installations import Install, Installation, grades, only
from tests.support.policies import USER, host_user
from tests.support.trees import put


def test_roots_are_tried_without_attaching_anything(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = install(hostUsers={USER: host_user("~/here", "~/gone")})
    (installation.top / "home/here").mkdir()
    kernel = Kernel(installation.top / "kernel.log", monkeypatch)
    context = installation.context()
    gone = findings.root_unusable("~/gone", os.strerror(2))
    assert list(host_user_checks.project_roots(context)) == [findings.root_mapped("~/here"), gone]
    kernel.refuses = {"idmap"}
    assert list(host_user_checks.project_roots(context)) == [findings.root_not_mapped("~/here"), gone]
    assert kernel.attached() == {} and len(kernel.calls("idmap")) == 2
    unprivileged = replace(context, as_root=False)
    assert list(host_user_checks.project_roots(unprivileged)) == [findings.root("~/here"), gone]
    assert list(host_user_checks.project_roots(replace(context, user=None))) == []


def test_a_root_that_a_launch_would_refuse_is_told_as_by_the_launch(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = install(hostUsers={USER: host_user("~/here")})
    root = installation.top / "home/here"
    root.mkdir()
    kernel = Kernel(installation.top / "kernel.log", monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_, **__: False)
        closed = only(host_user_checks.project_roots(installation.context()))
    assert closed == findings.root_closed_to_agent("~/here", refusals.directory_closed_to_agent(str(root)))
    kernel.refuses = {"clone"}
    assert grades(host_user_checks.project_roots(installation.context())) == [FAIL]


def test_a_configuration_that_a_launch_would_read_is_fine(installation: Installation) -> None:
    assert only(host_user_checks.configuration(installation.context())) == findings.configuration(
        str(installation.here.host)
    )


@people.needs_root
def test_shared_skills_that_a_launch_cannot_read_are_refused(ordinary: Path) -> None:
    installation = Installation(ordinary)
    skills = ordinary / "home/.agents/skills"
    skills.mkdir(parents=True)
    assert grades(host_user_checks.configuration(installation.context())) == [OK]
    skills.chmod(0)
    with pytest.raises(Refusal) as caught:
        list(host_user_checks.configuration(installation.context()))
    assert caught.value.status == EX_DATAERR and str(skills) in caught.value.what


def test_a_configuration_that_is_not_used_is_fine(install: Install) -> None:
    installation = install(syncConfigFromHost=False)
    assert only(host_user_checks.configuration(installation.context())) == findings.no_configuration()
    assert grades(host_user_checks.configuration(installation.context())) == [OK]


@pytest.mark.parametrize(
    ("files", "explicit"),
    [
        ({}, False),
        ({".gitconfig": "[safe]\nbareRepository = explicit\n"}, True),
        ({".config/git/config": "[safe]\n\tBareRepository = EXPLICIT\n"}, True),
        (
            {
                ".config/git/config": "[safe]\nbareRepository = explicit\n",
                ".gitconfig": "[safe]\nbareRepository = all\n",
            },
            False,
        ),
        ({".gitconfig": "[safe]\ndirectory = explicit\n"}, False),
    ],
)
def test_whether_git_obeys_bare_repositories_is_said(
    installation: Installation, files: dict[str, str], explicit: bool
) -> None:
    for name, text in files.items():
        put(installation.top / "home" / name, text)
    wanted = findings.bare_repositories_distrusted() if explicit else findings.bare_repositories_trusted()
    assert only(host_user_checks.git(installation.context())) == wanted
    assert list(host_user_checks.git(replace(installation.context(), user=None))) == []
