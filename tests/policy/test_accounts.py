from __future__ import annotations

import grp
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux.identities import Identity
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, Refusal
from pi_agent.policy import accounts
from tests.support.policies import frozen, host_user

_SOMEBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
_ROOT = pwd.getpwuid(0)
_GROUP = grp.getgrgid(0).gr_name
_OTHER_GROUP = next(entry for entry in grp.getgrall() if entry.gr_gid != 0)
_POLICY = frozen(hostUsers={_SOMEBODY.pw_name: host_user("~")})


# -- the host user


def refused(environ: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        accounts.through_sudo(_POLICY, environ)
    assert caught.value.status == EX_NOPERM
    return caught.value


def test_a_listed_user_is_known_by_uid() -> None:
    found = accounts.through_sudo(_POLICY, {"SUDO_UID": str(_SOMEBODY.pw_uid)})
    assert (found.name, found.uid, found.home) == (_SOMEBODY.pw_name, _SOMEBODY.pw_uid, _SOMEBODY.pw_dir)
    assert found.gid == _SOMEBODY.pw_gid
    assert found.gid in found.groups


def test_a_user_who_is_not_listed_is_refused_with_the_nix_line() -> None:
    with pytest.raises(Refusal) as caught:
        accounts.by_uid(frozen(hostUsers={"somebody-else": host_user("~")}), _SOMEBODY.pw_uid)
    assert caught.value.status == EX_NOPERM
    assert _SOMEBODY.pw_name in caught.value.what
    assert f'm3ta.pi-agent.hostUsers."{_SOMEBODY.pw_name}".projectRoots' in caught.value.remedy


def test_names_in_the_environment_are_not_believed() -> None:
    assert "root" in refused({"SUDO_UID": "0", "SUDO_USER": _SOMEBODY.pw_name, "USER": _SOMEBODY.pw_name}).what
    refused({"SUDO_USER": _SOMEBODY.pw_name, "LOGNAME": _SOMEBODY.pw_name})


def test_root_is_refused_even_when_listed() -> None:
    with pytest.raises(Refusal) as caught:
        accounts.by_uid(frozen(hostUsers={"root": host_user("~")}), 0)
    assert caught.value.status == EX_NOPERM
    assert "root" in caught.value.what


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1 ", "0x1", "1_0", "1.0", "١", "²", "nobody", "9" * 40, "9" * 5000, "1\n"]
)
def test_a_uid_that_is_no_number_is_refused(text: str) -> None:
    refused({"SUDO_UID": text})


@pytest.mark.parametrize("uid", [2**31, 2**32 - 1, 2**32, 9999999999])
def test_a_uid_of_nobody_is_refused(uid: int) -> None:
    assert str(uid) in refused({"SUDO_UID": str(uid)}).what


@given(st.text(max_size=12))
def test_only_the_listed_uid_passes(text: str) -> None:
    try:
        assert accounts.through_sudo(_POLICY, {"SUDO_UID": text}).uid == _SOMEBODY.pw_uid
    except Refusal as refusal:
        assert refusal.status == EX_NOPERM


# -- the isolated user


def test_the_agent_is_the_policys_user_and_groups_at_home_in_the_state_directory() -> None:
    found = accounts.agent(frozen(user=_ROOT.pw_name, group=_OTHER_GROUP.gr_name))
    gid = _OTHER_GROUP.gr_gid
    assert found == Identity(_ROOT.pw_name, _ROOT.pw_uid, gid, (gid,), "/var/lib/pi-agent")


def test_the_project_group_joins_the_agents_groups() -> None:
    found = accounts.agent(frozen(user=_ROOT.pw_name, group=_GROUP, projectGroup=_OTHER_GROUP.gr_name))
    assert (found.gid, found.groups) == (0, (0, _OTHER_GROUP.gr_gid))


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        ({"user": "no-such-user"}, "user «no-such-user»"),
        ({"user": "root", "group": "no-such-group"}, "group «no-such-group»"),
        ({"user": "root", "group": _GROUP, "projectGroup": "no-such-group"}, "group «no-such-group»"),
    ],
)
def test_a_missing_user_or_group_is_named(overrides: dict[str, str], missing: str) -> None:
    with pytest.raises(Refusal) as caught:
        accounts.agent(frozen(**overrides))
    assert caught.value.status == EX_CONFIG
    assert missing in caught.value.what
