"""The journal's file: what is in it when, and what happens when the disk does not take it."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from engine.supervisor.journal import Journal
from engine.supervisor.log_file import LogFile
from engine.supervisor.settings import Retention
from tests.unit.supervisor.conditions import until

Body = Callable[[Journal], Coroutine[Any, Any, None]]


def play(path: Path, body: Body, retention: Retention | None = None) -> None:
    """A journal in a loop; it is closed in the end."""

    async def main() -> None:
        journal = Journal(path, retention or Retention(), 7)
        await body(journal)
        journal.close()

    asyncio.run(main())


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_events_are_lines_of_json_numbered_in_their_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def body(journal: Journal) -> None:
        journal.record("engine_started", pid=5, nothing=None)
        with journal.acting("operator x"):
            journal.record("connector_deleted", connector="orders")
        journal.record("odd", name="\udcff")

    play(path, body)
    first, second, third = lines_of(path)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "epoch": 7, "seq": 1, "event": "engine_started", "pid": 5, "by": "supervisor",
    }  # fmt: skip
    assert (second["seq"], second["by"]) == (2, "operator x")
    assert third["name"] == "\udcff"


def test_events_are_written_together_soon_and_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def body(journal: Journal) -> None:
        for number in range(100):
            journal.record("event", number=number)
        assert not path.exists()  # nobody waits for a disk while tasks die
        await until(path.exists)
        assert [line["number"] for line in lines_of(path)] == list(range(100))

    play(path, body)


def test_another_run_goes_on_behind_the_last(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        journal.record("event")

    for _ in range(2):
        play(tmp_path / "events.jsonl", body)
    assert [line["seq"] for line in lines_of(tmp_path / "events.jsonl")] == [1, 1]


def test_what_a_full_disk_does_not_take_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost while it fits into memory."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr("engine.supervisor.journal._TRIED_AGAIN", 0.02)

    async def body(journal: Journal) -> None:
        real = os.write
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", _no_space)
            journal.record("during", number=1)
            await until(lambda: journal.problem)
            journal.record("during", number=2)
        assert os.write is real
        await until(lambda: len(lines_of(path)) == 2)
        assert journal.problem is None
        assert journal.lost == 0

    play(path, body)
    assert [line["number"] for line in lines_of(path)] == [1, 2]


def _no_space(_fd: int, _data: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_what_is_too_much_for_memory_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr("engine.supervisor.journal._MOST_WAITING", 1000)

    async def body(journal: Journal) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", _no_space)
            for number in range(50):
                journal.record("event", number=number)
            journal.write()
        assert journal.lost > 30
        journal.write()
        assert [line["number"] for line in lines_of(path)] == list(range(50 - journal.lost))
        journal.write()
        last = lines_of(path)[-1]
        assert (last["event"], last["count"]) == ("events_lost", journal.lost)

    play(path, body)


def test_a_disk_that_never_has_room_holds_nobody_up(tmp_path: Path) -> None:
    lost = []

    async def body(journal: Journal) -> None:
        for _ in range(3):
            journal.record("event")
        journal.write()
        assert journal.problem == "No space left on device"
        journal.close()
        lost.append(journal.lost)

    play(Path("/dev/full"), body)
    assert lost == [3]


def test_a_journal_is_bounded_by_size(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        for number in range(400):
            journal.record("event", number=number)
            if number % 10 == 0:
                journal.write()

    play(tmp_path / "events.jsonl", body, Retention(12_000))
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 12_000
    assert lines_of(tmp_path / "events.jsonl")[-1]["number"] == 399


def test_the_supervisors_own_warnings_are_events_unless_they_are_of_a_task(tmp_path: Path) -> None:
    async def body(journal: Journal) -> None:
        journal.logged("warning", "the herder ended", {"status": "exit code 3"})
        journal.logged("info", "service started", {})
        journal.logged("error", "task failed", {"connector": "orders", "task": 0})

    play(tmp_path / "events.jsonl", body)
    (line,) = lines_of(tmp_path / "events.jsonl")
    assert (line["event"], line["text"], line["status"]) == (
        "log", "the herder ended", "exit code 3",
    )  # fmt: skip


def test_recording_costs_next_to_nothing_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write happens where tasks are dealt with."""
    written: list[bytes] = []

    def write(_file: LogFile, lines: bytes) -> bool:
        written.append(lines)
        return True

    monkeypatch.setattr(LogFile, "write", write)

    async def body(journal: Journal) -> None:
        for number in range(1000):
            journal.record("event", number=number)
        assert written == []

    play(tmp_path / "events.jsonl", body)
    assert len(written) == 1
