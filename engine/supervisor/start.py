"""Becoming a supervisor: lock the data directory, bind the port, execute, run.

The zygote and the herder are executed before asyncio and most of this package are imported, which
takes as long as theirs: all three get ready at the same time.
"""

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from engine.model.service import Service
from engine.supervisor.child import HANDOVER
from engine.supervisor.instance import Instance
from engine.supervisor.launch import HeadStart, give_head_start
from engine.supervisor.listener import listen
from engine.supervisor.log import log_to_stdout
from engine.supervisor.settings import Settings
from engine.wire.prctl import become_subreaper

if TYPE_CHECKING:  # not in a start of the whole, which is to be quick
    from engine.supervisor.handover import Handover

_MOST_DESCRIPTORS: Final = 1 << 20


class PortTakenError(Exception):
    """The REST API's address cannot be bound; the text says which and why."""


def run(settings: Settings, services: Sequence[Service] = ()) -> int:
    """Supervise until told to stop; the exit code.

    Raises:
        DataDirError: the data directory cannot be used, or another engine uses it.
        PortTakenError: somebody else listens on the REST API's port.
        HandoverError: another engine has left what this one cannot take over.
    """
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: what was the loop at?
    _keep_descriptors_to_ourselves()
    if HANDOVER in os.environ:
        return _go_on(settings, services)
    _allow_many_descriptors()
    instance = Instance(settings.data_dir)
    listener = _listen(settings)
    become_subreaper()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would lose statuses
    head_start = give_head_start(settings) if settings.herder_argv else None
    return _supervise(settings, instance, listener, services, head_start)


def _go_on(settings: Settings, services: Sequence[Service]) -> int:
    """Take over what another engine has left in this process, or say whether we could."""
    from engine.supervisor.handover import received  # noqa: PLC0415 (not in a start of the whole)
    from engine.supervisor.upgrade_check import check  # noqa: PLC0415 (the same)

    handed, is_check = received()
    if is_check:
        return check(handed, settings)
    instance = Instance(settings.data_dir, (handed.lock_fd, handed.epoch))
    listener = socket.socket(fileno=handed.listener_fd) if handed.listener_fd >= 0 else None
    head_start = give_head_start(settings)
    return _supervise(settings, instance, listener, services, head_start, handed)


def _listen(settings: Settings) -> socket.socket | None:
    if settings.port is None:
        return None
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {settings.host or '*'}:{settings.port}: "
            f"{error.strerror or error}; choose another with listeners=http://HOST:PORT"
        ) from error


def _supervise(
    settings: Settings,
    instance: Instance,
    listener: socket.socket | None,
    services: Sequence[Service],
    head_start: HeadStart | None,
    handed: "Handover | None" = None,
) -> int:
    import asyncio  # noqa: PLC0415 (after the head start)

    from engine.supervisor.supervisor import Supervisor  # noqa: PLC0415 (after the head start)

    log = log_to_stdout(settings.log_format, settings.log_level, settings.output)

    async def supervise() -> int:
        gc.freeze()
        supervisor = Supervisor(settings, log, instance, listener, services, head_start)
        return await supervisor.run(handed)

    return asyncio.run(supervise())


def _allow_many_descriptors() -> None:
    """Eight descriptors a task: the usual soft limit of 1024 would do for some 120 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _keep_descriptors_to_ourselves() -> None:
    """What a launcher left open, such as a lock of its own, is no business of our children."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists them is gone
            os.set_inheritable(int(name), int(name) <= 2)
