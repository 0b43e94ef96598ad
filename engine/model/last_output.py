"""What a dead process wrote last, as it is kept for the explanation of its death."""

from pathlib import Path

import msgspec

from engine.model.task_id import TaskId


class LastOutput(msgspec.Struct, frozen=True):
    """The last output of a task's last dead process.

    Attributes:
        output: at most 64 KiB; bytes that are no text are escaped.
    """

    generation: int
    ended_ms: int
    output: str


def output_file(data_dir: Path, task: TaskId) -> Path:
    """Where it is."""
    return data_dir / "deaths" / f"{task.file_stem}.json"
