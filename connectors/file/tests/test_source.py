"""The file source against real files: what it gives, where it goes on, what it says."""

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.file.file_follower import ROTATION_QUIET, FileFollower
from connectors.file.line_reader import ReadSettings
from connectors.file.tests.driver import SourceDriver
from engine.api import STRING, ConfigError, ConnectError, RetriableError

Start = Callable[..., SourceDriver]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    """Starts sources of the log file; keywords are keys with ``_`` for ``.``."""
    running: list[SourceDriver] = []

    def run(stored: Mapping[str, Any] | None = None, **keys: object) -> SourceDriver:
        config = {"file": str(log), **{k.replace("_", "."): str(v) for k, v in keys.items()}}
        running.append(SourceDriver(config, stored))
        return running[-1]

    yield run
    for driver in running:
        driver.stop()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


# ---- lines and offsets -------------------------------------------------------------------------


def test_a_read_becomes_one_batch_of_utf8_strings(log: Path, start: Start) -> None:
    log.write_bytes("a\nüü\n".encode())
    source = start()
    source.context.idle_left = 2
    batch = source.task.poll()
    assert batch is not None
    assert batch.topic == "t"
    assert list(batch.values) == ["a", "üü"]
    assert batch.values.schema is STRING
    assert batch.values.utf8
    assert batch.source_partition == {"filename": str(log)}
    assert batch.source_offset == {"position": 7, "inode": log.stat().st_ino}
    assert batch.source_offsets is None
    assert batch.keys is None
    assert source.context.lags[-1] == 0


def test_positions_count_bytes_of_multi_byte_text(log: Path, start: Start) -> None:
    """Kafka's own source counts characters and sends parts of lines twice after a resume."""
    log.write_bytes("üüüüüüüüüü\nb\n".encode())
    source = start()
    source.drain()
    assert source.offset == {"position": 23, "inode": log.stat().st_ino}
    append(log, b"cc\n")
    assert start(stored=source.offset).drain() == [b"cc"]


def test_an_explicit_batch_size_is_kept_and_does_not_stall(log: Path, start: Start) -> None:
    log.write_bytes(b"".join(b"%d\n" % i for i in range(10)))
    source = start(batch_size=3)
    assert source.drain() == [b"%d" % i for i in range(10)]
    assert source.batches == [3, 3, 3, 1]
    assert source.offset == {"position": 20, "inode": log.stat().st_ino}


def test_an_explicit_batch_size_gives_the_position_after_each_batch(
    log: Path, start: Start
) -> None:
    log.write_bytes(b"one\r\ntwo\rthree\n")
    source = start(batch_size=1)
    positions = []
    while source.poll():
        assert source.offset is not None
        positions.append(source.offset["position"])
    assert positions == [5, 9, 15]


def test_a_line_end_of_two_bytes_across_two_reads_is_one(log: Path, start: Start) -> None:
    log.write_bytes(b"abc\r\ndef\r\n")
    source = start(**{"engine.file.read.bytes": 4})
    assert source.drain() == [b"abc", b"def"]


def test_a_last_line_without_its_end_is_held_back_until_it_has_one(log: Path, start: Start) -> None:
    log.write_bytes(b"a\nhalf")
    source = start()
    assert source.drain() == [b"a"]
    assert source.offset == {"position": 2, "inode": log.stat().st_ino}
    assert source.context.lags[-1] == 4
    append(log, b" and half\n")
    assert source.drain() == [b"half and half"]


def test_a_last_line_without_its_end_is_sent_after_the_time_given(log: Path, start: Start) -> None:
    log.write_bytes(b"a\nhalf")
    keys = {"engine.file.last.line.timeout.ms": 0}
    source = start(**keys)
    assert source.drain() == [b"a", b"half"]
    append(log, b"\nb\n")
    assert source.drain() == [b"b"]


def test_after_an_unended_last_line_a_successor_passes_over_its_late_end(
    log: Path, start: Start
) -> None:
    log.write_bytes(b"a\nhalf")
    keys = {"engine.file.last.line.timeout.ms": 0}
    source = start(**keys)
    source.drain()
    append(log, b"\r\nb\n")
    assert start(stored=source.offset, **keys).drain() == [b"b"]


