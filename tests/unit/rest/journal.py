"""A journal on disk, and last outputs beside it, for tests of who reads them."""

import json
from pathlib import Path

import msgspec

from engine.model.death import Death
from engine.model.last_output import LastOutput, output_file
from engine.model.task_id import TaskId

DEATH = Death(
    7, "crash", "ValueError: boom (exit code 70)", "BACKOFF", 1_700_000_000_000, retry_in=2.0,
    exit_code=70, stage="poll", error="ValueError: boom", traceback="Traceback …",
)  # fmt: skip


def event(name: str, task: TaskId | None = None, **fields: object) -> dict[str, object]:
    """One event; only its number tells it from others of its kind."""
    whose = {} if task is None else {"connector": task.connector, "task": task.task}
    head = {"timestamp": "2026-11-21T10:00:00.123Z", "epoch": 1, "event": name}
    return {**head, **whose, "by": "supervisor", **fields}


def write_journal(data_dir: Path, *events: dict[str, object]) -> Path:
    """The journal's file with these events behind those that it has."""
    path = data_dir / "journal" / "events.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in events)
    return path


def ended(task: TaskId, death: Death = DEATH) -> dict[str, object]:
    """A death as the journal tells it."""
    shown = msgspec.to_builtins(death)
    why = shown.pop("reason")
    return event("exited", task, generation=shown.pop("generation"), why=why, death=shown)


def write_output(data_dir: Path, task: TaskId, output: str, death: Death = DEATH) -> None:
    """What the process wrote last."""
    path = output_file(data_dir, task)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(LastOutput(death.generation, death.ended_ms, output)))
