"""A program beside the tasks, such as an embedded broker: kept alive, ended last."""

import asyncio
import os
import signal
from pathlib import Path

from engine.model.backoff import Backoff
from engine.model.exit_status import ExitStatus
from engine.model.service import Service
from engine.supervisor.child import Program, signal_group
from engine.supervisor.log import Log
from engine.supervisor.reaper import Reaper
from engine.wire.prctl import dying_with_parent


class ServiceProcess:
    """Starts a service and starts it again whenever it ends.

    Attributes:
        service: how it is started.
        pid: None while it does not run.
        restarts: how often it was started again.
    """

    def __init__(self, service: Service, data_dir: Path, log: Log, reaper: Reaper) -> None:
        self.service = service
        self._output = data_dir / "logs" / f"{service.log_name}.log"
        self._log = log
        self._reaper = reaper
        self._backoff = Backoff(first=1.0)
        self._is_closing = False
        self.pid: int | None = None
        self.restarts = 0

    def start(self) -> None:
        """Execute it; its output goes to a file of its own.

        Raises:
            OSError: it cannot be executed.
        """
        service = self.service
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(self._output, flags, 0o640)
        argv = dying_with_parent(["/usr/bin/env", "-C", str(service.cwd), *service.argv])
        self._backoff.started(asyncio.get_running_loop().time())
        try:
            self.pid = Program(argv, {1: output, 2: output}, environment=service.env).spawn()
        finally:
            os.close(output)
        self._reaper.watch(self.pid, self._exited, kills_group=True)
        self._log.info("service started", service=service.name, pid=self.pid)

    def take_over(self, pid: int | None) -> None:
        """Watch what another supervisor in this process has started, or start it."""
        if pid is None:
            self._start_later()
            return
        self.pid = pid
        self._backoff.started(asyncio.get_running_loop().time())
        self._reaper.watch(pid, self._exited, kills_group=True)

    def _exited(self, status: ExitStatus) -> None:
        self.pid = None
        if self._is_closing:
            return
        self._log.error(
            "a service ended; it is started again",
            service=self.service.name,
            status=str(status),
            output=str(self._output),
        )
        self._start_later()

    def _start_later(self) -> None:
        self.restarts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._backoff.delay(loop.time()), self._start_again)

    def _start_again(self) -> None:
        if self._is_closing:
            return
        try:
            self.start()
        except OSError as error:
            self._log.error("a service cannot be started", error=str(error))
            self._start_later()

    def terminate(self) -> None:
        """Ask it to end, for good."""
        self._is_closing = True
        if self.pid is not None:
            signal_group(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it without asking."""
        if self.pid is not None:
            signal_group(self.pid, signal.SIGKILL)
