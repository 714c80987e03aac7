from __future__ import annotations

import os

import pytest

from pi_agent.linux.descriptors import Descriptors
from tests.support.limits import open_descriptors


def test_what_is_held_is_closed_together() -> None:
    before = open_descriptors()
    held = Descriptors()
    for _ in range(3):
        held.hold(os.open("/dev/null", os.O_RDONLY))
    assert len(open_descriptors()) == len(before) + 3
    held.close()
    assert open_descriptors() == before


def test_what_is_held_is_given_back_to_be_used() -> None:
    held = Descriptors()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    assert held.hold(descriptor) == descriptor
    assert os.read(descriptor, 1) == b""
    held.close()


def test_closing_twice_closes_nothing_of_somebody_elses() -> None:
    held = Descriptors()
    first = held.hold(os.open("/dev/null", os.O_RDONLY))
    held.close()
    second = os.open("/dev/null", os.O_RDONLY)
    assert second == first, "the kernel gives the same number again"
    held.close()
    os.fstat(second)
    os.close(second)


def test_one_that_somebody_closed_already_is_told_and_no_other_is_closed_twice() -> None:
    held = Descriptors()
    other = held.hold(os.open("/dev/null", os.O_RDONLY))
    os.close(held.hold(os.open("/dev/null", os.O_RDONLY)))
    with pytest.raises(OSError):
        held.close()
    held.close()
    with pytest.raises(OSError):
        os.fstat(other)
