"""The supervisor's log and the console that everything ends up on."""

import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from engine.supervisor.log import Console, Log
from engine.supervisor.standard_stream import own_description


def read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    while True:
        try:
            got = os.read(fd, 1 << 20)
        except BlockingIOError:
            return data
        if not got:
            return data
        data += got


def test_lines_arrive_whole_and_in_order() -> None:
    read_fd, write_fd = os.pipe()
    console = Console(write_fd)
    for number in range(100):
        console.write(b"%d\n" % number)

    assert read_all(read_fd) == b"".join(b"%d\n" % number for number in range(100))
    os.close(read_fd)
    os.close(write_fd)


def test_a_console_that_nobody_reads_never_blocks_and_what_it_drops_is_counted() -> None:
    read_fd, write_fd = os.pipe()
    console = Console(write_fd)
    began = time.monotonic()
    for _ in range(40):
        console.write(b"x" * 100_000 + b"\n")
    assert time.monotonic() - began < 5
    assert console.dropped > 1_000_000

    read = b""
    while got := read_all(read_fd):
        read += got
        console.flush()
    assert len(read) + console.dropped == 40 * 100_001
    assert set(read.splitlines()) == {b"x" * 100_000}
    os.close(read_fd)
    os.close(write_fd)


def test_a_console_whose_reader_is_gone_disturbs_nobody() -> None:
    read_fd, write_fd = os.pipe()
    console = Console(write_fd)
    os.close(read_fd)
    console.write(b"hello\n")

    assert console.dropped == 6
    os.close(write_fd)


def test_a_console_never_begins_within_the_line_of_a_task(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    ours, tasks = (os.open(path, os.O_WRONLY | os.O_NONBLOCK) for _ in range(2))
    console = Console(ours)
    fcntl.flock(tasks, fcntl.LOCK_EX)
    os.write(tasks, b"the first half ")
    console.write(b"an event\n")
    os.write(tasks, b"and the second\n")
    fcntl.flock(tasks, fcntl.LOCK_UN)
    console.flush()
    assert read_all(read_fd) == b"the first half and the second\nan event\n"
    fcntl.flock(tasks, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was given back
    for fd in (read_fd, ours, tasks):
        os.close(fd)


def test_others_may_write_between_the_lines_of_a_console_and_not_within_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    ours, tasks = (os.open(path, os.O_WRONLY | os.O_NONBLOCK) for _ in range(2))
    console = Console(ours)
    lines = [b"%04d" % number + b"x" * 1_500 for number in range(200)]
    console.write(b"\n".join(lines) + b"\n")
    assert len(console.waiting) > 0
    fcntl.flock(tasks, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(tasks, fcntl.LOCK_UN)
    assert read_all(read_fd).endswith(b"x\n")

    while console.waiting:
        console.flush()
        read_all(read_fd)
    console.write(b"y" * 100_000 + b"\n")
    with pytest.raises(BlockingIOError):
        fcntl.flock(tasks, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for fd in (read_fd, ours, tasks):
        os.close(fd)


def test_a_pipe_gets_a_description_of_its_own_that_does_not_wait() -> None:
    read_fd, write_fd = os.pipe()
    own = own_description(write_fd)
    assert not os.get_blocking(own)
    os.write(own, b"to the same pipe")
    assert os.read(read_fd, 100) == b"to the same pipe"
    assert os.get_blocking(write_fd)
    for fd in (read_fd, write_fd, own):
        os.close(fd)


def test_a_file_takes_everything(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    console = Console(fd)
    for _ in range(3):
        console.write(b"y" * 900_000 + b"\n")
    os.close(fd)

    assert (tmp_path / "log").stat().st_size == 3 * 900_001


def test_a_full_disk_loses_lines_and_counts_them() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    console = Console(fd)
    console.write(b"hello\n")
    console.write(b"again\n")

    assert console.dropped == 12
    os.close(fd)


def written(*, as_json: bool, level: str = "info") -> tuple[Log, int]:
    read_fd, write_fd = os.pipe()
    return Log(Console(write_fd), as_json=as_json, level=level), read_fd


def test_events_are_json_for_machines() -> None:
    log, read_fd = written(as_json=True)
    log.warning("odd", connector="orders", task=1, n=3)
    event = json.loads(read_all(read_fd))

    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "level": "warning",
        "event": "odd",
        "logger": "engine.supervisor",
        "connector": "orders",
        "task": 1,
        "n": 3,
    }


def test_events_are_lines_for_people() -> None:
    log, read_fd = written(as_json=False)
    log.error("odd", connector="orders", task=1, n=3)

    assert read_all(read_fd).decode().endswith("ERROR   [orders|task-1] odd n=3\n")


def test_less_severe_events_are_left_out() -> None:
    log, read_fd = written(as_json=True, level="WARN")
    log.debug("a")
    log.info("b")
    log.warning("c")

    assert [json.loads(line)["event"] for line in read_all(read_fd).splitlines()] == ["c"]


def test_what_another_process_encoded_is_shown_in_the_chosen_form() -> None:
    line = b'{"timestamp":"2026-01-02T03:04:05.678Z","level":"info","event":"hi"}'
    for as_json, expected in (
        (True, line + b"\n"),
        (False, b"2026-01-02T03:04:05.678 INFO    hi\n"),
    ):
        log, read_fd = written(as_json=as_json)
        log.show_encoded([line])
        assert read_all(read_fd) == expected


def test_a_surrogate_in_an_event_does_not_stop_the_log() -> None:
    """File names may hold any byte."""
    for as_json in (True, False):
        log, read_fd = written(as_json=as_json)
        log.info("file", name="\udcff")
        assert b"file" in read_all(read_fd)


def test_what_was_lost_is_told_when_somebody_reads_again() -> None:
    log, read_fd = written(as_json=True)
    for _ in range(3):
        log.show_encoded([b'{"event":"' + b"x" * 500_000 + b'"}'])
    assert log.console.dropped > 0
    read = b""
    while got := read_all(read_fd):
        read += got
        log.console.flush()
    lines = read.splitlines()

    assert all(json.loads(line) for line in lines)
    told = json.loads(lines[-1])
    assert told["event"].startswith(f"{log.console.dropped} bytes of the service's log were lost")
    assert told["level"] == "warning"


def test_a_line_behind_one_that_a_full_disk_tore_begins_as_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    console = Console(fd, lambda lost: b"%d lost\n" % lost)
    real, room = os.write, [3]

    def nearly_full(to: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = real(to, data[: room[0]])
        room[0] -= count
        return count

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", nearly_full)
        console.write(b"first\n")
        console.write(b"second\n")
    console.write(b"third\n")
    os.close(fd)

    assert (tmp_path / "log").read_bytes() == b"fir\nthird\n10 lost\n"


def test_the_level_changes_at_run_time() -> None:
    log, read_fd = written(as_json=True, level="warn")
    log.info("a")
    log.set_level("INFO")
    log.info("b")

    assert [json.loads(line)["event"] for line in read_all(read_fd).splitlines()] == ["b"]


def test_whoever_listens_hears_of_every_event_whatever_the_level() -> None:
    log, _ = written(as_json=True, level="off")
    heard = []
    log.on_own = lambda level, text, fields: heard.append((level, text, fields))
    log.warning("odd", n=3)

    assert heard == [("warning", "odd", {"n": 3})]
