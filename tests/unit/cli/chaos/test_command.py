"""The command line of ``engine chaos``."""

import re

import pytest

from tests.unit.cli.conftest import Engine


def test_a_dry_run_shows_the_plan_of_a_seed(engine: Engine) -> None:
    shown = engine(
        "chaos", "--dry-run", "--seed", "3", "--minutes", "1", "--kill", "2", "--oom", "1"
    )
    again = engine(
        "chaos", "--dry-run", "--seed", "3", "--minutes", "1", "--kill", "2", "--oom", "1"
    )
    assert (shown.code, shown.out) == (0, again.out)
    faults = re.findall(r"[a-z:-]+$", shown.out, re.MULTILINE)
    assert sorted(faults) == ["kill:task", "kill:task", "oom"]


def test_an_option_without_a_value_is_what_the_default_mix_has(engine: Engine) -> None:
    shown = engine("chaos", "--dry-run", "--minutes", "1", "--stop")
    assert shown.out.split().count("stop") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kill", "tusk=1"), "did you mean task?"),
        (("--stop", "x"), "--stop: 'x' is not a number of times (3) or a rate (6/min)"),
        (("--url", "x", "--oom", "1"), "oom is not for a running engine: nothing outside a task"),
        (("--url", "x", "--disk-full"), "disk-full is not for a running engine: the disk"),
        (("--url", "x", "--kill", "supervisor=1"), "kill:supervisor is not for a running engine"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    engine: Engine, arguments: tuple[str, ...], said: str
) -> None:
    shown = engine("chaos", *arguments)
    assert shown.code == 2
    assert said in shown.err


def test_an_engine_that_nobody_reaches_is_told(engine: Engine) -> None:
    shown = engine("chaos", "--url", "http://127.0.0.1:1", "--yes")
    assert shown.code == 3
    assert shown.err.startswith("engine chaos: Cannot reach the engine at http://127.0.0.1:1")