def test_a_line_longer_than_allowed_fails_with_the_key_to_change(log: Path, start: Start) -> None:
    log.write_bytes(b"ok\n" + b"x" * 100)
    source = start(**{"engine.file.line.max.bytes": 50, "engine.file.read.bytes": 60})
    with pytest.raises(ConfigError, match=r"The line at byte 3 of .*app.log is longer than 50"):
        source.drain()


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.sampled_from(["\n", "\r\n", "\r", "x", "üh", "long" * 9]), max_size=40),
    read=st.integers(1, 40),
    size=st.none() | st.integers(1, 5),
    stops=st.lists(st.integers(1, 4), max_size=6),
)
def test_stopping_anywhere_loses_no_line_and_repeats_none(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[str],
    read: int,
    size: int | None,
    stops: list[int],
) -> None:
    """Successors go on from the last offset, whatever the sizes of reads and batches are."""
    log = tmp_path_factory.mktemp("any") / "app.log"
    text = "".join([*parts, "\n"]).encode()
    log.write_bytes(text)
    config = {"file": str(log), "engine.file.read.bytes": str(read)}
    if size is not None:
        config["batch.size"] = str(size)
    found: list[bytes] = []
    source = SourceDriver(config)
    for polls in stops:
        for _ in range(polls):
            found += source.poll()
        source = source.restarted(config)
    while lines := source.poll():
        found += lines
    source.stop()
    assert found == text.splitlines()


# ---- files that change -------------------------------------------------------------------------


def test_a_truncated_file_is_read_from_its_start(log: Path, start: Start) -> None:
    log.write_bytes(b"1234567890\n")
    source = start()
    source.drain()
    log.write_bytes(b"new\n")
    assert source.drain() == [b"new"]
    assert source.offset == {"position": 4, "inode": log.stat().st_ino}


def test_a_file_truncated_while_nobody_looked_is_read_from_its_start(
    log: Path, start: Start
) -> None:
    log.write_bytes(b"1234567890\n")
    source = start()
    source.drain()
    log.write_bytes(b"new\n")
    assert start(stored=source.offset).drain() == [b"new"]


def test_a_file_truncated_and_grown_past_the_position_is_read_from_its_start(
    log: Path, start: Start
) -> None:
    """The position is not behind a line end any more: it cannot be the same text."""
    log.write_bytes(b"1234\n")
    source = start()
    source.drain()
    log.write_bytes(b"another text\n")
    assert start(stored=source.offset).drain() == [b"another text"]


def test_a_position_without_an_inode_is_taken_as_it_is(log: Path, start: Start) -> None:
    """An operator may set any position; so may Kafka's own source have."""
    log.write_bytes(b"0123\n4567\n")
    assert start(stored={"position": 7}).drain() == [b"67"]


def test_a_position_behind_the_end_means_another_file(log: Path, start: Start) -> None:
    log.write_bytes(b"a\n")
    assert start(stored={"position": 100}).drain() == [b"a"]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(log: Path, start: Start) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    old = log.rename(log.with_name("app.log.1"))
    append(old, b"b\nlast without end")
    log.write_bytes(b"c\n")
    assert source.drain() == [b"b", b"last without end", b"c"]
    assert source.offset == {"position": 2, "inode": log.stat().st_ino}


def test_the_writer_may_go_on_in_the_old_file_until_the_new_one_has_text(
    log: Path, start: Start
) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    old = log.rename(log.with_name("app.log.1"))
    log.touch()
    assert source.drain() == []
    append(old, b"late\n")
    assert source.drain() == [b"late"]
    append(log, b"new\n")
    assert source.drain() == [b"new"]


def test_an_empty_successor_is_followed_once_the_old_file_is_quiet(log: Path) -> None:
    now = [0.0]
    log.write_bytes(b"a\nhalf")
    follower = FileFollower(str(log), ReadSettings(), {}, clock=lambda: now[0])
    while follower.step():
        pass
    assert follower.take(None) == [b"a"]
    log.rename(log.with_name("app.log.1"))
    log.touch()
    assert not follower.step()
    now[0] += ROTATION_QUIET
    assert follower.step()
    assert follower.take(None) == [b"half"]
    assert follower.step()
    assert follower.offset == {"position": 0, "inode": log.stat().st_ino}
    follower.close()


def test_a_file_rotated_while_nobody_looked_is_found_by_its_inode(log: Path, start: Start) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    append(log, b"b\n")
    log.rename(log.with_name("app.log.1"))
    log.write_bytes(b"c\n")
    assert start(stored=source.offset).drain() == [b"b", b"c"]


def test_a_file_rotated_and_not_yet_made_anew_is_read_to_its_end(log: Path, start: Start) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    append(log, b"b\n")
    log.rename(log.with_name("app.log.1"))
    successor = start(stored=source.offset)
    assert successor.drain() == [b"b"]
    assert successor.condition == f"file {log} does not exist"
    log.write_bytes(b"c\n")
    assert successor.drain() == [b"c"]
    assert successor.context.conditions[-1:] == [None]


def test_files_rotated_in_the_meantime_are_read_in_their_order(log: Path, start: Start) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    for number, text in ((3, b"b\n"), (2, b"c\n"), (1, b"d\n")):
        append(log, text)
        os.utime(log, ns=(0, (10 - number) * 10**9))
        log.rename(log.with_name(f"app.log.{number}"))
    log.with_name("app.log.1.gz").write_bytes(b"not for us")
    log.write_bytes(b"e\n")
    assert start(stored=source.offset).drain() == [b"b", b"c", b"d", b"e"]


