"""From a fresh fork to a running task, and from its end to an exit code."""

import faulthandler
import mmap
import os
import signal
import socket
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.api.connector import Connector
from engine.api.errors import (
    AuthenticationError,
    ConfigError,
    DataError,
    RetriableError,
    ToleranceExceededError,
)  # fmt: skip
from engine.api.task import SinkTask, SourceTask
from engine.model.exit_status import (
    EXIT_AUTHENTICATION,
    EXIT_BAD_RECORD,
    EXIT_CONFIG,
    EXIT_OK,
    EXIT_OUT_OF_MEMORY,
    EXIT_SOFTWARE,
    EXIT_TERMINATED,
    EXIT_TRANSIENT,
    EXIT_UNAVAILABLE,
)  # fmt: skip
from engine.model.limit_config import limits
from engine.model.log_config import log_level
from engine.model.loop_config import loop_config
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from engine.plugins.config_transformer import ConfigTransformer
from engine.plugins.registry import MissingPluginError, Plugins
from engine.task import plan as planning
from engine.task.confinement import join, limit
from engine.task.lock import TaskLock
from engine.task.runtime import TaskRuntime
from engine.task.sink.loop import WorkerSinkTask
from engine.task.source.loop import WorkerSourceTask
from engine.task.task_plugins import TaskPlugins
from engine.wire import log_sequence
from engine.wire.channel import Channel
from engine.wire.sealed import unseal
from engine.wire.task_message import Failing, SupervisorToTask, TaskAssignment
from engine.wire.zygote_message import Confinement, Fork

_LOCK_PATIENCE: Final = 10.0

_EXIT_CODES: Final[Sequence[tuple[type[BaseException], int]]] = (
    (MissingPluginError, EXIT_UNAVAILABLE),
    (ConfigError, EXIT_CONFIG),
    (AuthenticationError, EXIT_AUTHENTICATION),
    (ToleranceExceededError, EXIT_BAD_RECORD),
    (DataError, EXIT_BAD_RECORD),
    (RetriableError, EXIT_TRANSIENT),
    (MemoryError, EXIT_OUT_OF_MEMORY),
)


def main(fork: Fork, descriptors: Sequence[int]) -> int:
    """Run a task; the process's exit code."""
    control_fd, config_fd, slot_fd = descriptors
    # stacks go where they outlive us; SIGQUIT asks for them, as it does of Java's programs
    faulthandler.enable(file=slot_fd, all_threads=True)
    faulthandler.register(signal.SIGQUIT, file=slot_fd, all_threads=True)
    control: Channel[SupervisorToTask] = Channel(socket.socket(fileno=control_fd), SupervisorToTask)
    slot = Slot(memoryview(mmap.mmap(slot_fd, SLOT_BYTES)))
    runtime = TaskRuntime(unseal(config_fd, TaskAssignment), fork.generation, slot, control)
    try:
        _run(runtime, fork.confinement)
    except Exception as error:  # noqa: BLE001 (the border of the process: everything is told)
        _tell(control, runtime, error)
        return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_SOFTWARE)
    return EXIT_TERMINATED if runtime.was_told_from_outside() else EXIT_OK


def plan(_fork: Fork, descriptors: Sequence[int]) -> int:
    """Run a plan child; its exit code."""
    return planning.main(*descriptors)


def _run(runtime: TaskRuntime, confinement: Confinement) -> None:
    join(confinement)
    plugins = Plugins()
    resolve(runtime, plugins)
    assignment = runtime.assignment
    runtime.handle_signals(loop_config(assignment.worker, runtime.config).stop_within)
    limit(limits(assignment.worker, runtime.config), confinement)
    log_sequence.configure(
        log_level(assignment.worker, assignment.connector_config),
        connector=assignment.connector,
        task=assignment.task,
    )
    log_sequence.hide(runtime.secrets)
    runtime.take_orders()  # levels that were set while the engine runs
    runtime.slot.enter("init", time.monotonic_ns())
    TaskLock(assignment.data_dir, TaskId(assignment.connector, assignment.task)).acquire(
        _LOCK_PATIENCE
    )
    worker_task(runtime, plugins).run()


def resolve(runtime: TaskRuntime, plugins: Plugins) -> None:
    """Put values in the place of the assignment's placeholders; this process alone sees them."""
    assignment = runtime.assignment
    transformer = ConfigTransformer(plugins, assignment.worker, runtime.secrets)
    for config in (assignment.worker, assignment.connector_config, assignment.config):
        runtime.secrets.add_config(config)
    runtime.assignment = assignment = msgspec.structs.replace(
        assignment,
        worker=transformer.resolve(assignment.worker),
        connector_config=transformer.resolve(assignment.connector_config),
        config=transformer.resolve(assignment.config),
    )
    runtime.config, runtime.task_config = assignment.connector_config, assignment.config


def worker_task(runtime: TaskRuntime, plugins: Plugins) -> WorkerSourceTask | WorkerSinkTask:
    """The loop around a new instance of the connector's task; nothing is opened yet.

    Raises:
        ConfigError: the configuration cannot work.
    """
    connector: Connector = plugins.find("connector", runtime.config["connector.class"])()
    runtime.secrets.add_config(runtime.config, connector.config())
    task: Any = connector.task_class()()
    task_plugins = TaskPlugins.make(plugins, runtime.config, runtime.assignment.worker)
    if isinstance(task, SourceTask):
        return WorkerSourceTask(runtime, task, task_plugins)
    if isinstance(task, SinkTask):
        return WorkerSinkTask(runtime, task, task_plugins)
    raise ConfigError(f"{type(task).__name__} is neither a SourceTask nor a SinkTask")


def _tell(control: "Channel[SupervisorToTask]", runtime: TaskRuntime, error: BaseException) -> None:
    """Last words: why this process is going to end."""
    hide = runtime.secrets.hide
    summary = hide(f"{type(error).__name__}: {error}")
    trace = hide("".join(traceback.format_exception(error)))
    stage, in_hand = runtime.failed_at or (runtime.slot.stage, None)
    words = Failing(runtime.generation, summary, trace, stage, in_hand).shortened()
    control.sock.setblocking(True)
    control.sock.settimeout(1.0)
    try:
        control.send(words)
    except OSError:
        os.write(2, trace.encode("utf-8", "backslashreplace"))
