"""Becoming a supervisor: lock the data directory, bind the port, run."""

import asyncio
import faulthandler
import gc
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.model.service import Service
from engine.supervisor.child import HANDOVER
from engine.supervisor.instance import Instance
from engine.supervisor.launch import HeadStart, start_both
from engine.supervisor.listener import listen
from engine.supervisor.log import log_to_stdout
from engine.supervisor.parent import become_parent, keep_descriptors_to_ourselves
from engine.supervisor.settings import Settings
from engine.supervisor.supervisor import Supervisor
from engine.wire.prctl import become_subreaper

if TYPE_CHECKING:  # not in a start of the whole, which is to be quick
    from engine.supervisor.handover import Handover


class PortTakenError(Exception):
    """The REST API's address cannot be bound; the text says which and why."""


def run(
    settings: Settings, services: Sequence[Service] = (), head_start: HeadStart | None = None
) -> int:
    """Supervise until told to stop; the exit code.

    Args:
        settings: see there.
        services: programs to run beside the tasks.
        head_start: the first zygote and herder, where they are on their way.

    Raises:
        DataDirError: the data directory cannot be used, or another engine uses it.
        PortTakenError: somebody else listens on the REST API's port.
        HandoverError: another engine has left what this one cannot take over.
    """
    faulthandler.enable(2)  # systemd's watchdog sends SIGABRT: what was the loop at?
    if HANDOVER in os.environ:
        keep_descriptors_to_ourselves()
        return _go_on(settings, services)
    become_parent()
    instance = Instance(settings.data_dir)
    listener = _listen(settings)
    become_subreaper()
    if head_start is None:
        head_start = start_both(settings.herder_argv, settings.boot_fd)
    return _supervise(settings, instance, listener, services, head_start)


def _go_on(settings: Settings, services: Sequence[Service]) -> int:
    """Take over what another engine has left in this process, or say whether we could."""
    from engine.supervisor.handover import received  # noqa: PLC0415 (not in a start of the whole)
    from engine.supervisor.upgrade_check import check  # noqa: PLC0415 (the same)

    handed, is_check = received()
    if is_check:
        return check(handed, settings)
    instance = Instance(settings.data_dir, (handed.lock_fd, handed.epoch))
    listener = socket.socket(fileno=handed.listener_fd)
    head_start = start_both(settings.herder_argv, settings.boot_fd)
    return _supervise(settings, instance, listener, services, head_start, handed)


def _listen(settings: Settings) -> socket.socket:
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
    listener: socket.socket,
    services: Sequence[Service],
    head_start: HeadStart,
    handed: "Handover | None" = None,
) -> int:
    head_start.is_taken = True
    log = log_to_stdout(settings.log_format, settings.log_level, settings.output)

    async def supervise() -> int:
        gc.freeze()
        gc.enable()
        supervisor = Supervisor(settings, log, instance, listener, services, head_start)
        return await supervisor.run(handed)

    return asyncio.run(supervise())
