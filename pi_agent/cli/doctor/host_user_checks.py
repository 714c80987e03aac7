"""Checks of what belongs to the host user who asks: project roots and Pi configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from pi_agent.cli.doctor.context import Context
from pi_agent.environment import env_files, git_identity
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import finding, findings
from pi_agent.messages.finding import Finding
from pi_agent.messages.refusal import EX_NOPERM, Refusal
from pi_agent.policy import accounts
from pi_agent.policy import project_roots as roots
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project, Root
from pi_agent.sandbox import git_config, mounts
from pi_agent.session import host_view
from pi_agent.state import documents, host_config
from pi_agent.state.document_kinds import DOCUMENTS

_BARE_REPOSITORIES: Final = "safe.barerepository"


def project_roots(context: Context) -> Iterator[Finding]:
    """A launch can use the host user's roots. As root, each is mounted for a try, but attached nowhere."""
    if context.user is None:
        return
    for root in roots.survey(context.policy, context.user):
        try:
            yield _project_root(context, context.user, root)
        finally:
            if root.descriptor is not None:
                os.close(root.descriptor)


def _project_root(context: Context, user: Identity, root: Root) -> Finding:
    if root.path is None or root.descriptor is None or root.why is not None:
        return findings.root_unusable(root.configured, root.why or "")
    if not context.as_root:
        return findings.root(root.configured)
    try:
        mapped = _prepare(context.policy, user, Project(root.path, root.descriptor, root.path))
    except Refusal as refusal:
        closed = refusal.status == EX_NOPERM
        return findings.root_closed_to_agent(root.configured, refusal) if closed else finding.refused("root", refusal)
    return findings.root_mapped(root.configured) if mapped else findings.root_not_mapped(root.configured)


def _prepare(policy: Policy, user: Identity, project: Project) -> bool:
    """Prepare a launch in the root. Returns whether owners are mapped. Raises Refusal: 69, 77."""
    found = accounts.of(policy, user)
    tree, mapped = prepared(found, project.descriptor)
    try:
        host_view.check_enterable(tree, project, found.agent)
    finally:
        os.close(tree)
    return mapped


def prepared(found: Accounts, descriptor: int) -> tuple[int, bool]:
    """A mount of the open directory or file as a launch would prepare it: see mounts.prepared. Raises Refusal (69)."""
    owners = mounts.owner_maps(found)
    try:
        return mounts.prepared(descriptor, owners.project)
    finally:
        owners.close()


def configuration(context: Context) -> Iterator[Finding]:
    """A launch can read the host user's Pi configuration and shared skills. Raises Refusal (65)."""
    if context.user is None:
        return
    with acting_as(context.user):
        host = host_config.open_host_config(context.policy, context.user)
        if host is not None:
            try:
                env_files.host_files(host)
                for kind in DOCUMENTS:
                    documents.read_host(host, kind.name)
            finally:
                os.close(host.descriptor)
        skills = host_config.open_shared_skills(context.policy, context.user)
        if skills is not None:
            os.close(skills.descriptor)
    yield findings.no_configuration() if host is None else findings.configuration(host.path)


def git(context: Context) -> Iterator[Finding]:
    """Whether the host user's git obeys a bare repository wherever one lies (git-config(1), safe.bareRepository)."""
    if context.user is None:
        return
    with acting_as(context.user):
        texts = git_identity.texts_of(context.user.home)
    values = [
        setting.value
        for text in texts
        for setting in git_config.settings(text.encode("utf-8", "surrogateescape"))
        if setting.key == _BARE_REPOSITORIES
    ]
    explicit = bool(values) and values[-1].lower() == "explicit"
    yield findings.bare_repositories_distrusted() if explicit else findings.bare_repositories_trusted()
