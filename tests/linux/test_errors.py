from __future__ import annotations

import errno
import os

import pytest

from pi_agent.linux import errors
from pi_agent.linux.errors import MACHINE_FAULTS

# Errors of a look-up that concern the name itself.
_OF_A_NAME = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EXDEV, errno.ENAMETOOLONG)


@pytest.mark.parametrize("number", sorted(MACHINE_FAULTS))
def test_a_fault_of_the_machine_is_raised_again_as_it_is(number: int) -> None:
    error = OSError(number, os.strerror(number), "/x")
    with pytest.raises(OSError) as caught:
        errors.raise_machine_fault(error)
    assert caught.value is error


@pytest.mark.parametrize("number", _OF_A_NAME)
def test_what_is_said_of_a_name_is_no_fault_of_the_machine(number: int) -> None:
    errors.raise_machine_fault(OSError(number, os.strerror(number)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error", "/x"), "Input/output error"),
        (OSError(0, "it is not a regular file"), "it is not a regular file"),
        (OSError("words alone"), "words alone"),
    ],
)
def test_the_reason_is_given_in_words(error: OSError, words: str) -> None:
    assert errors.reason(error) == words
