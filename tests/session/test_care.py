"""Taking care of a session: its directory is private, and gone when it is over.

With a real shell, and a stand-in for systemctl.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import ModuleType

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import session_names
from tests.support.caring import cared_for
from tests.support.fakes import Bin
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.staged import fill_more, left_in, place_of
from tests.support.trees import snapshot

# -- while the runner lives


@needs_root
def test_a_session_has_a_private_directory_that_is_gone_afterwards(staging: Path, bin_: Bin) -> None:
    with cared_for(bin_) as own:
        assert os.path.dirname(own.directory) == f"{staging}/1000"
        for place in (staging, staging / "1000", own.directory):
            assert os.stat(place).st_mode & 0o777 == 0o700
        fill_more(own)
    assert left_in(staging) == []
    assert bin_.calls() == [], "whoever ran the unit saw to its end"


@needs_root
def test_a_session_that_fails_is_stopped_and_gone(staging: Path, bin_: Bin) -> None:
    with pytest.raises(RuntimeError), cared_for(bin_) as own:
        fill_more(own)
        raise RuntimeError
    assert left_in(staging) == []
    assert f"systemctl stop {own.unit}" in bin_.calls("systemctl")


@needs_root
def test_two_sessions_do_not_disturb_each_other(staging: Path, bin_: Bin) -> None:
    with cared_for(bin_, "0") as first, cared_for(bin_, "1") as second:
        assert os.path.isdir(first.directory) and os.path.isdir(second.directory)
        assert not bin_.calls("systemctl"), "the first was not swept by the second"
    assert left_in(staging) == []


@needs_root
def test_the_users_directory_goes_with_the_last_session(staging: Path, bin_: Bin) -> None:
    with cared_for(bin_, "0"):
        with cared_for(bin_, "1") as second:
            assert Path(second.directory).parent == staging / "1000"
        assert (staging / "1000").is_dir()
    assert not (staging / "1000").exists()


# -- where it cannot be made


def test_a_staging_directory_that_is_not_roots_is_refused(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_names, "STAGING", str(ordinary / "staging"))
    (ordinary / "staging").mkdir(mode=0o700)
    bin_ = Bin(ordinary / "bin")
    with pytest.raises(Refusal) as caught, cared_for(bin_):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert snapshot(ordinary / "staging") == {}
    assert bin_.calls() == []


@needs_root
@pytest.mark.parametrize("which", ["all", "the user's"])
@pytest.mark.parametrize("kind", ["group", "owner", "link"])
def test_where_others_can_enter_there_is_not_even_a_guard(
    staging: Path, bin_: Bin, guards: list[int], kind: str, which: str
) -> None:
    """It would walk there by name."""
    place = place_of(staging)
    shared = staging if which == "all" else place
    if kind == "link":
        shared.rename(staging.parent / "real")
        shared.symlink_to(staging.parent / "real")
    else:
        shared.chmod(0o710 if kind == "group" else 0o700)
        os.chown(shared, 4321 if kind == "owner" else 0, 0)
    with pytest.raises(Refusal) as caught, cared_for(bin_):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == [] and guards == []


@needs_root
@pytest.mark.parametrize(
    ("module", "call"), [(fcntl, "flock"), (os, "fstat"), (os, "pipe"), (os, "posix_spawn"), (fcntl, "fcntl")]
)
def test_a_session_that_cannot_be_made_leaves_nothing_and_no_descriptor(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch, module: ModuleType, call: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(module, call, failing)
        with pytest.raises(Refusal) as caught, cared_for(bin_):
            pass
    assert caught.value.status == EX_UNAVAILABLE
    assert open_descriptors() == before
    assert not staging.exists() or left_in(staging) == []
