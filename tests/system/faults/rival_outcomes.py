"""Tries a fault with a rival and says what came of it."""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

from tests.system.faults import (
    rival_deaths,
    rival_operators,
    rival_resources,
    rival_stops,
    rival_supervisors,
)
from tests.system.faults.outcome import FAILED, NOT_APPLICABLE, SURVIVED, Outcome
from tests.system.faults.rival import NotSurvivedError, Rival

_MODULES: tuple[ModuleType, ...] = (
    rival_deaths, rival_operators, rival_stops, rival_supervisors, rival_resources,
)  # fmt: skip


def tried() -> dict[int, str]:
    """Names of functions by the faults that they try."""
    found = {}
    for module in _MODULES:
        for name in vars(module):
            if match := re.match(r"f(\d\d)_", name):
                found[int(match[1])] = name
    return found


def run(number: int, who: str, programs: Path) -> Outcome:
    """One fault, one rival, one folder."""
    name = tried()[number]
    module = next(each for each in _MODULES if hasattr(each, name))
    with TemporaryDirectory(prefix="engine-rival-") as folder:
        try:
            getattr(module, name)(Rival(who, programs, Path(folder).resolve()))
        except (NotSurvivedError, AssertionError) as error:
            return Outcome(number, who, FAILED, str(error))
        except (pytest.skip.Exception, pytest.fail.Exception) as error:  # this machine lacks it
            return Outcome(number, who, NOT_APPLICABLE, str(error))
        except subprocess.TimeoutExpired as error:
            command = Path(str(error.cmd[0])).name
            return Outcome(number, who, FAILED, f"{command} does not answer")
    return Outcome(number, who, SURVIVED)
