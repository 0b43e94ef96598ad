"""The pipe that a task prints into."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.supervisor.log import Console, Log
from engine.supervisor.log_file import LogFile
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.settings import OutputLimits, Retention
from tests.unit.supervisor.conditions import until
from tests.unit.supervisor.conftest import ReadLog

CONTEXT = {"connector": "orders", "task": 1}


def lines_of(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def written(read_log: ReadLog, path: Path, *chunks: bytes) -> list[dict[str, Any]]:
    """What ends up in the file when a process has written this and died."""

    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, path)
        for chunk in chunks:
            os.write(pipe.write_fd, chunk)
            pipe._read()
        pipe.drain()
        pipe.close()

    asyncio.run(body())
    events = lines_of(path)
    assert read_log.events() == events
    return events


def python(program: str, pipe: LogPipe) -> "subprocess.Popen[bytes]":
    """A process that prints into the pipe."""
    return subprocess.Popen([sys.executable, "-c", program], stdout=pipe.write_fd)


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_printed_lines_become_events_of_the_task(read_log: ReadLog, tmp_path: Path) -> None:
    (event,) = written(read_log, tmp_path / "log", b"hello\n")

    assert event.pop("timestamp")
    assert event == {"level": "info", "event": "hello", "logger": "output", **CONTEXT}


def test_events_of_the_engine_pass_unchanged(read_log: ReadLog, tmp_path: Path) -> None:
    events = written(read_log, tmp_path / "log", b'\x1e{"event":"a","n":1}\n\x1e{"event":"b"}\n')

    assert events == [{"event": "a", "n": 1}, {"event": "b"}]


def test_a_line_in_halves_is_one_line(read_log: ReadLog, tmp_path: Path) -> None:
    assert texts(written(read_log, tmp_path / "log", b"hel", b"lo\nwor", b"ld\n")) == [
        "hello",
        "world",
    ]


def test_half_a_line_at_a_death_is_a_line_that_says_so(read_log: ReadLog, tmp_path: Path) -> None:
    """F62."""
    events = written(read_log, tmp_path / "log", b"one\ntw")

    assert texts(events) == ["one", "tw"]
    assert [event.get("cut") for event in events] == [None, "end"]


def test_half_an_event_at_a_death_is_shown_as_text(read_log: ReadLog, tmp_path: Path) -> None:
    """The file stays readable for machines whatever a death cut off."""
    events = written(read_log, tmp_path / "log", b'\x1e{"event":"a"}\n\x1e{"event":"b')

    assert texts(events) == ["a", '{"event":"b']
    assert events[1]["logger"] == "output"
    assert events[1]["cut"] == "end"


def test_bytes_that_are_no_text_are_shown_escaped(read_log: ReadLog, tmp_path: Path) -> None:
    events = written(read_log, tmp_path / "log", b"caf\xe9 \x1b[31mred\x1b[0m\n", b"\xff\xfe\n")

    assert texts(events) == ["caf\\xe9 \x1b[31mred\x1b[0m", "\\xff\\xfe"]


def test_an_event_that_is_no_text_is_shown_escaped(read_log: ReadLog, tmp_path: Path) -> None:
    events = written(read_log, tmp_path / "log", b'\x1e{"event":"\xff"}\n')

    assert texts(events) == ['{"event":"\\xff"}']


def test_what_was_printed_without_a_line_feed_is_no_part_of_the_event_behind_it(
    read_log: ReadLog, tmp_path: Path
) -> None:
    events = written(
        read_log, tmp_path / "log", b'dots...\x1e{"event":"a"}\n\x1e{"event"\x1e{"event":"b"}\n'
    )

    assert texts(events) == ["dots...", "a", '{"event"', "b"]


def test_blank_lines_are_left_out(read_log: ReadLog, tmp_path: Path) -> None:
    assert texts(written(read_log, tmp_path / "log", b"\n  \na\n\n")) == ["a"]


def test_a_line_of_ten_megabytes_is_split_and_nothing_of_it_is_lost(
    read_log: ReadLog, tmp_path: Path
) -> None:
    async def body() -> LogPipe:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        writer = python("print('x' * 10_000_000 + '\\nend')", pipe)
        await until(lambda: writer.poll() is not None)
        pipe.drain()
        assert len(pipe.tail) == 64 * 1024
        pipe.close()
        return pipe

    asyncio.run(body())
    *parts, last = texts(lines_of(tmp_path / "log"))
    assert last == "end"
    assert "".join(parts) == "x" * 10_000_000
    assert max(map(len, parts)) <= 200_000


def test_f61_what_was_printed_right_before_a_kill_is_in_the_log(
    read_log: ReadLog, tmp_path: Path
) -> None:
    """Bytes in the pipe outlive the process that wrote them."""

    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        program = "import os; os.write(1, b'last words\\n' * 1000); os.kill(os.getpid(), 9)"
        writer = python(program, pipe)
        assert writer.wait(30) == -signal.SIGKILL  # the loop has not read anything meanwhile
        pipe.drain()
        assert texts(lines_of(tmp_path / "log")) == ["last words"] * 1000
        assert bytes(pipe.tail) == b"last words\n" * 1000
        pipe.close()

    asyncio.run(body())


def test_the_next_process_writes_into_the_same_pipe(read_log: ReadLog, tmp_path: Path) -> None:
    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        for number in range(3):
            assert python(f"print('process {number}')", pipe).wait(30) == 0
            pipe.drain()
        pipe.close()

    asyncio.run(body())
    assert texts(lines_of(tmp_path / "log")) == ["process 0", "process 1", "process 2"]


def test_f37_a_survivor_that_keeps_the_pipe_open_does_not_hold_up_a_drain(
    read_log: ReadLog, tmp_path: Path
) -> None:
    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        survivor = python("print('x', flush=True); import signal; signal.pause()", pipe)
        await until(lambda: texts(lines_of(tmp_path / "log")) == ["x"])
        began = time.monotonic()
        pipe.drain()
        assert time.monotonic() - began < 1
        survivor.kill()
        survivor.wait(30)
        pipe.close()

    asyncio.run(body())


def test_a_pipe_gives_its_descriptors_back(read_log: ReadLog, tmp_path: Path) -> None:
    async def body() -> None:
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(5):
            pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
            os.write(pipe.write_fd, b"x\n")
            pipe.close()
        assert set(os.listdir("/proc/self/fd")) == before

    asyncio.run(body())
    assert texts(lines_of(tmp_path / "log")) == ["x"] * 5


def test_a_file_rolls_over_by_size_and_keeps_the_newest(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", Retention(300))
    for number in range(40):
        file.write(b"line %4d\n" % number)
    file.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    kept = b"".join((tmp_path / name).read_bytes() for name in ("log.2", "log.1", "log"))
    assert all((tmp_path / name).stat().st_size <= 100 for name in ("log", "log.1", "log.2"))
    numbers = [int(line.split()[1]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 40))


def test_a_file_goes_on_where_an_earlier_run_ended(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        file = LogFile(tmp_path / "log", Retention(300))
        file.write(text)
        file.close()

    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("target", ["/dev/full", "/proc/nowhere/log"])
def test_f58_a_disk_that_takes_nothing_is_counted_and_disturbs_nobody(
    read_log: ReadLog, target: str
) -> None:
    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, Path(target))
        os.write(pipe.write_fd, b"hello\n")
        pipe.drain()
        assert pipe.dropped > 0
        pipe.close()

    asyncio.run(body())
    assert read_log.texts() == ["hello"]


def test_pieces_of_a_long_line_say_so_and_break_no_character(
    read_log: ReadLog, tmp_path: Path
) -> None:
    line = "日本語" * 40_000
    events = written(read_log, tmp_path / "log", *_chunks(f"{line}\nend\n".encode(), 30_000))
    *pieces, last, end = events

    assert "".join(texts([*pieces, last])) == line
    assert {event["cut"] for event in pieces} == {"length"}
    assert "cut" not in last
    assert end["event"] == "end"


def _chunks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


# ---- floods ----------------------------------------------------------------------------------


def flood(limits: OutputLimits, path: Path, program: str) -> tuple[LogPipe, list[dict[str, Any]]]:
    """What is left of all that a program prints while somebody reads along."""

    async def body() -> LogPipe:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        log = Log(Console(nowhere), as_json=True, limits=limits)
        pipe = LogPipe(log, CONTEXT, path)
        writer = python(program, pipe)
        await until(lambda: writer.poll() is not None, 60)
        pipe.drain()
        pipe.close()
        os.close(nowhere)
        return pipe

    pipe = asyncio.run(body())
    return pipe, lines_of(path)


def test_f59_what_is_too_much_is_dropped_counted_and_told_and_the_last_words_are_kept(
    tmp_path: Path,
) -> None:
    program = "for n in range(200_000): print('line', n, 'x' * 80)\nprint('last words')"
    pipe, events = flood(OutputLimits(bytes_per_second=10_000), tmp_path / "log", program)

    assert texts(events)[-1] == "last words"
    assert bytes(pipe.tail).endswith(b"last words\n")
    notes = [e for e in events if e["logger"] == "engine.supervisor"]
    lost = sum(int(e["event"].split()[0]) for e in notes)
    assert notes[0]["event"].endswith("dropped: more than 10000 bytes a second")
    assert notes[0]["level"] == "warning"
    kept = sum(len(e["event"]) + 1 for e in events if e["logger"] == "output")
    assert lost == pipe.dropped
    assert lost + kept == sum(len(f"line {n} {'x' * 80}\n") for n in range(200_000)) + 11
    assert all(e["event"].endswith(("x" * 80, "words")) for e in events if e not in notes)


def test_f59_of_a_line_whose_beginning_was_dropped_no_piece_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = [b"first\n" + b"x" * 1_000, b"xx", b"x", b"\n", b"second\n"]

    async def body() -> int:
        now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        log = Log(Console(nowhere), as_json=True, limits=OutputLimits(bytes_per_second=100))
        pipe = LogPipe(log, CONTEXT, tmp_path / "log")
        for chunk in chunks:
            os.write(pipe.write_fd, chunk)
            pipe._read()
            now += 2.0
        monkeypatch.undo()
        pipe.close()
        os.close(nowhere)
        return pipe.dropped

    dropped = asyncio.run(body())
    assert dropped == sum(map(len, chunks)) - len("second\n")
    assert texts(lines_of(tmp_path / "log")) == [
        f"{dropped} bytes of output were dropped: more than 100 bytes a second",
        "second",
    ]


def test_f59_whoever_prints_too_much_waits_where_that_is_asked_for(tmp_path: Path) -> None:
    program = "for n in range(4_000): print('line', n, 'x' * 80)"
    limits = OutputLimits(bytes_per_second=400_000, is_blocking=True)
    pipe, events = flood(limits, tmp_path / "log", program)

    assert texts(events) == [f"line {n} {'x' * 80}" for n in range(4_000)]
    assert pipe.dropped == 0


def test_a_burst_is_no_flood(tmp_path: Path) -> None:
    program = "for n in range(1_000): print('line', n, 'x' * 80)"
    pipe, events = flood(OutputLimits(bytes_per_second=20_000), tmp_path / "log", program)

    assert len(events) == 1_000
    assert pipe.dropped == 0


# ---- readers that fail -----------------------------------------------------------------------


def test_f60_a_reader_that_failed_once_reads_on(
    read_log: ReadLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that writes more than a pipe holds would wait for ever."""
    failures = iter([MemoryError(), ValueError("odd")])

    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        real = pipe._add_line

        def fails_at_first(*arguments: Any) -> None:
            for failure in failures:
                raise failure
            real(*arguments)

        monkeypatch.setattr(pipe, "_add_line", fails_at_first)
        writer = python("for _ in range(5000): print('x' * 60)\nprint('end')", pipe)
        await until(lambda: writer.poll() is not None)
        pipe.drain()
        assert pipe.dropped > 0
        pipe.close()

    asyncio.run(body())
    assert texts(lines_of(tmp_path / "log"))[-1] == "end"
    told = [text for text in read_log.texts() if "output was not understood" in text]
    assert len(told) == 2


