"""What tests of upgrades share: versions that are new or broken, and records that flow."""

import threading
from pathlib import Path
from typing import Any, Self

from tests.system.running_engine import RunningEngine, wait_for

NEW_VERSION = ("engine/__init__.py", '__version__ = "', '__version__ = "9')
UP_TO_THE_LAST = (
    "engine/supervisor/succession.py",
    "        handover.forget()\n",
    "        1 / 0\n",
)
BROKEN_TASKS = ("engine/task/bootstrap.py", "import mmap\n", "import nmap\n")
BROKEN_HERDER = (
    "engine/cli/herder_process.py",
    "    socket_fd, boot_fd = map(int, argv)\n",
    "    raise SystemExit(9)\n",
)


def upgrade(engine: RunningEngine) -> dict[str, Any]:
    """Order one; what the worker says when it is over."""
    asked = engine.ask("/engine/upgrade", "POST")
    assert asked.status == 202, asked

    def look() -> dict[str, Any] | None:
        worker: dict[str, Any] = engine.ask("/engine/worker").body
        state = worker["upgrade"]
        is_over = state["attempts"] == asked.body["attempt"] and not state["is_running"]
        return worker if is_over else None

    return wait_for(look, 60) or {}


def counters(engine: RunningEngine) -> tuple[int, int]:
    """Records that went in and out so far."""
    tasks = [engine.task(name)["counters"] for name in ("source", "sink")]
    return tasks[0]["records_in"], tasks[1]["records_out"]


class Writer:
    """Appends numbered lines, some thousands a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.finish()

    def _write(self) -> None:
        with self._path.open("a") as file:
            while not self._is_over.wait(0.005):
                file.write("".join(f"{self._lines + n}\n" for n in range(20)))
                file.flush()
                self._lines += 20

    def finish(self) -> int:
        """Stop; how many lines there are."""
        self._is_over.set()
        self._thread.join()
        return self._lines
