"""Copies of a worker's state, made while it runs, and put back while it does not.

A backup is a tar.gz with ``manifest.json`` first: what each file is, its size and its digest. Every
SQLite file in it is a snapshot of one moment. Offsets are taken first: records that moved meanwhile
come again after a restore, none is lost. Logs, locks and an embedded broker are not in it.
"""

import contextlib
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import msgspec

import engine
from engine.api.errors import ConnectError
from engine.storage.schemas import newer

FORMAT: Final = 1

_FIRST: Final = ("offsets/*.db", "dead-letters/*.db", "dead-letter-notes/*.db",
    "herder.db")  # fmt: skip
_PLAIN: Final = ("epoch", "format", "supervisor.state", "supervisor.state.prev", "deaths/*",
                 "journal/*")  # fmt: skip
_MANIFEST: Final = "manifest.json"
_OF_STATE: Final = ("offsets", "dead-letters", "dead-letter-notes", "deaths", "journal",
    "herder.db", "herder.db-wal", "herder.db-shm", "supervisor.state", "supervisor.state.prev",
    "epoch", "format")  # fmt: skip
_BLOCK: Final = 1 << 20


class BackupError(ConnectError):
    """A backup cannot be made, read or put back; the message says why."""


class BackedUpFile(msgspec.Struct, frozen=True):
    """One file; ``name`` is relative to the data directory."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup."""

    format: int
    engine: str
    made_at: str
    data_dir: str
    epoch: int
    files: tuple[BackedUpFile, ...]


def back_up(data_dir: Path, target: Path) -> Manifest:
    """Copy the state of a worker, which may run, into a new file that only its owner can read.

    Raises:
        BackupError: there is no state, a file of it cannot be read, or the target not be made.
    """
    if not (data_dir / "epoch").exists():
        raise BackupError(f"{data_dir} holds no state of an engine")
    with _errors(target), tempfile.TemporaryDirectory(dir=target.absolute().parent) as directory:
        staged = Path(directory)
        os.chmod(staged, 0o700)
        names = list(_stage(data_dir, staged))
        manifest = _manifest(data_dir, staged, names)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _pack(manifest, staged, fd)
        except BaseException:
            target.unlink()  # half a backup is none
            raise
    return manifest


def _stage(data_dir: Path, staged: Path) -> Iterator[str]:
    """Consistent copies of all files; the names of them."""
    for pattern in _FIRST:
        for path in sorted(data_dir.glob(pattern)):
            name = str(path.relative_to(data_dir))
            (staged / name).parent.mkdir(exist_ok=True)
            _snapshot(path, staged / name)
            yield name
    for pattern in _PLAIN:
        for path in sorted(data_dir.glob(pattern)):
            name = str(path.relative_to(data_dir))
            with contextlib.suppress(FileNotFoundError):  # it was rolled over just now
                data = path.read_bytes()
                (staged / name).parent.mkdir(exist_ok=True)
                (staged / name).write_bytes(data)
                yield name


def _snapshot(path: Path, copy: Path) -> None:
    """The database as of one moment; whoever writes to it does not wait."""
    try:
        with contextlib.closing(_read_only(path)) as source:
            source.execute("VACUUM INTO ?", (str(copy),))
        with contextlib.closing(_read_only(copy)) as made:
            (said,) = made.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from error
    if said != "ok":
        raise BackupError(f"{path} is damaged: {said}")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=30.0)


