"""One engine per data directory."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine.supervisor.instance import (
    AlreadyRunningError,
    DataDirError,
    Instance,
    held,
    intrusion,
)

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


# ---- directories of others -----------------------------------------------------------------------

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play two users")
OTHER, THIRD = 60_001, 60_002


def is_usable(data_dir: Path, uid: int, group: int) -> bool:
    """Whether a process of another user can take the directory."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(uid)
            Instance(data_dir)
        except BaseException:  # noqa: BLE001 (nothing may pass into the parent's test)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@ROOT_ONLY
def test_a_directory_of_another_user_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Root, too: whoever owns it could put links into it."""
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, OTHER, THIRD)
    with pytest.raises(DataDirError) as caught:
        Instance(data_dir)
    assert str(caught.value) == (
        f"data directory {data_dir} belongs to uid {OTHER}, and this engine runs as root (uid 0):"
        " run it as its owner, choose another with engine.data.dir, or, if you trust what is in it,"
        f" chown -hR 0 {data_dir}"
    )
    assert list(data_dir.iterdir()) == []


@ROOT_ONLY
def test_a_link_of_another_user_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "ours"
    target.mkdir()
    link.symlink_to(target)
    assert intrusion(link) is None
    os.lchown(link, OTHER, THIRD)
    with pytest.raises(DataDirError, match=f"belongs to uid {OTHER}"):
        Instance(link)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("mode", [0o757, 0o1777])
def test_a_directory_that_everybody_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(DataDirError, match=rf"by every user \(mode {mode:04o}\): .*chmod go-w"):
        Instance(tmp_path)
    tmp_path.chmod(0o750)
    assert Instance(tmp_path).epoch == 1


@ROOT_ONLY
def test_a_group_may_write_when_it_is_ours(tmp_path: Path) -> None:
    """Volumes of containers belong to root and to the group of whoever runs there."""
    Instance(tmp_path)  # what another user's process could not import is there now
    with tempfile.TemporaryDirectory() as folder:  # others cannot pass pytest's own
        os.chmod(folder, 0o755)
        data_dir = Path(folder) / "volume"
        data_dir.mkdir()
        os.chown(data_dir, 0, THIRD)
        data_dir.chmod(0o2775)
        with pytest.raises(DataDirError, match=f"by group {THIRD}, to which this engine's user"):
            Instance(data_dir)
        assert not is_usable(data_dir, OTHER, OTHER)
        assert is_usable(data_dir, OTHER, THIRD)
        assert (data_dir / "epoch").read_text() == "1\n"
