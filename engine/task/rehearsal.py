"""What every task does before its first record, done once in the zygote.

After a fork, a page that is written to is a page of the process's own. A rehearsal fills the caches
and specialises the code that every task would otherwise write to by itself, and the holes that
imports left in the allocators' pages are filled, so that what a task allocates lies together.
"""

import ctypes
import os
import socket
from typing import Final

from engine.model.limit_config import limits
from engine.model.log_config import log_level
from engine.model.loop_config import loop_config
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from engine.plugins.registry import Plugins
from engine.task.bootstrap import resolve, worker_task
from engine.task.lock import TaskLock
from engine.task.runtime import TaskRuntime
from engine.wire.channel import Channel
from engine.wire.sealed import seal, unseal
from engine.wire.task_message import SupervisorToTask, TaskAssignment

_TIMES: Final = 10
"""CPython specialises a function when it has run about eight times."""

_STRING: Final = "org.apache.kafka.connect.storage.StringConverter"
_WORKER: Final = {
    "bootstrap.servers": "localhost:9092",
    "key.converter": _STRING,
    "value.converter": _STRING,
}
_CONNECTORS: Final = (
    {"name": "r", "connector.class": "FileStreamSource", "file": "r", "topic": "r"},
    {"name": "r", "connector.class": "FileStreamSink", "file": "r", "topics": "r"},
)

_ALIGNMENT: Final = 16
_LARGEST_SMALL: Final = 512
_POOL: Final = 16 * 1024
_BYTES_HEADER: Final = 33
_MOST: Final = 4000
_HEAP_SHARE: Final = 24 * 1024


def rehearse() -> None:
    """Go through a task's start up to where it would open files, sockets and clients."""
    for config in _CONNECTORS:
        for _ in range(_TIMES):
            _start(dict(config))


def _start(config: dict[str, str]) -> None:
    ours, theirs = socket.socketpair()
    sealed = seal(
        TaskAssignment(config["name"], 0, "source", _WORKER, config, config, os.devnull), "r"
    )
    slot = Slot(memoryview(bytearray(SLOT_BYTES)))
    channel: Channel[SupervisorToTask] = Channel(ours, SupervisorToTask)
    runtime = TaskRuntime(unseal(sealed, TaskAssignment), 1, slot, channel)
    plugins = Plugins()
    resolve(runtime, plugins)
    loop_config(_WORKER, config)
    limits(_WORKER, config)
    log_level(_WORKER, config)
    TaskLock(os.devnull, TaskId(config["name"], 0))
    worker_task(runtime, plugins)
    runtime.beat()
    os.close(sealed)
    runtime.take_orders()
    ours.close()
    theirs.close()


def fill_holes() -> list[object]:
    """Take the free blocks between what is in use; they are given back when the list goes.

    Of each size until the allocator has to begin a fresh pool, which shows in a run of neighbours.
    """
    taken: list[object] = []
    for size in range(_ALIGNMENT * 3, _LARGEST_SMALL + 1, _ALIGNMENT):
        run = previous = 0
        for _ in range(_MOST):
            block = bytes(size - _BYTES_HEADER - 1)
            taken.append(block)
            run = run + 1 if id(block) - previous == size else 0
            previous = id(block)
            if run >= _POOL // size - 3:
                break
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.malloc.restype = ctypes.c_void_p
    for size in range(1008, 0, -_ALIGNMENT):
        for _ in range(_HEAP_SHARE // size):
            libc.malloc(size)  # never freed: this process lives as long as the service
    return taken
