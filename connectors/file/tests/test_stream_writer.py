"""Lines into a pipe that others write to as well, and that is read slowly or not at all."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.file.stream_writer import StreamWriter
from connectors.file.tests.driver import SinkDriver
from engine.api import ConnectError, RetriableError


class Pipe:
    """A named pipe, whose every writer has a description of its own."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self.read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.writers: list[StreamWriter] = []

    def open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)

    def writer(self) -> StreamWriter:
        self.writers.append(StreamWriter(self.open(), "the pipe"))
        return self.writers[-1]

    def read(self) -> bytes:
        """What is in it now."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.read_fd, 1 << 20):
                found += chunk
        return found


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr("connectors.file.stream_writer.PATIENCE", 0.02)
    opened = Pipe(tmp_path / "pipe")
    yield opened
    for writer in opened.writers:
        writer.close()
    os.close(opened.read_fd)


def test_other_lines_after_a_failure_begin_behind_a_whole_line_and_none_is_missing(
    pipe: Pipe,
) -> None:
    """A rebalance took the batch that was half out: what comes next is another one."""
    writer = pipe.writer()
    with pytest.raises(RetriableError, match="the pipe is read slowly or not at all"):
        writer.append(b"x" * 100_000 + b"\nnever begun\n")
    found = pipe.read()
    writer.append(b"another\nbatch\n")
    found += pipe.read()
    assert found == b"x" * 100_000 + b"\nanother\nbatch\n"


def test_a_line_that_nobody_goes_on_with_is_ended_all_the_same(pipe: Pipe) -> None:
    writer = pipe.writer()
    with pytest.raises(RetriableError):
        writer.append(b"x" * 100_000 + b"\nnever begun\n")
    found = pipe.read()
    writer.roll_if_due()
    assert found + pipe.read() == b"x" * 100_000 + b"\n"


def test_nobody_begins_within_the_line_of_another_writer(pipe: Pipe) -> None:
    first, second = pipe.writer(), pipe.writer()
    long = b"x" * 100_000 + b"\n"
    with pytest.raises(RetriableError):
        first.append(long)
    found = pipe.read()
    with pytest.raises(RetriableError):
        second.append(b"short\n")
    first.append(long)
    second.append(b"short\n")
    assert found + pipe.read() == long + b"short\n"


def test_lines_of_several_writers_stay_whole(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.file.stream_writer.PATIENCE", 30.0)
    os.set_blocking(pipe.read_fd, True)
    letters = [b"a", b"b", b"c"]

    def write(writer: StreamWriter, letter: bytes) -> None:
        for size in range(1, 20_001, 1_000):
            writer.append(b"".join(letter * size + b"\n" for _ in range(5)))

    threads = [threading.Thread(target=write, args=(pipe.writer(), letter)) for letter in letters]
    for thread in threads:
        thread.start()
    found = b""
    while found.count(b"\n") < 300:
        found += os.read(pipe.read_fd, 1 << 16)
    for thread in threads:
        thread.join()
    expected = [letter * size for letter in letters for size in range(1, 20_001, 1_000)] * 5
    assert sorted(found.splitlines()) == sorted(expected)


def test_a_pipe_without_a_reader_is_no_slow_one(pipe: Pipe) -> None:
    writer, spare = pipe.writer(), os.open("/dev/null", os.O_RDONLY)
    os.dup2(spare, pipe.read_fd)
    os.close(spare)
    with pytest.raises(ConnectError, match="nobody reads the pipe any more") as caught:
        writer.append(b"line\n")
    assert not isinstance(caught.value, RetriableError)


def test_what_cannot_be_locked_is_written_without(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    writer = pipe.writer()
    monkeypatch.setattr(fcntl, "flock", refuse)
    writer.append(b"line\n")
    assert pipe.read() == b"line\n"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_standard_output_mean_the_services(name: str) -> None:
    """In a task's process they lead to its log."""
    read_fd, write_fd = os.pipe()
    sink = SinkDriver({"file": name}, write_fd)
    sink.put(["a"])
    sink.stop()
    os.close(write_fd)
    assert os.read(read_fd, 100) == b"a\n"
    os.close(read_fd)
