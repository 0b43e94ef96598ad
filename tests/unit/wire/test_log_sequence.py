"""Events of a process as JSON text sequences, seen from the other end of its standard error."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging
from engine.wire.log_sequence import configure, get_logger
configure({level!r}, connector="orders", task=3)
log = get_logger("engine.test")
{body}
"""


def events_of(body: str, level: str = "info") -> list[dict[str, object]]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level, body=body)],
        capture_output=True,
        check=True,
        timeout=30,
    )
    *lines, last = ended.stderr.split(b"\n")
    assert last == b""
    assert all(line.startswith(b"\x1e") for line in lines)
    return [json.loads(line[1:]) for line in lines]


def test_an_event_is_one_line_of_json_with_everything_that_was_bound() -> None:
    (event,) = events_of('log.info("started", file="/tmp/ä\\nb")')

    assert event.pop("timestamp")
    assert event == {
        "level": "info",
        "event": "started",
        "logger": "engine.test",
        "connector": "orders",
        "task": 3,
        "file": "/tmp/ä\nb",
    }


def test_what_libraries_log_comes_along_with_its_traceback() -> None:
    (event,) = events_of(
        'try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger("lib").exception("no")'
    )

    assert (event["logger"], event["event"], event["level"]) == ("lib", "no", "error")
    assert "ZeroDivisionError" in str(event["exception"])


def test_less_severe_events_are_left_out() -> None:
    events = events_of(
        'log.debug("a"); log.info("b"); log.warning("c"); logging.getLogger("x").info("d")', "WARN"
    )

    assert [event["event"] for event in events] == ["c"]


@pytest.mark.parametrize(
    ("level", "told"), [("TRACE", "abc"), ("debug", "abc"), ("FATAL", ""), ("OFF", "")]
)
def test_every_level_that_may_be_configured_is_understood(level: str, told: str) -> None:
    events = events_of('log.debug("a"); log.info("b"); log.error("c")', level)

    assert "".join(str(event["event"]) for event in events) == told


def test_an_event_that_is_too_long_is_shortened_and_stays_json() -> None:
    (event,) = events_of('log.info("long", text="ä" * 200_000)')

    assert str(event["text"]).startswith("äää")
    assert len(json.dumps(event)) < 64 * 1024


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    (event,) = events_of('log.info("odd", value=object, path=__import__("pathlib").Path("/x"))')

    assert event["path"] == "/x"


def test_a_closed_log_does_not_disturb_the_work() -> None:
    """The supervisor's end of the pipe may be gone."""
    program = PROGRAM.format(
        level="info", body='import os; os.close(2); log.info("x"); print("on")'
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=30
    )

    assert ended.stdout == b"on\n"
