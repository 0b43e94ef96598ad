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


SET = "from engine.wire.log_sequence import set_levels\n"


def told(body: str, level: str = "info") -> str:
    """The sentences of all events, one after the other."""
    return "".join(str(event["event"]) for event in events_of(SET + body, level))


def test_levels_change_while_a_process_runs_and_back_again() -> None:
    body = (
        'log.debug("a"); set_levels({"root": "DEBUG"}); log.debug("b")\n'
        'set_levels({"root": "ERROR"}); log.warning("c"); log.error("d")\n'
        'set_levels({}); log.debug("e"); log.info("f")'
    )
    assert told(body) == "bdf"


def test_one_logger_can_say_more_or_less_than_the_others() -> None:
    body = (
        'other = get_logger("engine.other")\n'
        'set_levels({"engine.test": "TRACE", "engine": "WARN"})\n'
        'log.debug("a"); other.info("b"); other.warning("c"); get_logger("lib").info("d")'
    )
    assert told(body) == "acd"


def test_libraries_are_as_talkative_as_is_asked_for() -> None:
    body = (
        'lib = logging.getLogger("lib.deep")\n'
        'lib.debug("a"); set_levels({"lib": "DEBUG"}); lib.debug("b")\n'
        'set_levels({"root": "DEBUG"}); lib.debug("c")\n'
        'set_levels({"lib": "OFF"}); lib.critical("d"); logging.getLogger("x").info("e")\n'
        'set_levels({}); lib.debug("f"); lib.info("g")'
    )
    assert told(body) == "bceg"


def test_a_level_that_was_configured_holds_where_nobody_sets_another() -> None:
    body = 'set_levels({"lib": "DEBUG"}); log.info("a"); log.error("b")'
    assert told(body, "ERROR") == "b"


def test_secrets_are_hidden_in_events_and_in_what_is_printed() -> None:
    program = PROGRAM.format(
        level="info",
        body=(
            "import sys\n"
            "from engine.model.secret import Secrets\n"
            "from engine.wire.log_sequence import hide\n"
            "secrets = Secrets(); hide(secrets)\n"
            'secrets.add("hunter2"); secrets.add("quo\\"te")\n'
            'log.info("with hunter2", why="quo\\"te", error=ValueError("hunter2"))\n'
            'logging.getLogger("lib").error("lib knows %s", "hunter2")\n'
            'print("printed", "hunter2"); sys.stdout.writelines(["hunter2\\n"])\n'
            "try:\n    raise ValueError('hunter2')\n"
            "except ValueError:\n    log.exception('raised')\n"
            "raise KeyError('hunter2')"
        ),
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=30
    )
    assert ended.returncode == 1
    assert b"hunter2" not in ended.stdout + ended.stderr
    assert b"quo" not in ended.stdout + ended.stderr
    assert ended.stdout == b"printed [hidden]\n[hidden]\n"
    assert b"KeyError: '[hidden]'" in ended.stderr
