"""Runs the loop of a task in a thread of the test, and speaks to it as the supervisor would."""

import mmap
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.api.task import SinkTask, SourceTask
from engine.converters.simple_header import SimpleHeaderConverter
from engine.converters.string import StringConverter
from engine.model.error_policy import error_policy
from engine.model.slot import SLOT_BYTES, Slot
from engine.task.runtime import TaskRuntime
from engine.task.sink.loop import WorkerSinkTask
from engine.task.source.loop import WorkerSourceTask
from engine.task.task_plugins import TaskPlugins
from engine.wire.channel import Channel
from engine.wire.task_message import (  # fmt: skip
    PausedChanged,
    Ready,
    Stop,
    SupervisorToTask,
    TargetChanged,
    TaskAssignment,
    TaskCondition,
    TaskToSupervisor,
)

PATIENCE = 30.0


def wait_until(condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        pause.wait(0.01)


def string_plugins(config: Mapping[str, str] | None = None, **changes: Any) -> TaskPlugins:
    key, value = StringConverter(), StringConverter()
    key.configure({}, is_key=True)
    value.configure({}, is_key=False)
    header = SimpleHeaderConverter()
    header.configure({})
    made: dict[str, Any] = {
        "key_converter": key, "value_converter": value, "header_converter": header,
        "errors": error_policy({}, config or {}),
    }  # fmt: skip
    return TaskPlugins(**(made | changes))


class LoopDriver:
    """One process of a task, in a thread."""

    def __init__(
        self,
        data_dir: Path,
        task: SourceTask | SinkTask,
        *,
        worker: Mapping[str, str],
        config: Mapping[str, str],
        plugins: TaskPlugins | None = None,
        generation: int = 1,
        number: int = 0,
        paused: bool = False,
    ) -> None:
        self.slot = Slot(memoryview(mmap.mmap(-1, SLOT_BYTES)))
        self.slot.begin(generation, time.monotonic_ns())
        ours, theirs = Channel.pair()
        self._channel: Channel[TaskToSupervisor] = Channel(ours, TaskToSupervisor)
        ours.settimeout(0.05)
        control: Channel[SupervisorToTask] = Channel(theirs, SupervisorToTask)
        assignment = TaskAssignment(
            connector=config["name"], task=number, type="", worker=dict(worker),
            connector_config=dict(config), config=dict(config), data_dir=str(data_dir),
            start_paused=paused,
        )  # fmt: skip
        self.runtime = TaskRuntime(assignment, generation, self.slot, control)
        made = plugins or string_plugins(config)
        self._control = control
        self._task = task
        self._plugins = made
        self.error: BaseException | None = None
        self.heard: list[TaskToSupervisor] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "LoopDriver":
        self._thread.start()
        return self

    def ready(self) -> "LoopDriver":
        self.hear(lambda m: isinstance(m, Ready))
        return self

    def hear(self, wanted: Callable[[TaskToSupervisor], bool]) -> None:
        """Wait for a message of the task."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if any(wanted(m) for m in self.heard):
                return
            assert time.monotonic() < deadline, f"heard only {self.heard}"
            assert self._thread.is_alive() or self.listen(), f"ended with {self.error!r}"
            self.listen()

    def listen(self) -> bool:
        """Take one message, if there is one."""
        try:
            received = self._channel.receive()
        except (TimeoutError, BlockingIOError):
            return False
        if received is not None:
            self.heard.append(received[0])
        return received is not None

    def listen_all(self) -> None:
        while self.listen():
            pass

    def conditions(self) -> list[str | None]:
        self.listen_all()
        return [m.text for m in self.heard if isinstance(m, TaskCondition)]

    def pause(self, *, paused: bool) -> None:
        self.heard = [m for m in self.heard if not isinstance(m, PausedChanged)]
        self._channel.send(TargetChanged(paused))
        self.hear(lambda m: isinstance(m, PausedChanged) and m.paused is paused)

    def stop(self, *, final: bool = False, timeout: float = PATIENCE) -> None:
        """Stop and expect a good end."""
        if self._thread.is_alive():
            self._channel.send(Stop(final))
        self.join(timeout)
        if self.error is not None:
            raise self.error

    def join(self, timeout: float = PATIENCE) -> None:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"still at {self.slot.stage}"
        self.listen_all()
        self._channel.close()
        self._control.close()

    def failed(self, kind: type[BaseException]) -> str:
        """Wait for the end by an error of this kind; its text."""
        self.join()
        assert isinstance(self.error, kind), repr(self.error)
        return str(self.error)

    def _run(self) -> None:
        try:
            if isinstance(self._task, SourceTask):
                WorkerSourceTask(self.runtime, self._task, self._plugins).run()
            else:
                WorkerSinkTask(self.runtime, self._task, self._plugins).run()
        except Exception as error:  # noqa: BLE001 (the test judges it)
            self.error = error
