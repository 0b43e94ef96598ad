"""The demo's work directory: its lock, its configuration files, and what a new run clears."""

import fcntl
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = "demo-source"
SINK: Final = "demo-sink"
TOPIC: Final = "demo"

_WORKER: Final = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.flush.interval.ms": "1000",
    # the sink subscribes before the topic exists
    "consumer.metadata.max.age.ms": "1000",
    # somebody is going to kill tasks and wait for them to come back
    "engine.restart.delay.ms": "500",
    "engine.restart.delay.max.ms": "2000",
    "engine.restart.max": "100",
    "engine.heartbeat.timeout.ms": "10000",
    "engine.log.format": "console",
}


class DemoError(Exception):
    """The demo cannot go on; the text is one line for whoever started it."""


def default_work_dir(environ: Mapping[str, str]) -> Path:
    """``engine/demo`` in the user's state directory."""
    shared = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(shared) / "engine" / "demo"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything is."""

    work_dir: Path
    source: Path

    @property
    def output(self) -> Path:
        """What the sink writes."""
        return self.work_dir / "output.log"

    @property
    def data_dir(self) -> Path:
        """The engine's own, with the broker's in it."""
        return self.work_dir / "engine"

    @property
    def engine_log(self) -> Path:
        """What the engine says."""
        return self.work_dir / "engine.log"

    @property
    def config_files(self) -> tuple[Path, Path, Path]:
        """The worker's and the connectors'."""
        worker, source, sink = "worker", SOURCE, SINK
        return (
            self.work_dir / f"{worker}.properties",
            self.work_dir / f"{source}.properties",
            self.work_dir / f"{sink}.properties",
        )


class WorkDir:
    """A work directory that is ours until the process ends.

    Args:
        path: made when it is missing.
        source: the file to copy; None for a log that the demo writes.
    """

    def __init__(self, path: Path, source: Path | None) -> None:
        """Lock it.

        Raises:
            DemoError: another demo uses it, or it is not a demo's.
        """
        path = path.absolute()
        self.paths = Paths(path, source or path / "input.log")
        self.is_own_log = source is None
        lock = path / "demo.lock"
        try:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            if not lock.exists() and any(path.iterdir()):
                raise DemoError(f"{path} is not empty and no demo made it; give another --data-dir")
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"another demo runs in {path}; stop it or give another --data-dir"
            ) from None
        except OSError as error:
            raise DemoError(f"{path} cannot be used: {error.strerror}") from None

    def prepare(self, *, keep: bool, port: int) -> None:
        """Begin anew, or go on with what the last run left; write the configuration files.

        Raises:
            DemoError: what the last run left is of another file, or the disk does not take it.
        """
        note = self.paths.work_dir / "source"
        try:
            if keep:
                self._check_same(note)
            else:
                self._clear()
            note.write_bytes(os.fsencode(self.paths.source))
            for path, config in zip(self.paths.config_files, self._configs(port), strict=True):
                path.write_text(_properties(config), encoding="utf-8")
        except OSError as error:
            raise DemoError(f"{self.paths.work_dir} cannot be used: {error.strerror}") from None

    def _check_same(self, note: Path) -> None:
        copied = os.fsdecode(note.read_bytes()) if note.exists() else None
        if copied not in (None, str(self.paths.source)):
            raise DemoError(f"what is kept is a copy of {copied}; leave --keep out to begin anew")

    def _clear(self) -> None:
        shutil.rmtree(self.paths.data_dir, ignore_errors=True)
        old = [self.paths.output, self.paths.engine_log]
        if self.is_own_log:
            old.append(self.paths.source)
        for path in old:
            path.unlink(missing_ok=True)

    def _configs(self, port: int) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        worker = {
            **_WORKER,
            "listeners": f"http://127.0.0.1:{port}",
            "engine.data.dir": str(self.paths.data_dir),
        }
        source = {
            "name": SOURCE,
            "connector.class": "FileStreamSource",
            "tasks.max": "1",
            "file": str(self.paths.source),
            "topic": TOPIC,
            # a last line without its line end is a line all the same
            "engine.file.last.line.timeout.ms": "1000",
        }
        sink = {
            "name": SINK,
            "connector.class": "FileStreamSink",
            "tasks.max": "1",
            "file": str(self.paths.output),
            "topics": TOPIC,
        }
        if self.is_own_log:
            del source["engine.file.last.line.timeout.ms"]
        return worker, source, sink


def _properties(config: Mapping[str, str]) -> str:
    r"""A file that ``java.util.Properties`` reads; everything but plain ASCII as ``\uXXXX``."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in config.items())


def _escaped(value: str) -> str:
    text = value.replace("\\", "\\\\")
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    made = "".join(chr(c) if 0x20 <= c < 0x7F else f"\\u{c:04x}" for c in codes)
    return f"\\{made}" if made.startswith(" ") else made
