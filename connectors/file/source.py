"""The file source: lines of a file, or of standard input, into a topic."""

import os
import stat
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.file.file_follower import FileFollower, not_a_file
from connectors.file.line_reader import LineReader, ReadSettings, StreamReader
from connectors.file.line_splitter import LineTooLongError
from engine.api import (
    HIGH,
    LOW,
    STRING,
    Column,
    ConfigError,
    ConfigKeys,
    ConfigType,
    ConnectError,
    Offset,
    Partition,
    RetriableError,
    SourceBatch,
    SourceConnector,
    SourceTask,
    at_least,
    config,
    key,
    keys_of,
    non_empty,
    one_of,
    parse,
)

STANDARD_INPUT = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
"""Names of it; a task's process has an empty one."""

POLL_SECONDS = 1.0
FIRST_WAIT, LONGEST_WAIT = 0.005, 0.1
QUIET_PART = 0.1
"""A file that has been quiet for long is looked at less often: a line waits at most for this part
of the silence before it, and never for longer than a poll."""


@config
class FileStreamSourceConfig:
    """What the file source needs to know."""

    file: str | None = key(
        "file",
        default=None,
        doc="File to read. Standard input when it is not given.",
        importance=HIGH,
        check=non_empty,
    )
    topic: str = key("topic", doc="Topic to write to.", importance=HIGH, check=non_empty)
    batch_size: int | None = key(
        "batch.size",
        default=None,
        type=ConfigType.INT,
        doc="Most lines of one batch. As many as one read gives when it is not given.",
        importance=LOW,
        check=at_least(1),
    )
    read_bytes: int = key(
        "engine.file.read.bytes",
        default=1 << 20,
        type=ConfigType.INT,
        doc="Most bytes of one read.",
        importance=LOW,
        check=at_least(1),
    )
    line_max_bytes: int = key(
        "engine.file.line.max.bytes",
        default=1 << 24,
        type=ConfigType.INT,
        doc="Most bytes of one line; the task fails at a longer one instead of filling memory.",
        importance=LOW,
        check=at_least(1),
    )
    last_line_timeout: float | None = key(
        "engine.file.last.line.timeout.ms",
        default=None,
        milliseconds=True,
        doc="How long the file must be quiet until a last line without a line end is sent. It "
        "waits for its line end when this is not given.",
        importance=LOW,
        check=at_least(0),
    )
    compression: str = key(
        "engine.file.compression",
        default="auto",
        doc="How the file is compressed: none, gzip, or auto, which means gzip for names in .gz.",
        importance=LOW,
        check=one_of("auto", "none", "gzip"),
    )

    def settings(self) -> ReadSettings:
        """The part of it that a reader needs."""
        by_name = self.compression == "auto" and (self.file or "").endswith(".gz")
        return ReadSettings(
            read_bytes=self.read_bytes,
            longest=self.line_max_bytes,
            is_gzip=by_name or self.compression == "gzip",
            last_line_timeout=self.last_line_timeout,
        )


