"""Log events as lines for people."""

from engine.model.log_line import context_of, readable

HEAD = {"timestamp": "2026-01-02T03:04:05.678901Z", "level": "info", "event": "started"}


def test_an_event_reads_as_time_level_context_and_text() -> None:
    event = {**HEAD, "logger": "x", "connector": "orders", "task": 2, "records": 7}

    assert readable(event) == "2026-01-02T03:04:05.678 INFO    [orders|task-2] started records=7"


def test_events_of_a_connector_and_of_nobody() -> None:
    assert context_of({"connector": "orders"}) == "[orders|worker]"
    assert context_of({}) == ""
    assert readable(HEAD) == "2026-01-02T03:04:05.678 INFO    started"


def test_task_zero_is_a_task() -> None:
    assert context_of({"connector": "orders", "task": 0}) == "[orders|task-0]"


def test_values_with_blanks_are_quoted() -> None:
    assert readable({**HEAD, "reason": "it is gone", "empty": ""}).endswith(
        "started reason='it is gone' empty=''"
    )


def test_a_traceback_follows_on_lines_of_its_own() -> None:
    event = {**HEAD, "exception": "Traceback\n  boom"}

    assert readable(event).splitlines() == [
        "2026-01-02T03:04:05.678 INFO    started",
        "Traceback",
        "  boom",
    ]


def test_an_event_without_anything_is_still_a_line() -> None:
    assert readable({}) == "INFO   "


def test_nothing_that_is_logged_steers_the_terminal() -> None:
    event = {**HEAD, "event": "\x1b[2Jboo\r", "exception": "a\tb\n\x9bc"}

    assert readable(event).endswith("\\x1b[2Jboo\\x0d\na\tb\n\\x9bc")
