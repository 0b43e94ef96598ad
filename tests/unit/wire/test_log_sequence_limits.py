"""Events of a process that are hard to write down."""

import json
import subprocess
import sys
from typing import Any

from engine.model.log_line import RECORD_SEPARATOR


def events_of(code: str, level: str = "info") -> list[dict[str, Any]]:
    """The events that a fresh process writes."""
    program = (
        "import logging, sys\n"
        "from engine.wire.log_sequence import configure, get_logger\n"
        "log = get_logger('engine.test')\n"
        f"configure({level!r}, connector='c', task=3)\n{code}"
    )
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True)
    lines = done.stderr.splitlines(keepends=True)
    assert all(line.startswith(RECORD_SEPARATOR) and line.endswith(b"}\n") for line in lines)
    return [json.loads(line[1:]) for line in lines]


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    (event,) = events_of("log.info('x', path=sys, text='\\ud800', data=b'\\xff')")
    assert event["path"].startswith("<module 'sys'")


def test_rich_is_not_imported() -> None:
    (event,) = events_of("log.info('x', rich='rich' in sys.modules)")
    assert event["rich"] is False
