"""An engine whose tasks are made to fail, and the promises that must hold after every fault."""

import contextlib
import fcntl
import os
import re
import signal
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.system.running_engine import RunningEngine, free_port, wait_for

PLUGINS = Path(__file__).parents[1] / "plugins"

WORKER: Mapping[str, object] = {
    "engine.restart.delay.ms": 100,
    "engine.restart.delay.max.ms": 400,
    "engine.restart.max": 1000,
    "engine.heartbeat.timeout.ms": 2500,
    "engine.start.timeout.ms": 20000,
    "task.shutdown.graceful.timeout.ms": 2000,
    "engine.log.format": "json",
}


class SupervisedEngine(RunningEngine):
    """A worker without a broker, whose connectors misbehave on demand."""

    def __init__(
        self,
        directory: Path,
        worker: Mapping[str, object] | None = None,
        connectors: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.orders = directory / "orders"
        self.orders.mkdir(exist_ok=True)
        broker = {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
        made = {name: self.config(**config) for name, config in (connectors or {}).items()}
        super().__init__(directory, {**WORKER, **broker, **(worker or {})}, made)

    def config(self, **keys: object) -> dict[str, object]:
        """The configuration of a misbehaving connector; underscores stand for dots."""
        return {
            "connector.class": "misbehaving.MisbehavingConnector",
            "tasks.max": 1,
            "orders.dir": self.orders,
            **{key.replace("_", "."): value for key, value in keys.items()},
        }

    def start(self, **options: Any) -> None:
        """Execute it with the plugins of these tests."""
        super().start(**{"env": {**os.environ, "PYTHONPATH": str(PLUGINS)}, **options})

    # ---- connectors

    def create(self, name: str, **keys: object) -> None:
        """Make a connector, or change it."""
        config = {key: str(value) for key, value in self.config(**keys).items()}
        answer = self.ask(f"/connectors/{name}/config", "PUT", config)
        assert answer.status in (200, 201), answer

    def delete(self, name: str) -> None:
        """Remove a connector and wait until no process of it is left."""
        answer = self.ask(f"/connectors/{name}", "DELETE")
        assert answer.status in (204, 404), answer
        wait_for(lambda: not self.tasks(name))

    def order(self, task: str, what: str) -> None:
        """Have a task do something once."""
        draft = self.orders / f".{task}"
        draft.write_text(what)
        draft.rename(self.orders / task)

    def is_taken(self, task: str) -> bool:
        """Whether the order was read."""
        return not (self.orders / task).exists()

    def put(self, path: str) -> None:
        """PUT without a body."""
        answer = self.ask(path, "PUT")
        assert answer.status in (202, 204), answer

    # ---- tasks

    def tasks(self, name: str | None = None) -> list[dict[str, Any]]:
        """What ``/engine/tasks`` says, of one connector or of all."""
        answer = self.ask("/engine/tasks")
        assert answer.status == 200, answer
        return [t for t in answer.body if name in (None, t["id"]["connector"])]

    def wait_state(self, name: str, condition: str, number: int = 0) -> dict[str, Any]:
        """Wait until a task is in this condition."""
        return wait_for(lambda: self._in(name, number, condition)) or {}

    def _in(self, name: str, number: int, condition: str) -> dict[str, Any] | None:
        task = self.task(name, number)
        return task if task["condition"] == condition else None

    def wait_anew(self, name: str, old: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
        """Wait until another process than before is RUNNING."""

        def look() -> dict[str, Any] | None:
            task = self._in(name, number, "RUNNING")
            return task if task and task["generation"] > old["generation"] else None

        return wait_for(look) or {}

    # ---- what must hold

    def check_promises(self) -> None:
        """Whatever happened: answers come, and each running task has exactly one process."""
        began = time.monotonic()
        assert self.ask("/engine/worker").status == 200
        tasks = self.tasks()
        metrics = self.ask("/metrics")
        assert metrics.status == 200
        assert "engine_task_state{" in metrics.body or not tasks
        assert time.monotonic() - began < 5
        processes = self.task_processes()
        for each in tasks:
            if each["condition"] == "RUNNING":
                self._check_one_process(each, processes)
        assert zombies_of(self.process.pid) == []

    def task_processes(self) -> dict[str, list[int]]:
        """Live processes by the task that they say they are."""
        found: dict[str, list[int]] = {}
        for pid in children_of(self.process.pid):
            _, _, task = command_of(pid).rstrip("\0 ").partition("engine: task ")
            if task and is_alive(pid):
                found.setdefault(task, []).append(pid)
        return found

    def _check_one_process(
        self, task: Mapping[str, Any], processes: Mapping[str, list[int]]
    ) -> None:
        name = f"{task['id']['connector']}-{task['id']['task']}"
        pid = task["pid"]
        assert processes[name] == [pid]
        lock = self.data_dir / "tasks" / f"{name}.lock"
        assert int(lock.read_text()) == pid
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        raise AssertionError(f"{name} runs without its lock")

    def footprint(self) -> dict[str, int]:
        """What the supervisor holds and the metrics show, as numbers that must not grow."""
        pid = self.process.pid
        body = self.ask("/metrics").body
        return {
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task")),
            "zombies": len(zombies_of(pid)),
            "children": len([p for p in children_of(pid) if not is_short_lived(p)]),
            "files": sum(1 for path in self.data_dir.rglob("*") if path.is_file()),
            "series": len([line for line in body.splitlines() if not line.startswith("#")]),
            "groups": len(self.groups()),
        }

    def series_of_connectors(self) -> list[str]:
        """Lines of the metrics that tell of a connector."""
        return [line for line in self.ask("/metrics").body.splitlines() if 'connector="' in line]

    def groups(self) -> list[Path]:
        """Control groups that were made for tasks of this engine."""
        name = f"engine-{zlib.crc32(os.fsencode(self.data_dir)):08x}"
        return list(Path("/sys/fs/cgroup").rglob(f"{name}/*/"))

    def check_end(self) -> None:
        """It ends in good order, if it has not ended before; then nothing of it is left."""
        if self.process.poll() is None:
            self.check_promises()
            assert self.stop() == 0
        wait_for(lambda: self.survivors() == [])
        assert self.groups() == []

    def texts(self) -> list[str]:
        """The sentences of the service's log so far."""
        return [str(line.get("event")) for line in self.log()]


def stat_of(pid: int) -> list[str]:
    """State, parent and so on (``proc(5)``); empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    return stat_of(pid)[:1] not in ([], ["Z"], ["X"])


def all_pids() -> list[int]:
    """Every process of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children_of(pid: int) -> list[int]:
    """Children, dead ones included."""
    return [each for each in all_pids() if stat_of(each)[1:2] == [str(pid)]]


def zombies_of(pid: int, patience: float = 2.0) -> list[int]:
    """Children that ended and are not reaped within the time."""
    seen = {each for each in children_of(pid) if stat_of(each)[:1] == ["Z"]}
    deadline = time.monotonic() + patience
    while seen and time.monotonic() < deadline:
        seen = {each for each in seen if stat_of(each)[:2] == ["Z", str(pid)]}
    return sorted(seen)


def command_of(pid: int) -> str:
    """The command line, as text."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


def is_short_lived(pid: int) -> bool:
    """Whether this is a child that runs a connector's code for the herder."""
    command = command_of(pid)
    return command.startswith("engine: ") and not command.startswith(
        ("engine: task ", "engine: zygote")
    )


def pid_in(path: Path) -> int:
    """The number in a file, once it is there."""
    text = wait_for(lambda: path.exists() and path.read_text())
    return int(str(text))


def open_files(pid: int) -> list[str]:
    """What a process has open, as paths; nothing when it is gone."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal one process that the test knows."""
    assert pid > 1
    os.kill(pid, number)


def memory_map(pid: int) -> str:
    """The files that a process has mapped."""
    return "\n".join(
        sorted(set(re.findall(r"(/\S+)$", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE)))
    )