class FileStreamSourceTask(SourceTask):
    """Reads one file. One batch is what one read gives: its lines stay the bytes they are."""

    def start(self, config: Mapping[str, str]) -> None:
        """Find out where to go on; a file that is not there yet is waited for."""
        self._config = parse(FileStreamSourceConfig, config)
        self._partition: Partition | None = None
        self._condition: str | None = None
        self._wait, self._quiet_since = FIRST_WAIT, time.monotonic()
        self._reader = self._open(self._config.file, self._config.settings())

    def _open(self, path: str | None, settings: ReadSettings) -> LineReader:
        if path is None or path in STANDARD_INPUT:
            return StreamReader(self.context.standard_input(), "standard input", settings)
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            raise ConfigError({"file": not_a_file(path)})
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            return StreamReader(fd, path, settings)
        self._partition = {"filename": path}
        offset = self.context.offset_storage_reader().offset(self._partition) or {}
        return FileFollower(path, settings, _checked(offset))

    def poll(self) -> SourceBatch | None:
        """The lines of the next read; waits a second at most when there are none."""
        deadline = time.monotonic() + POLL_SECONDS
        while True:
            lines = self._reader.take(self._config.batch_size)
            if lines:
                return self._batch(lines)
            has_moved = self._step()
            left = deadline - time.monotonic()
            if not has_moved:
                self._report()
                wait = self._next_wait()
                if not self.context.wait(min(wait, left)) or wait >= left:
                    return None
            elif left <= 0 or self.context.is_stopping():
                return None

    def _next_wait(self) -> float:
        """Seconds until the next look; short ones while there is something unfinished."""
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        if self._reader.lag:
            return wait
        return max(wait, QUIET_PART * (time.monotonic() - self._quiet_since))

    def _batch(self, lines: list[bytes]) -> SourceBatch:
        self._wait, self._quiet_since = FIRST_WAIT, time.monotonic()
        self._report()
        return SourceBatch(
            topic=self._config.topic,
            values=Column(lines, STRING, utf8=True),
            source_partition=self._partition,
            source_offset=self._reader.offset,
        )

    def _step(self) -> bool:
        try:
            return self._reader.step()
        except LineTooLongError:
            most = self._config.line_max_bytes
            where = (self._reader.offset or {}).get("position", "?")
            raise ConfigError(
                {
                    "engine.file.line.max.bytes": f"The line at byte {where} of "
                    f"{self._config.file or 'standard input'} is longer than {most} bytes; "
                    "raise engine.file.line.max.bytes to read it"
                }
            ) from None
        except zlib.error as error:
            raise ConnectError(
                f"file {self._config.file} is damaged or not gzip: {error}"
            ) from error
        except BlockingIOError:
            return False
        except OSError as error:
            raise RetriableError(
                f"file {self._config.file} cannot be read: {error.strerror}"
            ) from error

    def _report(self) -> None:
        self.context.lag(self._reader.lag)
        if self._reader.condition != self._condition:
            self._condition = self._reader.condition
            self.context.condition(self._condition)

    def stop(self) -> None:
        """Close the file; also after a start that failed."""
        reader = getattr(self, "_reader", None)
        if reader is not None:
            reader.close()


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _checked(offset: Offset) -> Mapping[str, int]:
    """The offset, when it is one of ours or of Kafka's own connector."""
    position = offset.get("position", 0)
    if not _is_long(position) or position < 0:
        raise ConnectError("Offset position is the incorrect type")
    checked: dict[str, int] = {"position": position}
    inode = offset.get("inode")
    if inode is not None and _is_long(inode):
        checked["inode"] = inode
    return checked


def _is_long(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and -(1 << 63) <= value < 1 << 63


class FileStreamSourceConnector(SourceConnector):
    """Reads one file with one task (upstream: ``FileStreamSourceConnector``)."""

    def config(self) -> ConfigKeys:
        """The keys of :class:`FileStreamSourceConfig`."""
        return keys_of(FileStreamSourceConfig)

    def validate(self, config: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """Refuse a path that can never be read as a file."""
        path = config.get("file")
        return {"file": [not_a_file(path)]} if path and os.path.isdir(path) else {}

    def start(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        parse(FileStreamSourceConfig, config)
        self._config = dict(config)

    def task_class(self) -> type[SourceTask]:
        """The file source has one kind of task."""
        return FileStreamSourceTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """One task, however many there may be."""
        del max_tasks
        return [self._config]

    def alter_offsets(
        self, config: Mapping[str, str], offsets: Mapping[str, tuple[Partition, Offset | None]]
    ) -> bool:
        """Check the form of offsets; whether they fit the file shows when a task starts."""
        if not config.get("file"):
            raise ConnectError(
                "Offsets cannot be modified if the 'file' configuration is unspecified. "
                "This is because stdin is used for input and offsets are not tracked."
            )
        for partition, offset in offsets.values():
            if offset is not None:
                _check_offset(offset)
                _check_partition(partition)
        return True


def _check_offset(offset: Offset) -> None:
    if "position" not in offset:
        raise ConnectError("Offset objects should either be null or contain the key 'position'")
    position = offset["position"]
    if not _is_long(position):
        raise ConnectError(
            "The value for the 'position' key in the offset is expected to be a Long value"
        )
    if position < 0:
        raise ConnectError(
            "The value for the 'position' key in the offset should be a non-negative value"
        )


def _check_partition(partition: Partition | None) -> None:
    if partition is None:
        raise ConnectError("Partition objects cannot be null")
    if "filename" not in partition:
        raise ConnectError("Partition objects should contain the key 'filename'")
