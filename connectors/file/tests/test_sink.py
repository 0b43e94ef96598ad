"""The file sink against real files: whole lines, whatever happens in the middle of them."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.file import FileStreamSinkConnector, line_file
from connectors.file.line_file import MARK, LineFile, RollPolicy
from connectors.file.tests.driver import SinkDriver
from engine.api import BYTES, STRING, Column, ConfigError, ConnectError, RetriableError

Start = Callable[..., SinkDriver]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


@pytest.fixture
def start(out: Path) -> Iterator[Start]:
    running: list[SinkDriver] = []

    def run(**keys: object) -> SinkDriver:
        running.append(SinkDriver({"file": str(out), **{k: str(v) for k, v in keys.items()}}))
        return running[-1]

    yield run
    for driver in running:
        driver.stop()


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 11, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


# ---- what is written ---------------------------------------------------------------------------


def test_lines_of_bytes_are_written_as_they_are(out: Path, start: Start) -> None:
    sink = start()
    sink.put([b"a", "üü".encode(), b"\xff"], utf8=True)
    sink.put(Column([b"raw"], BYTES))
    assert out.read_bytes() == b"a\n\xc3\xbc\xc3\xbc\n\xff\nraw\n"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", "ü"], "a\nü\n"),
        (["a", None], "a\nnull\n"),
        ([None, "a"], "null\na\n"),
        ([{"a": 1}, [1, 2], 1e10, True, b"raw", "\ud800"], "{a=1}\n[1, 2]\n1.0E10\ntrue\nraw\n?\n"),
    ],
)
def test_other_values_are_written_as_java_would(
    out: Path, start: Start, values: Sequence[object], text: str
) -> None:
    start().put(values)
    assert out.read_text() == text


def test_a_tombstone_among_bytes_is_the_word_null(out: Path, start: Start) -> None:
    start().put(Column([b"\xff", None], STRING, utf8=True))
    assert out.read_bytes() == b"\xff\nnull\n"


def test_a_batch_is_one_system_call(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = start()
    calls: list[int] = []
    write = os.write

    def count(fd: int, data: memoryview) -> int:
        calls.append(len(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", count)
    sink.put([b"line"] * 10_000, utf8=True)
    assert calls == [50_000]
    assert out.stat().st_size == 50_000


def test_what_was_there_stays(out: Path, start: Start) -> None:
    out.write_text("before\n")
    start().put(["after"])
    assert out.read_text() == "before\nafter\n"


def test_an_empty_batch_writes_nothing(out: Path, start: Start) -> None:
    start().put([])
    assert out.read_bytes() == b""


# ---- lines that were torn ----------------------------------------------------------------------


def test_half_a_line_of_our_own_is_cut_off(out: Path, start: Start) -> None:
    sink = start()
    sink.put(["whole"])
    sink.stop()
    with out.open("ab") as file:
        file.write(b"torn in the mid")
    start().put(["next"])
    assert out.read_text() == "whole\nnext\n"


def test_a_torn_line_longer_than_one_look_is_cut_off(out: Path, start: Start) -> None:
    sink = start()
    sink.put(["whole"])
    sink.stop()
    with out.open("ab") as file:
        file.write(b"x" * 300_000)
    start()
    assert out.read_text() == "whole\n"


def test_a_last_line_of_somebody_else_gets_its_line_end(out: Path, start: Start) -> None:
    """Nothing that others wrote is removed, and no line of ours is glued to it."""
    out.write_text("mine, without end")
    start().put(["next"])
    assert out.read_text() == "mine, without end\nnext\n"


def test_where_a_file_cannot_be_marked_a_torn_line_gets_its_end(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> bytes:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "getxattr", unsupported)
    monkeypatch.setattr(os, "setxattr", unsupported)
    out.write_text("torn")
    start().put(["next"])
    assert out.read_text() == "torn\nnext\n"


WRITER = """
import sys
from connectors.file.line_file import LineFile
file = LineFile(sys.argv[1])
file.open()
line = b"0123456789" * 5000 + b"\\n"
print("ready", flush=True)
while True:
    file.append(line * 40)
