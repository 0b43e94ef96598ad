"""Bad records of a source, against a real broker: only they are given up, and nothing is lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.api import DataError, RetriableError, ToleranceExceededError
from tests.integration.list_source import ListSource, config, read_all, stored, values, worker
from tests.integration.loop_driver import LoopDriver, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("lines")


class Unreadable(ListSource):
    """Some batches cannot be read: an exception is raised in their place."""

    def poll(self) -> Any:
        if self.at < len(self.batches) and isinstance(self.batches[self.at], Exception):
            self.at += 1
            raise self.batches[self.at - 1]
        return super().poll()


class Stuck(ListSource):
    """Does not get past what it cannot read."""

    def poll(self) -> Any:
        raise DataError("line 7 is torn")


BATCHES: Sequence[Any] = [[b"a"], DataError("torn"), DataError("torn, too"), [b"b"]]


def test_what_a_poll_cannot_read_is_passed_where_that_is_allowed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = Unreadable(topic, BATCHES)
    settings = config(name, errors__tolerance="all")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 4})
    driver.stop()
    assert values(read_all(kafka, topic, 2)) == [b"a", b"b"]
    assert (driver.slot["errors_task_poll"], driver.slot["records_skipped"]) == (2, 2)


def test_what_a_poll_cannot_read_ends_a_task_that_tolerates_nothing(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = Unreadable(topic, BATCHES)
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start()
    assert driver.failed(ToleranceExceededError).endswith("TASK_POLL: torn")
    assert stored(tmp_path, name) == {"batch": 1}


def test_a_poll_that_never_gets_past_its_error_is_no_success(tmp_path: Path, name: str) -> None:
    settings = config(name, errors__tolerance="all")
    driver = LoopDriver(
        tmp_path, Stuck("t", []), worker=worker("127.0.0.1:1"), config=settings
    ).start()  # fmt: skip
    assert driver.failed(DataError) == "line 7 is torn"
    assert driver.slot["errors_task_poll"] == 10


def test_a_poll_that_asks_too_often_for_a_retry_has_failed(tmp_path: Path, name: str) -> None:
    task = ListSource("t", [])
    task.failure = RetriableError("not now", retry_after=0.01)
    settings = config(name, errors__max__retries="3")
    driver = LoopDriver(tmp_path, task, worker=worker("127.0.0.1:1"), config=settings).start()
    assert driver.failed(RetriableError) == "not now"
    assert driver.slot["retries"] == 3