def test_f60_a_read_for_which_there_is_no_memory_is_tried_again(
    read_log: ReadLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = os.read, iter([MemoryError()] * 3)

    def fails_at_first(fd: int, size: int) -> bytes:
        for failure in failures:
            raise failure
        return real(fd, size)

    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        monkeypatch.setattr(os, "read", fails_at_first)
        os.write(pipe.write_fd, b"hello\n")
        await until(lambda: texts(lines_of(tmp_path / "log")) == ["hello"])
        monkeypatch.undo()
        assert pipe.dropped == 0
        pipe.close()

    asyncio.run(body())


# ---- last words ------------------------------------------------------------------------------


def test_last_words_are_those_of_one_process(read_log: ReadLog, tmp_path: Path) -> None:
    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        os.write(pipe.write_fd, b'\x1e{"timestamp":"T","level":"error","event":"a"}\nbye\n')
        pipe.drain()
        first = pipe.take_last_words()
        assert first.output.endswith(b"bye\n")
        assert first.errors.texts() == ("T a",)
        os.write(pipe.write_fd, b"hello\n")
        pipe.drain()
        second = pipe.take_last_words()
        assert (second.output, second.errors.texts()) == (b"hello\n", ())
        pipe.close()

    asyncio.run(body())


def test_f58_a_disk_that_has_room_again_is_told_what_it_missed(
    read_log: ReadLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(fd: int, data: bytes) -> int:
        if fd > 2 and os.readlink(f"/proc/self/fd/{fd}").startswith(str(tmp_path)):
            raise OSError(28, "No space left on device")
        return real(fd, data)

    real = os.write

    async def body() -> None:
        pipe = LogPipe(read_log.log, CONTEXT, tmp_path / "log")
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", no_space)
            os.write(pipe.write_fd, b"lost\n")
            pipe.drain()
            assert [pipe.problem] == [no_room]
        os.write(pipe.write_fd, b"kept\n")
        pipe.drain()
        assert [pipe.problem] == [None]
        note, kept = lines_of(tmp_path / "log")
        assert note["event"] == f"{pipe.dropped} bytes of this log were lost: {no_room}"
        assert (note["level"], note["connector"]) == ("warning", "orders")
        assert kept["event"] == "kept"
        pipe.close()

    no_room = "No space left on device"
    asyncio.run(body())
