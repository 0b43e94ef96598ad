"""One engine per data directory, and a number for each of its runs."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

EXIT_ALREADY_RUNNING = 100

FORMAT: Final = 1
"""Of the arrangement of files in a data directory."""


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class AlreadyRunningError(DataDirError):
    """Another engine uses it."""


class Instance:
    """The lock of a data directory, held until the process ends.

    Attributes:
        lock_fd: the descriptor that holds it.
        epoch: number of this run, greater than that of every run before.
    """

    def __init__(self, data_dir: Path, handed: tuple[int, int] | None = None) -> None:
        """Make the directory, lock it, count the run.

        Args:
            handed: descriptor and epoch of another supervisor in this process, whose run goes on.

        Raises:
            AlreadyRunningError: somebody else holds the lock; nothing was touched.
            DataDirError: the directory cannot be written, or somebody else could write there.
        """
        if handed is not None:
            self.lock_fd, self.epoch = handed
            return
        make_data_dir(data_dir)
        with _usable(data_dir):
            for name in ("tasks", "logs", "journal", "deaths", "offsets"):
                (data_dir / name).mkdir(mode=0o750, exist_ok=True)
            self.lock_fd = _open_lock(data_dir)
            try:
                _lock(self.lock_fd, data_dir)
                _check_format(data_dir)
                self.epoch = _next_epoch(data_dir / "epoch")
            except (OSError, DataDirError):
                os.close(self.lock_fd)
                raise


def make_data_dir(data_dir: Path) -> None:
    """Make the directory unless it is there.

    Raises:
        DataDirError: it cannot be made, or somebody else could change what is in it.
    """
    with _usable(data_dir):
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        problem = intrusion(data_dir)
    if problem is not None:
        raise DataDirError(problem)


def intrusion(data_dir: Path) -> str | None:
    """How somebody else than this user could change what is in a directory, and what to do.

    Below ``/tmp``, say, anybody can have made it before us, with links in it to files of ours. What
    belongs to root is as safe as the machine, and who is in our group was let in by somebody.
    """
    for status in (data_dir.lstat(), data_dir.stat()):  # of a link, both
        if status.st_uid not in (0, os.geteuid()):
            owner, own = _user(status.st_uid), _user(os.geteuid())
            return (
                f"data directory {data_dir} belongs to {owner}, and this engine runs as {own}: run"
                " it as its owner, choose another with engine.data.dir, or, if you trust what is in"
                f" it, chown -hR {os.geteuid()} {data_dir}"
            )
    groups = {0, os.getegid(), *os.getgroups()}
    if status.st_mode & stat.S_IWOTH:
        others = "every user"
    elif status.st_mode & stat.S_IWGRP and status.st_gid not in groups:
        others = f"group {status.st_gid}, to which this engine's user does not belong,"
    else:
        return None
    return (
        f"data directory {data_dir} may be written by {others} (mode {status.st_mode & 0o7777:04o})"
        f": choose another with engine.data.dir, or, if you trust what is in it, chmod go-w"
        f" {data_dir}"
    )


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 (for people only)

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


@contextlib.contextmanager
def _usable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataDirError(
            f"data directory {data_dir} cannot be used: {error.strerror or error}; "
            "choose another with engine.data.dir"
        ) from error


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Nobody else uses the data directory meanwhile; it must be there.

    Raises:
        AlreadyRunningError: an engine uses it.
        OSError: its lock cannot be opened.
    """
    fd = _open_lock(data_dir)
    try:
        _lock(fd, data_dir)
        yield
    finally:
        os.close(fd)


def _open_lock(data_dir: Path) -> int:
    return os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _lock(fd: int, data_dir: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise AlreadyRunningError(
            f"data directory {data_dir} is in use by another engine (pid {pid})"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _check_format(data_dir: Path) -> None:
    """Refuse what a newer engine has arranged in another way; what is in files has versions too."""
    path = data_dir / "format"
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        path.write_text(f"{FORMAT}\n", encoding="ascii")
        return
    if text != str(FORMAT):
        raise DataDirError(
            f"data directory {data_dir} has format {text[:20]!r}, this engine knows {FORMAT}: use"
            " the engine that made it, restore a backup of before (engine state restore), or choose"
            " another directory with engine.data.dir"
        )


def _next_epoch(path: Path) -> int:
    """The number of the last run plus one, stored so that a crash cannot give it out twice."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        text = "0"
    try:
        last = int(text)
    except ValueError as error:
        raise DataDirError(
            f"{path} holds {text[:20]!r} where the number of the last run was expected; write a "
            "number there that is greater than that of any run before"
        ) from error
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="ascii") as file:
        file.write(f"{last + 1}\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return last + 1
