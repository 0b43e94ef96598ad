"""What is kept of the past, and what was lost of it."""

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from engine.model.task_id import TaskId
from engine.supervisor.records import Records
from engine.supervisor.settings import Settings
from engine.wire.channel import MAX_MESSAGE_BYTES
from tests.unit.supervisor.conftest import ReadLog


def records(tmp_path: Path, read_log: ReadLog) -> Records:
    for name in ("logs", "journal", "deaths"):
        (tmp_path / name).mkdir()
    return Records(Settings(tmp_path), 1, read_log.log, ["kafka.log"])


def log(dropped: int, problem: str | None = None) -> Any:
    """As much of a log pipe as is asked about."""
    return SimpleNamespace(dropped=dropped, problem=problem)


def test_losses_and_problems_are_told_in_words(tmp_path: Path, read_log: ReadLog) -> None:
    kept = records(tmp_path, read_log)
    told = kept.losses(
        {TaskId("a", 0): log(5, "No space"), TaskId("a", 1): log(0, "No space"),
         TaskId("b", 0): log(0)}
    )  # fmt: skip

    assert told.task_logs == (("a", 0, 5),)
    assert told.problems == ("logs of 2 tasks cannot be written: No space",)


def test_a_message_has_room_for_all_losses_one_after_the_other(
    tmp_path: Path, read_log: ReadLog
) -> None:
    kept = records(tmp_path, read_log)
    for names in (["ä" * 4096], [f"connector-{n}" for n in range(40)]):
        logs = {TaskId(name, n): log(n + 1) for name in names for n in range(100)}
        seen: dict[tuple[str, int], int] = {}
        for _ in range(100):
            told = kept.losses(logs)
            assert len(msgspec.msgpack.encode(told)) < MAX_MESSAGE_BYTES / 2
            seen |= {(connector, task): size for connector, task, size in told.task_logs}
        assert seen == {tuple(task): each.dropped for task, each in logs.items()}


def test_what_is_too_old_is_removed_now_and_then(tmp_path: Path, read_log: ReadLog) -> None:
    kept = records(tmp_path, read_log)
    old = time.clock_gettime(time.CLOCK_REALTIME) - 40 * 86400
    names = ["logs/a-0.log", "logs/kafka.log", "journal/events.jsonl.2", "deaths/a-0.json"]
    for name in names:
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (old, old))
    kept.sweep(1000.0)
    assert [name for name in names if (tmp_path / name).exists()] == ["logs/kafka.log"]

    (tmp_path / names[0]).write_text("x")
    os.utime(tmp_path / names[0], (old, old))
    kept.sweep(1001.0)
    assert (tmp_path / names[0]).exists()  # not on every tick
    kept.sweep(2000.0)
    assert not (tmp_path / names[0]).exists()


def test_warnings_of_the_supervisor_are_in_the_journal(tmp_path: Path, read_log: ReadLog) -> None:
    async def body() -> None:
        kept = records(tmp_path, read_log)
        read_log.log.warning("the herder ended", status="exit code 3")
        kept.close()

    asyncio.run(body())
    assert '"the herder ended"' in (tmp_path / "journal" / "events.jsonl").read_text()
