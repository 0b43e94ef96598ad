"""What the supervisor does with a herder's wishes, and with herders that die."""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine.model.task_id import TaskId
from engine.wire.herder_message import (  # fmt: skip
    Ack,
    Drop,
    PlanEnded,
    RestartTask,
    SupervisorSample,
    SyncBegin,
    TaskEvent,
)
from tests.unit.supervisor.conftest import ReadLog
from tests.unit.supervisor.played_herder import PlayedHerder

pytestmark = [pytest.mark.usefixtures("subreaper"), pytest.mark.timeout(120)]

PLUGINS = Path(__file__).parents[2] / "system" / "plugins"

Play = Callable[[Callable[[PlayedHerder], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path, read_log: ReadLog, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs a supervisor with a played herder; in the end it stops, and no process is left."""
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))

    def run(body: Callable[[PlayedHerder], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            herder = PlayedHerder(tmp_path, read_log)
            running = asyncio.create_task(herder.supervisor.run())
            try:
                assert await herder.connect() == []
                await body(herder)
            finally:
                herder.supervisor.stop()
                await herder.until(lambda: not herder.supervisor._tasks)
                herder.supervisor._herder.kill()
                assert await asyncio.wait_for(running, 30) == 0
                herder.close()

        asyncio.run(main())

    return run


async def next_herder(herder: PlayedHerder) -> list[Any]:
    """Kill the herder; the snapshot that the next one gets."""
    os.kill(herder.supervisor._herder.pid or 0, signal.SIGKILL)
    return await herder.connect()


def test_a_wanted_task_runs_and_a_dropped_one_is_gone(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0)
        (report,) = await herder.running(0)
        assert report.config_hash == "a"
        assert report.generation >> 32 == 1
        herder.say(Drop("calm", 0))
        await herder.until(lambda: herder.names(0)[-1] == "gone")
        told = [name for name in herder.names(0) if name != "note"]
        assert told == ["starting", "forked", "running", "stopping", "exited", "gone"]
        assert not os.path.exists(f"/proc/{report.pid}")  # noqa: ASYNC240 (does not wait)

    play(body)


def test_tasks_outlive_their_herder_and_the_next_one_adopts_them(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0, 1)
        before = await herder.running(0, 1)
        snapshot = await next_herder(herder)
        assert [r.pid for r in snapshot] == [r.pid for r in before]
        herder.want(0, 1)
        herder.say(RestartTask("calm", 1))
        old = before[1].generation
        await herder.until(
            lambda: (
                [e for e in herder.events(1) if e.event == "running"][-1:] != []
                and herder.events(1)[-1].report.generation > old
            )
        )
        assert "exited" not in herder.names(0)

    play(body)


@pytest.mark.parametrize("way", ["says nothing", "empty", "half", "wrong count"])
def test_a_set_that_is_empty_or_not_whole_stops_nobody(play: Play, way: str) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0, 1)
        before = await herder.running(0, 1)
        await next_herder(herder)
        match way:
            case "empty":
                herder.want()
            case "half":
                herder.say(SyncBegin(1))
                herder.desire(0)
            case "wrong count":
                herder.want(0, count=2)
            case _:
                pass
        herder.desire(2)
        await herder.running(2)
        tasks = herder.supervisor._tasks
        assert {str(t): tasks[t].pid for t in tasks if t.task < 2} == {
            f"calm-{r.task}": r.pid for r in before
        }

    play(body)


def test_a_whole_set_ends_what_it_does_not_name(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0, 1)
        before = await herder.running(0, 1)
        await next_herder(herder)
        herder.want(1)
        await herder.until(lambda: "gone" in herder.names(0))
        assert [t.pid for t in herder.supervisor._tasks.values()] == [before[1].pid]

    play(body)


def test_events_are_told_again_to_the_next_herder_until_they_are_acknowledged(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0)
        await herder.running(0)
        told = [m.seq for m in herder.heard if isinstance(m, TaskEvent)]
        assert told == list(range(told[0], told[-1] + 1))
        herder.say(Ack(told[1]))
        herder.say(RestartTask("nobody", 0))
        herder.desire(1)
        await herder.running(1)  # so the acknowledgement was read
        seen = [m.seq for m in herder.heard if isinstance(m, TaskEvent)]
        await next_herder(herder)
        await herder.until(
            lambda: (
                [m.seq for m in herder.heard if isinstance(m, TaskEvent)][: len(seen) - 2]
                == seen[2:]
            )
        )

    play(body)


def test_another_configuration_gets_another_process_and_the_same_one_does_not(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0)
        (first,) = await herder.running(0)
        herder.desire(0, "a")
        herder.desire(1)
        await herder.running(1)
        assert herder.events(0)[-1].report.pid == first.pid
        herder.desire(0, "b")
        await herder.until(lambda: herder.names(0).count("running") == 2)
        last = herder.events(0)[-1].report
        assert (last.config_hash, last.generation) == ("b", first.generation + 1)

    play(body)


def test_a_task_that_comes_again_has_a_greater_generation(play: Play) -> None:
    """Whatever an older process still writes is told apart from it."""

    async def body(herder: PlayedHerder) -> None:
        herder.want(0)
        (first,) = await herder.running(0)
        herder.say(Drop("calm", 0))
        await herder.until(lambda: herder.names(0)[-1] == "gone")
        herder.desire(0)
        await herder.until(lambda: herder.names(0).count("running") == 2)
        assert herder.events(0)[-1].report.generation > first.generation

    play(body)


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Makes a time in which this process can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    @contextmanager
    def exhausted() -> Iterator[None]:
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        filled = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            with suppress(OSError):
                while True:
                    filled.append(os.open(os.devnull, os.O_RDONLY))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in filled:
                os.close(fd)

    yield exhausted
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_f56_a_start_without_descriptors_fails_and_is_tried_again(
    play: Play, no_descriptors: Callable[[], AbstractContextManager[None]]
) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.delay = 0.3
        herder.want(0, 1)
        first, other = await herder.running(0, 1)
        os.kill(first.pid or 0, signal.SIGKILL)
        await herder.until(lambda: herder.names(0)[-1] == "backoff")
        with no_descriptors():
            await herder.until(lambda: "start_failed" in herder.events(0)[-1].report.restarts)
            assert herder.events(0)[-1].report.reason is not None
            assert "Too many open files" in str(herder.events(0)[-1].report.reason)
        await herder.until(lambda: herder.names(0).count("running") == 2)
        assert herder.supervisor._tasks[TaskId("calm", 1)].pid == other.pid

    play(body)


def test_a_plan_child_ends_with_its_answer_or_with_its_deadline(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        quick, slow = herder.plan(7, 30.0), herder.plan(8, 0.0)
        await herder.until(lambda: len([m for m in herder.heard if isinstance(m, PlanEnded)]) == 2)
        ends = {m.token: m.problem for m in herder.heard if isinstance(m, PlanEnded)}
        assert ends == {7: None, 8: "deadline of 0 s exceeded"}
        quick.close()
        slow.close()

    play(body)


def test_a_herder_that_comes_and_goes_leaves_no_descriptors(play: Play) -> None:
    async def body(herder: PlayedHerder) -> None:
        herder.want(0)
        await herder.running(0)
        await next_herder(herder)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await next_herder(herder)
            herder.want(0)
            await herder.until(lambda: herder.supervisor._herder.is_ready)
        assert len(os.listdir("/proc/self/fd")) == before

    play(body)


def test_a_child_that_was_there_before_survives_the_end(play: Play) -> None:
    """It belongs to whoever executed us, as when a shell becomes the engine."""
    earlier = subprocess.Popen(["sleep", "60"])
    try:

        async def body(herder: PlayedHerder) -> None:
            herder.want(0)
            await herder.running(0)

        play(body)
        assert earlier.poll() is None
    finally:
        earlier.kill()
        earlier.wait(10)


@pytest.mark.parametrize(
    "broken",
    [
        "engine.supervisor.zygote.Zygote.check",
        "engine.supervisor.task_watch.TaskWatch.look",
        "engine.supervisor.records.Records.sweep",
        "engine.supervisor.own_stacks.OwnStacks.turn",
    ],
)
def test_a_look_that_fails_is_told_and_everything_else_is_looked_at_again_and_again(
    play: Play, read_log: ReadLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("something else")

    async def body(herder: PlayedHerder) -> None:
        await herder.until(lambda: len(told()) == 1)
        herder.heard.clear()
        ticks = herder.supervisor._ticker.ticks
        await herder.until(lambda: herder.supervisor._ticker.ticks >= ticks + 3)
        await herder.until(lambda: any(isinstance(m, SupervisorSample) for m in herder.heard))
        assert len(told()) == 1
        assert "LookupError" in told()[0]["exception"]
        journal = tmp_path / "journal" / "events.jsonl"
        await herder.until(lambda: "something else" in journal.read_text())

    def told() -> list[dict[str, Any]]:
        text = "the supervisor failed at something and goes on"
        return [event for event in read_log.events() if event["event"] == text]

    monkeypatch.setattr(broken, fail)
    play(body)
