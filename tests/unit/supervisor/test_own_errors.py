"""What goes wrong in the supervisor itself."""

import asyncio
from collections.abc import Callable
from typing import Any

from engine.supervisor.own_errors import OwnErrors, tell
from tests.unit.supervisor.conftest import ReadLog


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time the test sets."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def fail(why: str) -> Callable[[], None]:
    def failing() -> None:
        raise LookupError(why)

    return failing


def turn(loop: Clock, *callbacks: Callable[[], None]) -> None:
    for each in callbacks:
        loop.call_soon(each)
    loop.call_soon(loop.stop)
    loop.run_forever()


def told(read_log: ReadLog) -> list[tuple[str, Any]]:
    return [(event["error"], event.get("untold")) for event in read_log.events()]


def test_an_error_is_told_once_a_minute_and_then_how_often_it_was_not(read_log: ReadLog) -> None:
    loop = Clock()
    loop.set_exception_handler(OwnErrors(read_log.log))
    heard: list[str] = []
    read_log.log.on_own = lambda level, _text, _fields: heard.append(level)
    bad, worse = fail("bad"), fail("worse")

    turn(loop, bad, bad, worse, bad)
    loop.now += 59
    turn(loop, bad)
    assert told(read_log) == [("LookupError('bad')", None), ("LookupError('worse')", None)]
    assert heard == ["error", "error"]
    loop.now += 2
    turn(loop, bad)
    assert told(read_log)[2:] == [("LookupError('bad')", 3)]
    loop.close()


def test_an_error_is_told_with_what_was_tried_and_where_it_came_from(read_log: ReadLog) -> None:
    async def body() -> None:
        asyncio.get_running_loop().set_exception_handler(OwnErrors(read_log.log))
        try:
            fail("x" * 100_000)()
        except LookupError as error:
            tell("a look at task orders-0", error)

    asyncio.run(body())

    (event,) = read_log.events()
    assert event["what"] == "a look at task orders-0"
    assert event["exception"].endswith("xxx\n")
    assert len(event["exception"]) <= 8192


def test_errors_of_any_number_are_told_in_bounded_memory(read_log: ReadLog) -> None:
    loop, errors = Clock(), OwnErrors(read_log.log)
    for number in range(2000):
        errors(loop, {"message": f"something else {number}"})
    loop.close()

    assert len(told(read_log)) == 2000
    assert len(errors._told_at) <= 256
