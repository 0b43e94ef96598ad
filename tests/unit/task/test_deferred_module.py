"""A module that is only named is not imported; one that is used is."""

import subprocess
import sys

SCRIPT = """
import sys
from engine.task.deferred_module import deferred

with deferred("wave"):
    import wave as named
    assert "wave" in sys.modules and "audioop" not in dir(named)
assert "wave" not in sys.modules, "nobody has used it"
{use}
"""


def run(use: str) -> None:
    script = SCRIPT.replace("{use}", use)
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_what_was_only_named_works_when_it_is_used() -> None:
    run("opener = named.open\nimport wave\nassert opener is wave.open is named.open")


def test_a_later_import_gives_the_module_itself() -> None:
    run("import wave\nassert wave is not named and wave.open is named.open")


def test_a_use_inside_gives_the_module_at_once() -> None:
    run(
        "with deferred('chunk_that_is_not_there'):\n"
        "    import chunk_that_is_not_there as missing\n"
        "    try:\n        missing.anything\n"
        "    except ModuleNotFoundError:\n        pass\n"
        "    else:\n        raise AssertionError('it was found')"
    )


def test_a_module_that_is_there_already_stays() -> None:
    run("with deferred('os'):\n    import os\nassert os.getpid() > 0")
