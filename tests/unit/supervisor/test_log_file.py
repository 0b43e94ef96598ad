"""Files that lines are appended to."""

import os
import time
from pathlib import Path

import pytest

from engine.supervisor.log_file import LogFile, remove_expired
from engine.supervisor.settings import Retention

DAY = 86400.0


def told(lost: int, problem: str) -> bytes:
    return f"{lost} bytes lost: {problem}\n".encode()


def age(path: Path, seconds: float) -> None:
    then = time.clock_gettime(time.CLOCK_REALTIME) - seconds
    os.utime(path, (then, then))


def test_a_file_that_is_moved_away_is_followed_by_a_new_one_and_no_line_is_lost(
    tmp_path: Path,
) -> None:
    """F63, as logrotate does it."""
    path = tmp_path / "log"
    file = LogFile(path)
    for number in range(30):
        if number % 10 == 5:
            path.rename(tmp_path / f"moved-{number}")
        file.write(b"line %d\n" % number)
    file.close()

    kept = [tmp_path / "moved-5", tmp_path / "moved-15", tmp_path / "moved-25", path]
    assert b"".join(each.read_bytes() for each in kept) == b"".join(
        b"line %d\n" % number for number in range(30)
    )


def test_a_file_that_is_removed_or_cut_short_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(path, Retention(300))
    file.write(b"x" * 80 + b"\n")
    os.truncate(path, 0)  # logrotate's copytruncate
    file.write(b"y" * 80 + b"\n")
    assert path.read_bytes() == b"y" * 80 + b"\n"
    path.unlink()
    file.write(b"z\n")
    file.close()

    assert path.read_bytes() == b"z\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log"]


def test_a_line_that_a_power_failure_tore_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"event":"ha')
    file = LogFile(path)
    file.write(b"whole\n")
    file.close()

    assert path.read_bytes() == b'{"event":"ha\nwhole\n'


def test_lines_are_whole_or_not_there_when_the_disk_takes_only_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = LogFile(path, on_lost=told)
    file.write(b"first\n")
    real = os.write
    room = 4

    def nearly_full(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = real(fd, data[:room])
        room -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", nearly_full)
        assert not file.write(b"second\n")
        assert not file.write(b"third\n")
    assert path.read_bytes() == b"first\n"
    assert (file.dropped, file.problem) == (13, "No space left on device")

    assert file.write(b"fourth\n")
    file.close()
    assert path.read_bytes() == b"first\n13 bytes lost: No space left on device\nfourth\n"
    assert file.problem is None


def test_a_file_whose_first_line_is_old_is_rolled(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"timestamp":"2020-01-01T00:00:00.000Z","event":"old"}\n')
    file = LogFile(path, Retention(1 << 20, longest=2 * DAY))
    file.write(b"new\n")
    file.close()

    assert path.read_bytes() == b"new\n"
    assert b"old" in Path(f"{path}.1").read_bytes()


def test_a_file_is_kept_for_ever_when_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"timestamp":"2020-01-01T00:00:00.000Z","event":"old"}\n')
    age(path, 9000 * DAY)
    file = LogFile(path, Retention(1 << 20, longest=None))
    file.write(b"new\n")
    file.close()
    remove_expired(tmp_path, None)

    assert path.read_bytes().endswith(b'"old"}\nnew\n')


def test_all_files_of_a_log_together_are_bounded(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", Retention(3000))
    for number in range(1000):
        file.write(b"line %d\n" % number)
        assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 3000
    file.close()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2"]


def test_what_nobody_has_written_to_for_long_is_removed(tmp_path: Path) -> None:
    for name, days in (("a-0.log", 8), ("a-0.log.1", 9), ("b-0.log", 6), ("kafka.log", 30)):
        (tmp_path / name).write_text("x")
        age(tmp_path / name, days * DAY)
    (tmp_path / "directory").mkdir()
    age(tmp_path / "directory", 99 * DAY)

    remove_expired(tmp_path, 7 * DAY, kept=["kafka.log"])

    assert sorted(each.name for each in tmp_path.iterdir()) == ["b-0.log", "directory", "kafka.log"]
    remove_expired(tmp_path / "nowhere", 7 * DAY)


def test_a_live_log_that_was_removed_for_its_age_begins_anew(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log")
    file.write(b"one\n")
    age(tmp_path / "log", 8 * DAY)
    remove_expired(tmp_path, 7 * DAY)
    file.write(b"two\n")
    file.close()

    assert (tmp_path / "log").read_bytes() == b"two\n"
