"""One engine per data directory."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.supervisor.instance import AlreadyRunningError, DataDirError, Instance, held

PROGRAM = """
import sys
from pathlib import Path
from engine.supervisor.instance import Instance
instance = Instance(Path(sys.argv[1]))
print(instance.epoch, flush=True)
if sys.argv[2:]:
    sys.stdin.read()
"""


def run_once(data_dir: Path) -> int:
    """The epoch of a process that takes the directory and ends."""
    argv = [sys.executable, "-c", PROGRAM, str(data_dir)]
    return int(subprocess.run(argv, check=True, capture_output=True, timeout=30).stdout)


def listing(data_dir: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(data_dir)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in data_dir.rglob("*")
        if path.is_file()
    }


def test_the_directory_is_made_with_all_that_is_needed_below(tmp_path: Path) -> None:
    data_dir = tmp_path / "not" / "there"
    instance = Instance(data_dir)

    assert instance.epoch == 1
    assert {each.name for each in data_dir.iterdir() if each.is_dir()} == {
        "tasks",
        "logs",
        "journal",
        "deaths",
        "offsets",
    }
    assert (data_dir / "lock").read_text() == f"{os.getpid()}\n"
    assert data_dir.stat().st_mode & 0o007 == 0


def test_f50_a_second_engine_is_refused_names_the_first_and_touches_nothing(
    tmp_path: Path,
) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), "stay"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"1\n"
        before = listing(tmp_path)
        descriptors = set(os.listdir("/proc/self/fd"))
        with pytest.raises(AlreadyRunningError, match=rf"{tmp_path}.*\(pid {first.pid}\)"):
            Instance(tmp_path)
        assert listing(tmp_path) == before
        assert set(os.listdir("/proc/self/fd")) == descriptors
        first.kill()
    assert Instance(tmp_path).epoch == 2


def test_a_stale_pid_in_the_lock_file_means_nothing(tmp_path: Path) -> None:
    """F47: the lock counts, not what the file says."""
    (tmp_path / "lock").write_text("1\n")

    assert Instance(tmp_path).epoch == 1
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_every_run_has_a_greater_number(tmp_path: Path) -> None:
    assert [run_once(tmp_path) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("left_over", ["", "12"])
def test_a_crash_while_the_number_is_stored_gives_none_out_twice(
    tmp_path: Path, left_over: str
) -> None:
    assert run_once(tmp_path) == 1
    (tmp_path / "epoch.new").write_text(left_over)

    assert run_once(tmp_path) == 2


def test_a_directory_that_cannot_be_used_is_named_with_the_reason_and_a_way_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataDirError, match=rf"{tmp_path}/file/x cannot be used: Not a directory; choose another"
    ):
        Instance(tmp_path / "file" / "x")


def test_a_directory_on_a_read_only_file_system_is_refused() -> None:
    with pytest.raises(DataDirError, match=r"/proc/engine cannot be used: .*engine\.data\.dir"):
        Instance(Path("/proc/engine"))


def test_the_lock_is_not_inherited_by_programs(tmp_path: Path) -> None:
    """A child that outlives its engine must not keep the next one out."""
    instance = Instance(tmp_path)

    assert fcntl.fcntl(instance.lock_fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


@pytest.mark.parametrize("text", ["", "x\n", "\xff"])
def test_a_broken_number_of_the_last_run_is_refused(tmp_path: Path, text: str) -> None:
    """To begin anew would give out generations that offset files have seen already."""
    (tmp_path / "epoch").write_text(text, encoding="latin-1")
    with pytest.raises(DataDirError, match=r"epoch holds .* where the number of the last run"):
        Instance(tmp_path)


def test_what_a_newer_engine_has_arranged_is_refused_and_left_alone(tmp_path: Path) -> None:
    assert run_once(tmp_path) == 1
    assert (tmp_path / "format").read_text() == "1\n"
    (tmp_path / "format").write_text("2\n")
    before = listing(tmp_path)
    with pytest.raises(DataDirError, match=r"has format '2', this engine knows 1: use the engine"):
        Instance(tmp_path)
    del before["lock"]
    after = listing(tmp_path)
    del after["lock"]
    assert after == before


def test_a_directory_is_held_against_engines_and_no_run_is_counted(tmp_path: Path) -> None:
    assert run_once(tmp_path) == 1
    with held(tmp_path), pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        Instance(tmp_path)
    assert run_once(tmp_path) == 2
