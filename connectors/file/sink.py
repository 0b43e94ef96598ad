"""The file sink: one line for each record, appended to a file or to standard output."""

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from connectors.file.line_file import LineFile, RollPolicy
from connectors.file.stream_writer import StreamWriter
from engine.api import (
    HIGH,
    LOW,
    Column,
    ConfigKeys,
    ConfigType,
    Schema,
    SinkBatch,
    SinkConnector,
    SinkTask,
    TopicPartition,
    at_least,
    config,
    key,
    keys_of,
    non_empty,
    parse,
    text_of,
)

STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Names of it; opened in a task's process they would lead to the task's log."""

SYNC_SECONDS = 60.0
"""How long bringing a file to disk may take before the task counts as stuck."""


@config
class FileStreamSinkConfig:
    """What the file sink needs to know."""

    file: str | None = key(
        "file",
        default=None,
        doc="File to append to. Standard output when it is not given.",
        importance=HIGH,
        check=non_empty,
    )
    roll_bytes: int | None = key(
        "engine.file.roll.bytes",
        default=None,
        type=ConfigType.LONG,
        doc="Begin a new file before the next batch would make this one larger. Never when it is "
        "not given.",
        importance=LOW,
        check=at_least(1),
    )
    roll_interval: float | None = key(
        "engine.file.roll.interval.ms",
        default=None,
        milliseconds=True,
        doc="Begin a new file when this one is so old. Never when it is not given.",
        importance=LOW,
        check=at_least(1000),
    )
    does_sync: bool = key(
        "engine.file.fsync",
        default=False,
        doc="Bring the file to disk (fsync) before offsets are committed, so that what was "
        "committed survives the loss of power.",
        importance=LOW,
    )


class LineWriter(Protocol):
    """What lines are written to."""

    def append(self, lines: bytes) -> None:
        """Append bytes that end in a line end."""

    def roll_if_due(self) -> None:
        """Begin a new file if it is time."""

    def sync(self) -> None:
        """Make everything durable that is to be."""

    def close(self) -> None:
        """Close what is open."""


class FileStreamSinkTask(SinkTask):
    """Writes a batch with one system call."""

    def start(self, config: Mapping[str, str]) -> None:
        """Open the file and mend a line that a killed predecessor left torn."""
        self._config = parse(FileStreamSinkConfig, config)
        self._writer = self._open(self._config.file)

    def _open(self, path: str | None) -> LineWriter:
        if path is None or path in STANDARD_OUTPUT:
            return StreamWriter(self.context.standard_output(), "standard output")
        if _is_stream(path):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
            os.set_blocking(fd, False)
            return StreamWriter(fd, path)
        roll = RollPolicy(self._config.roll_bytes, self._config.roll_interval)
        file = LineFile(path, roll, does_sync=self._config.does_sync)
        file.open()
        return file

    def put(self, batch: SinkBatch) -> None:
        """Append the batch; after a failure nothing of it is in the file."""
        if len(batch):
            self._writer.append(lines_of(batch.values))
        else:
            self._writer.roll_if_due()

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Bring the file to disk, if that is configured; written it is already."""
        del offsets
        if self._config.does_sync:
            self.context.busy(SYNC_SECONDS)
            self._writer.sync()

    def stop(self) -> None:
        """Close the file; also after a start that failed."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.close()


def lines_of(values: Column) -> bytes:
    """The values as lines. Bytes stay as they are, everything else is written as Java would."""
    data = values.data
    try:
        if data and isinstance(data[0], bytes):
            return b"\n".join((*data, b""))
        if data and isinstance(data[0], str):
            return "\n".join((*data, "")).encode("utf-8", "replace")
    except TypeError:  # a tombstone among them, or values of several kinds
        pass
    lines = (_line(value, values.schema_of(i)) for i, value in enumerate(data))
    return b"\n".join((*lines, b""))


def _line(value: Any, schema: Schema | None) -> bytes:
    return value if type(value) is bytes else text_of(value, schema).encode("utf-8", "replace")


def _is_stream(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class FileStreamSinkConnector(SinkConnector):
    """Writes to one file with any number of tasks (upstream: ``FileStreamSinkConnector``)."""

    def config(self) -> ConfigKeys:
        """The keys of :class:`FileStreamSinkConfig`."""
        return keys_of(FileStreamSinkConfig)

    def validate(self, config: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """Refuse a path that can never be written to."""
        path = config.get("file")
        if path and os.path.isdir(path):
            text = f"Invalid value {path} for configuration file: it is a directory"
            return {"file": [text]}
        return {}

    def start(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        parse(FileStreamSinkConfig, config)
        self._config = dict(config)

    def task_class(self) -> type[SinkTask]:
        """The file sink has one kind of task."""
        return FileStreamSinkTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """As many tasks as there may be; they share the file."""
        return [self._config] * max_tasks
