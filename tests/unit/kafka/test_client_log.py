"""What librdkafka says of a broker that is away, told once."""

import logging

import pytest

from engine.kafka.client_log import client_logger

FAIL = (
    "FAIL [producer-1] [thrd:main]: broker:9092: Connect failed: refused (after {}ms in state UP)"
)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_is_told_once_a_minute_and_then_how_often_it_came() -> None:
    clock, lines = Clock(), Lines()
    logger = client_logger("client", clock)
    logger.addHandler(lines)
    for delay in range(12):
        logger.error(FAIL.format(delay))
    logger.error("something else")
    assert lines.lines == [FAIL.format(0), "something else"]
    clock.now += 61.0
    logger.error("%s", FAIL.format(7))
    assert lines.lines[2:] == [f"{FAIL.format(7)} (11 times more before)"]


def test_endlessly_many_lines_are_not_all_remembered() -> None:
    clock, lines = Clock(), Lines()
    logger = client_logger("client", clock)
    logger.addHandler(lines)
    for number in range(1000):
        logger.error("line %d", number)
    logger.error("line 0")
    assert len(lines.lines) == 1001


def test_a_clients_logger_writes_where_all_do(caplog: pytest.LogCaptureFixture) -> None:
    client_logger("engine.kafka.x").error("FAIL")
    client_logger("engine.kafka.x").error("FAIL")
    assert caplog.messages == ["FAIL", "FAIL"], "each client tells for itself"
    assert [record.name for record in caplog.records] == ["engine.kafka.x"] * 2