"""


def test_killed_writers_leave_whole_lines_behind_their_successor(tmp_path: Path) -> None:
    """SIGKILL may end a write in its middle; the next task mends what it left."""
    out = tmp_path / "out.txt"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, out], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        size = out.stat().st_size
        while out.stat().st_size == size and writer.poll() is None:
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        file = LineFile(str(out))
        file.open()
        file.append(b"mark\n")
        file.close()
        assert {len(line) for line in out.read_bytes().splitlines()} == {50_000, 4}
    assert out.read_bytes().splitlines().count(b"mark") == 5


def test_a_write_that_fails_in_the_middle_leaves_nothing(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batch comes again, and is there once."""
    sink = start()
    sink.put(["first"])
    write = os.write
    results: Iterator[int | OSError] = iter([7, OSError(errno.ENOSPC, "No space left on device")])

    def fill_up(fd: int, data: memoryview) -> int:
        result = next(results)
        if isinstance(result, OSError):
            raise result
        return write(fd, data[:result])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fill_up)
        with pytest.raises(RetriableError, match=r"out.txt cannot be written: No space left"):
            sink.put(["second", "third"])
    assert out.read_text() == "first\n"
    sink.put(["second", "third"])
    assert out.read_text() == "first\nsecond\nthird\n"


def test_a_write_taken_in_parts_is_continued(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = start()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    sink.put(["a long line", "another"])
    assert out.read_text() == "a long line\nanother\n"


def test_tasks_that_share_a_file_do_not_tear_each_others_lines(out: Path, start: Start) -> None:
    one, two = start(), start()
    one.put(["a"])
    two.put(["b"])
    one.put(["c"])
    assert out.read_text() == "a\nb\nc\n"


def test_a_file_locked_by_another_process_is_tried_again(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = start()
    monkeypatch.setattr(line_file, "LOCK_SECONDS", 0.02)
    with out.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RetriableError, match="is locked by another process"):
            sink.put(["a"])
    sink.put(["a"])
    assert out.read_text() == "a\n"


# ---- rolling and durability --------------------------------------------------------------------


def rolled(out: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in sorted(out.parent.iterdir())}


def test_a_file_is_rolled_before_it_gets_too_large(out: Path) -> None:
    file = LineFile(str(out), RollPolicy(bytes=8), now=Clock())
    for line in (b"one\n", b"two\n", b"three\n", b"much too long\n", b"five\n"):
        file.append(line)
    file.close()
    assert rolled(out) == {
        "out.txt": "five\n",
        "out.txt.20261121T110500Z-001": "one\ntwo\n",
        "out.txt.20261121T110500Z-002": "three\n",
        "out.txt.20261121T110500Z-003": "much too long\n",
    }


def test_a_file_is_rolled_when_it_is_old_enough(out: Path) -> None:
    clock = Clock()
    file = LineFile(str(out), RollPolicy(seconds=60), now=clock)
    file.append(b"one\n")
    clock.now += timedelta(seconds=59)
    file.append(b"two\n")
    file.roll_if_due()
    clock.now += timedelta(seconds=1)
    file.roll_if_due()
    assert rolled(out) == {"out.txt": "", "out.txt.20261121T110600Z-001": "one\ntwo\n"}
    clock.now += timedelta(seconds=60)
    file.roll_if_due()
    file.append(b"three\n")
    file.close()
    assert rolled(out)["out.txt"] == "three\n"
    assert len(rolled(out)) == 2, "an empty file is not rolled"


def test_the_age_of_a_file_outlives_its_task(out: Path) -> None:
    clock = Clock()
    for line in (b"one\n", b"two\n"):
        file = LineFile(str(out), RollPolicy(seconds=60), now=clock)
        file.append(line)
        file.close()
        clock.now += timedelta(seconds=60)
    assert rolled(out) == {"out.txt": "two\n", "out.txt.20261121T110600Z-001": "one\n"}


def test_tasks_that_share_a_file_follow_each_others_rolling(out: Path) -> None:
    one, two = (LineFile(str(out), RollPolicy(bytes=4), now=Clock()) for _ in range(2))
    one.append(b"1st\n")
    two.append(b"2nd\n")
    one.append(b"3rd\n")
    one.close()
    two.close()
    assert [text for _, text in sorted(rolled(out).items())] == ["3rd\n", "1st\n", "2nd\n"]


def test_a_file_moved_by_somebody_is_made_anew(out: Path, start: Start) -> None:
    sink = start()
    sink.put(["old"])
    out.rename(out.with_name("moved"))
    sink.put(["new"])
    assert rolled(out) == {"moved": "old\n", "out.txt": "new\n"}


def test_the_configuration_rolls_by_size_and_time(out: Path, start: Start) -> None:
    sink = start(**{"engine.file.roll.bytes": 4, "engine.file.roll.interval.ms": 3_600_000})
    sink.put(["1st"])
    sink.put(["2nd"])
    sink.put([])
    assert sorted(rolled(out).values()) == ["1st\n", "2nd\n"]


def test_flush_brings_the_file_to_disk_only_when_asked(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    start().flush()
    assert not synced
    sink = start(**{"engine.file.fsync": "true"})
    sink.put(["a"])
    sink.flush()
    assert len(synced) == 2  # the file and its directory
    assert sink.context.busy_seconds


class Synced:
    """Files and directories that were brought to disk, by inode, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inodes: list[int] = []
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, fd: int) -> None:
        self.inodes.append(os.fstat(fd).st_ino)
        self._fsync(fd)


def test_a_file_that_somebody_else_rotates_is_brought_to_disk_before_it_is_let_go(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = start(**{"engine.file.fsync": "true"})
    sink.put(["written and not flushed"])
    synced, old = Synced(monkeypatch), out.stat().st_ino
    out.rename(out.with_suffix(".1"))
    sink.put(["in the next file"])
    assert old in synced.inodes
    sink.flush()
    assert out.stat().st_ino in synced.inodes


def test_the_name_of_a_new_file_is_brought_to_disk_with_it_and_once(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, folder = Synced(monkeypatch), out.parent.stat().st_ino
    sink = start(**{"engine.file.fsync": "true", "engine.file.roll.bytes": 10})
    sink.put(["a"])
    sink.flush()
    sink.flush()
    file = out.stat().st_ino
    assert synced.inodes == [file, folder, file]

    sink.put(["long enough to roll"])
    del synced.inodes[:]
    sink.flush()
    assert synced.inodes == [out.stat().st_ino, folder]


def test_a_file_system_whose_directories_cannot_be_brought_to_disk_will_do(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, folder = os.fsync, out.parent.stat().st_ino

    def refuse(fd: int) -> None:
        if os.fstat(fd).st_ino == folder:
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    sink = start(**{"engine.file.fsync": "true"})
    sink.put(["a"])
    sink.flush()


def test_a_directory_that_is_not_brought_to_disk_ends_the_task(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, folder = os.fsync, out.parent.stat().st_ino

    def fail(fd: int) -> None:
        if os.fstat(fd).st_ino == folder:
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail)
    sink = start(**{"engine.file.fsync": "true"})
    sink.put(["a"])
    with pytest.raises(ConnectError, match=r"could not be brought to disk \(Input/output"):
        sink.flush()


def test_a_failed_fsync_ends_the_task(
    out: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second fsync would succeed without having written anything."""

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    sink = start(**{"engine.file.fsync": "true"})
    sink.put(["a"])
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(
        ConnectError, match=r"could not be brought to disk \(Input/output"
    ) as caught:
        sink.flush()
    assert not isinstance(caught.value, RetriableError)


# ---- other targets -----------------------------------------------------------------------------


def test_standard_output_is_written_when_no_file_is_given(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sink = SinkDriver({})
    sink.put(["a", None])
    sink.put([])
    sink.flush()
    sink.stop()
    assert capfd.readouterr().out == "a\nnull\n"
    os.fstat(1)


def test_a_full_pipe_takes_the_rest_of_a_batch_later(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = SinkDriver({"file": str(path)})
    lines = [b"%d" % i for i in range(50_000)]
    found = b""
    while True:
        try:
            sink.put(lines, utf8=True)
        except RetriableError:
            found += os.read(reading, 1 << 20)
        else:
            break
    sink.stop()
    while chunk := os.read(reading, 1 << 20):
        found += chunk
    os.close(reading)
    assert found.splitlines() == lines


def test_a_directory_can_never_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a directory"):
        SinkDriver({"file": str(tmp_path)})
    problems = FileStreamSinkConnector().validate({"file": str(tmp_path)})
    assert list(problems) == ["file"]


def test_a_missing_folder_may_appear_later(tmp_path: Path) -> None:
    with pytest.raises(RetriableError, match="cannot be written: No such file or directory"):
        SinkDriver({"file": str(tmp_path / "no" / "out")})


def test_every_task_writes_to_the_same_file() -> None:
    connector = FileStreamSinkConnector()
    config = {"file": "/tmp/x", "topics": "t"}
    connector.start(config)
    assert connector.task_configs(3) == [config] * 3


def test_a_file_of_ours_is_marked_with_the_time_it_was_made(out: Path) -> None:
    file = LineFile(str(out), now=Clock())
    file.open()
    file.close()
    assert os.getxattr(out, MARK) == b"%d" % (Clock().now.timestamp() * 1000)
