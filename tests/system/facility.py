"""What tests need of the kernel, and what becomes of them where it cannot be had.

Root can have all of it, and so can the machine that tests every change: a test that is left out
there is one that nobody runs, so it fails. Anybody else is told why it was skipped.
"""

import os
from collections.abc import Mapping
from typing import Final, NoReturn

import pytest

IMPOSSIBLE: Final[Mapping[str, str]] = {}
"""Facilities that the testing machine does not have at all, each with the reason."""


def lacks(facility: str, problem: str) -> NoReturn:
    """End the test that cannot go on without this facility.

    Args:
        facility: its name, such as ``a file system of its own``.
        problem: what the kernel said.
    """
    reason = f"{facility} cannot be had: {problem}"
    if facility not in IMPOSSIBLE and (os.geteuid() == 0 or "CI" in os.environ):
        pytest.fail(reason)
    pytest.skip(reason)