def _manifest(data_dir: Path, staged: Path, names: Iterable[str]) -> Manifest:
    files = []
    for name in names:
        data = staged / name
        files.append(BackedUpFile(name, data.stat().st_size, _digest(data)))
    return Manifest(
        FORMAT, engine.__version__, datetime.now(UTC).isoformat(timespec="seconds"), str(data_dir),
        int((staged / "epoch").read_text("ascii")), tuple(files),
    )  # fmt: skip


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _pack(manifest: Manifest, staged: Path, fd: int) -> None:
    with os.fdopen(fd, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            info = tarfile.TarInfo(_MANIFEST)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
            for each in manifest.files:
                tar.add(staged / each.name, arcname=each.name, filter=_plain)
        file.flush()
        os.fsync(file.fileno())


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


# ---- putting back ----------------------------------------------------------------------------


def read_manifest(backup: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        BackupError: it is none, or one of a newer engine.
    """
    with _errors(backup), tarfile.open(backup) as tar:
        return _read_manifest(backup, tar)


def _read_manifest(backup: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    file = tar.extractfile(first) if first is not None and first.name == _MANIFEST else None
    if file is None:
        raise BackupError(f"{backup} is no backup of an engine")
    try:
        written: Any = json.loads(file.read())
        if written["format"] > FORMAT:
            raise BackupError(
                f"{backup} was made by engine {written['engine']} in format {written['format']},"
                f" this engine knows {FORMAT}"
            )
        return msgspec.convert(written, Manifest)
    except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise BackupError(f"{backup}: its manifest cannot be read: {error}") from error


def restore(backup: Path, data_dir: Path) -> tuple[Manifest, Path | None]:
    """Put the state back; what was there is moved aside. Nobody may use the directory meanwhile.

    Nothing is touched before every file of the backup was read, compared and understood.

    Returns:
        What was put back, and where that which was there is now; None when nothing was there.

    Raises:
        BackupError: the backup is damaged or of a newer engine, or the directory not writable.
    """
    with _errors(data_dir):
        draft = Path(tempfile.mkdtemp(prefix=".restore-", dir=data_dir))
        try:
            with _errors(backup), tarfile.open(backup) as tar:
                manifest = _read_manifest(backup, tar)
                _extract(backup, tar, manifest, draft)
            too_new = newer(draft)
            if too_new:
                raise BackupError(f"{backup}: {too_new[0].replace(f'{draft}/', '')}")
            _raise_epoch(draft / "epoch", data_dir / "epoch")
            aside = _move_aside(data_dir, manifest.made_at)
            for path in sorted(draft.iterdir()):
                path.replace(data_dir / path.name)
            _settle(data_dir)
        finally:
            _remove(draft)
    return manifest, aside


def _extract(backup: Path, tar: tarfile.TarFile, manifest: Manifest, draft: Path) -> None:
    expected = {each.name: each for each in manifest.files}
    for info in tar:
        if info.name == _MANIFEST:
            continue
        each = expected.pop(info.name, None)
        file = tar.extractfile(info) if info.isfile() else None
        if each is None or file is None or not _is_inside(info.name):
            raise BackupError(f"{backup} holds {info.name}, which its manifest does not name")
        target = draft / info.name
        target.parent.mkdir(mode=0o750, exist_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as made:
            while block := file.read(_BLOCK):
                made.write(block)
            made.flush()
            os.fsync(made.fileno())
        if target.stat().st_size != each.size or _digest(target) != each.sha256:
            raise BackupError(f"{backup} is damaged: {info.name} is not what was backed up")
    if expected:
        raise BackupError(f"{backup} is damaged: {', '.join(sorted(expected))} is missing")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and len(path.parts) <= 2


def _raise_epoch(restored: Path, present: Path) -> None:
    """A run never gets the number of one before it, whichever of the two had more runs."""
    with contextlib.suppress(OSError, ValueError):
        last = max(int(restored.read_text("ascii")), int(present.read_text("ascii")))
        restored.write_text(f"{last}\n", encoding="ascii")


def _move_aside(data_dir: Path, made_at: str) -> Path | None:
    present = [data_dir / name for name in _OF_STATE if (data_dir / name).exists()]
    if not any(path.is_file() or any(path.iterdir()) for path in present):
        return None
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = Path(tempfile.mkdtemp(prefix=f"before-restore-{now}-", dir=data_dir))
    for path in present:
        path.replace(aside / path.name)
    (aside / "restored").write_text(f"the backup of {made_at}\n", encoding="ascii")
    return aside


def _settle(data_dir: Path) -> None:
    """Whoever owns the directory owns what is in it now; the disk has all of it."""
    owner = data_dir.stat()
    for path in (p for name in _OF_STATE for p in (data_dir / name, *(data_dir / name).glob("*"))):
        if path.exists() and os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
    fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise BackupError(f"{path} is no backup of an engine: {error}") from error
    except EOFError as error:
        raise BackupError(f"{path} is cut off") from error
    except OSError as error:
        name = getattr(error, "filename", None) or path
        raise BackupError(f"{name}: {error.strerror or error}") from error