def test_a_finished_rotated_file_is_not_read_again(log: Path, start: Start) -> None:
    """Its last line had no end, so that its position stands behind none."""
    log.write_bytes(b"a\nhalf")
    source = start()
    source.drain()
    log.rename(log.with_name("app.log.1"))
    log.write_bytes(b"b\n")
    assert source.poll() == [b"half"]
    assert start(stored=source.offset).drain() == [b"b"]


def test_a_file_replaced_without_a_trace_of_the_old_one_is_read_from_its_start(
    log: Path, start: Start
) -> None:
    log.write_bytes(b"a\n")
    source = start()
    source.drain()
    other = log.with_name("other")
    other.write_bytes(b"b\nc\n")
    other.replace(log)
    assert start(stored=source.offset).drain() == [b"b", b"c"]
    assert source.drain() == [b"b", b"c"]


# ---- files that are not there ------------------------------------------------------------------


def test_a_missing_file_is_waited_for_and_said(log: Path, start: Start) -> None:
    source = start()
    assert source.poll() == []
    assert source.condition == f"file {log} does not exist"
    log.write_bytes(b"here\n")
    assert source.drain() == [b"here"]
    assert source.context.conditions == [f"file {log} does not exist", None]


def test_an_unreadable_file_is_waited_for_and_said(
    log: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_bytes(b"a\n")

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    source = start()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert source.poll() == []
    assert source.condition == f"file {log} cannot be read: Permission denied"
    assert source.drain() == [b"a"]


def test_an_error_while_reading_can_be_tried_again(
    log: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_bytes(b"a\n")

    def fail(fd: int, count: int, position: int) -> bytes:
        raise OSError(5, "Input/output error")

    source = start()
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        with pytest.raises(RetriableError, match=r"app.log cannot be read: Input/output error"):
            source.poll()
    assert source.drain() == [b"a"]


def test_a_directory_can_never_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a directory"):
        SourceDriver({"file": str(tmp_path)})


def test_an_idle_poll_takes_about_a_second_and_hardly_any_processor(
    log: Path, start: Start
) -> None:
    log.touch()
    source = start()
    began, used = time.monotonic(), time.process_time()
    source.poll(patience=1_000_000)
    assert 0.9 < time.monotonic() - began < 2
    assert time.process_time() - used < 0.1


def test_a_stop_ends_an_idle_poll_early(log: Path, start: Start) -> None:
    log.touch()
    source = start()
    began = time.monotonic()
    source.poll(patience=10)
    assert 0.1 < time.monotonic() - began < 0.9


# ---- gzip and streams --------------------------------------------------------------------------


def test_a_compressed_file_is_read_as_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "app.log.gz"
    lines = [b"line %d" % i for i in range(50_000)]
    text = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text[:200_000]) + gzip.compress(text[200_000:]))
    config = {"file": str(path), "engine.file.read.bytes": "10000"}
    source = SourceDriver(config)
    for _ in range(20):
        source.poll()
    assert source.offset is not None
    assert source.offset["position"] == sum(len(line) + 1 for line in source.lines)
    successor = source.restarted(config)
    assert source.lines + successor.drain() == lines
    with path.open("ab") as file:
        file.write(gzip.compress(b"more\n"))
    assert successor.drain() == [b"more"]
    successor.stop()


def test_a_file_that_is_not_gzip_fails_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "app.log.gz"
    path.write_bytes(b"plain\n")
    source = SourceDriver({"file": str(path)})
    with pytest.raises(ConnectError, match=r"app.log.gz is damaged or not gzip"):
        source.poll()
    source.stop()
    plain = SourceDriver({"file": str(path), "engine.file.compression": "none"})
    assert plain.drain() == [b"plain"]
    plain.stop()


def test_a_pipe_has_lines_but_no_offsets(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = SourceDriver({"file": str(path)})
    assert source.poll() == []
    with path.open("wb", buffering=0) as pipe:
        pipe.write(b"a\nb\nc")
        assert source.poll() == [b"a", b"b"]
    assert source.poll() == [b"c"]
    assert source.offset is None
    assert source.task._partition is None
    source.stop()


def test_standard_input_is_read_when_no_file_is_given() -> None:
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        source = SourceDriver({})
        os.write(writing, b"typed\n")
        assert source.drain() == [b"typed"]
        os.close(writing)
        assert source.drain() == []
        assert source.condition == "standard input has ended"
        source.stop()
        os.fstat(0)
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reading)


def test_lines_written_while_the_source_waits_come_at_once(log: Path, start: Start) -> None:
    log.touch()
    source = start()
    writer = threading.Timer(0.05, lambda: append(log, b"now\n"))
    writer.start()
    began = time.monotonic()
    assert source.poll(patience=1000) == [b"now"]
    assert time.monotonic() - began < 0.5
    writer.join()
