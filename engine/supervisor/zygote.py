"""The supervisor's end of the zygote: requests for processes, one answer each, whatever happens."""

import asyncio
import collections
import contextlib
import signal
import time
from typing import Final

import msgspec

from engine.model.backoff import Backoff
from engine.model.exit_status import ExitStatus
from engine.supervisor.child import signal_group
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.launch import HeadStart, launch_zygote
from engine.supervisor.log import Log
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.reaper import Reaper
from engine.supervisor.spares import Spares
from engine.wire.channel import Channel
from engine.wire.herder_message import ZygoteSeen
from engine.wire.zygote_message import (  # fmt: skip
    Forked,
    ForkFailed,
    Preload,
    ZygoteReady,
    ZygoteRefused,
    ZygoteToSupervisor,
)

_HANGS_AFTER: Final = 10.0
_LONGEST_PRELOAD: Final = 60.0
_MOST_AT_ONCE: Final = 16


class Zygote:
    """Starts a zygote, keeps one alive, and hands it the requests in order.

    A request that was under way when the zygote died is sent to the next one, unless its process
    was announced: the announcement comes from the process between, which outlives the zygote.

    Attributes:
        restarts: how often it had to be started again.
    """

    def __init__(
        self,
        log: Log,
        reaper: Reaper,
        preload: tuple[str, ...],
        longest_preload: float = _LONGEST_PRELOAD,
        head_start: HeadStart | None = None,
        spares: int = 0,
    ) -> None:
        self._log = log
        self._reaper = reaper
        self._preload = preload
        self._waiting: collections.deque[ForkRequest] = collections.deque()
        self._sent: dict[int, ForkRequest] = {}
        self._channel: Channel[ZygoteToSupervisor] | None = None
        self._is_ready = False
        self._is_held = False
        self._is_preloading = False
        self._failed_preloads = 0
        self._longest_preload = longest_preload
        self._started_at = 0.0
        self._ready_ns = 0
        self._is_closing = False
        self._backoff = Backoff()
        self._first = head_start.zygote if head_start else None
        pipe = head_start.zygote_output if head_start else None
        self._output: LogPipe | None = LogPipe(log, {"process": "zygote"}, None, pipe)
        self._spares = Spares(reaper, spares, self._output.write_fd, self._submit_spare)
        self.pid: int | None = None
        self.restarts = 0

    @property
    def preload(self) -> tuple[str, ...]:
        """What it imports besides its own modules; nothing once that has failed."""
        return self._preload

    @property
    def is_gone(self) -> bool:
        """Whether neither it nor a spare process is left."""
        return self.pid is None and not len(self._spares)

    def start(self) -> None:
        """Execute it; it is asked for nothing before it says that it is ready."""
        assert self._output is not None
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        self._backoff.started(self._started_at)
        first, self._first = self._first, None
        try:
            launched = first or launch_zygote(self._output.write_fd)
        except OSError as error:
            self._log.error("the zygote cannot be started", error=str(error))
            self._start_later()
            return
        self.pid = launched.pid
        self._is_preloading = True
        self._reaper.watch(self.pid, self._exited)
        self._channel = Channel(launched.sock, ZygoteToSupervisor)
        loop.add_reader(launched.sock.fileno(), self._receive)
        with contextlib.suppress(OSError):  # it has ended already, which is noticed
            self._channel.send(Preload(self._preload))

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it can fork."""
        return self._is_ready

    @property
    def seen(self) -> ZygoteSeen | None:
        """What others are told of it; None while it cannot fork."""
        if self.pid is None or not self._is_ready:
            return None
        return ZygoteSeen(self.pid, self._ready_ns)

    @property
    def is_idle(self) -> bool:
        """Whether no process is under way."""
        return not self._sent

    def hold(self, is_held: bool = True) -> None:  # noqa: FBT001, FBT002 (reads as it is meant)
        """Ask for nothing more, or go on asking; what is submitted meanwhile waits."""
        self._is_held = is_held
        self._send_waiting()

    def submit(self, request: ForkRequest) -> None:
        """Ask for a process; a task gets a spare one if there is one."""
        if request.fork.kind == "task" and not self._is_held and self._spares.take(request):
            return
        self._waiting.append(request)
        self._send_waiting()

    def cancel(self, request: ForkRequest) -> None:
        """Nobody wants it any more; it fails at once, unless its process is on its way."""
        request.is_cancelled = True
        if request in self._waiting:
            self._waiting.remove(request)
            # not from here: the caller may be in the middle of a decision
            asyncio.get_running_loop().call_soon(request.on_failed, "cancelled")

    def _send_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._may_send() and self._waiting:
            request = self._waiting.popleft()
            if request.is_cancelled:
                request.on_failed("cancelled")
                continue
            assert self._channel is not None
            request.sent_at = now
            self._sent[request.fork.token] = request
            self._reaper.fork_begins()
            try:
                self._channel.send(request.fork, request.descriptors())
            except OSError:
                self._forget(request.fork.token)
                self._waiting.appendleft(request)
                return

    def _may_send(self) -> bool:
        return self._is_ready and not self._is_held and len(self._sent) < _MOST_AT_ONCE

    def _submit_spare(self, request: ForkRequest) -> bool:
        if not self._may_send() or self._waiting or self._sent:
            return False
        self._waiting.append(request)
        self._send_waiting()
        return True

    # ---- what it says -------------------------------------------------------------------------

    def _forget(self, token: int) -> ForkRequest | None:
        request = self._sent.pop(token, None)
        if request is not None:
            self._reaper.fork_ends()
        return request

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._log.error("the zygote's socket failed", error=str(error))
            received = None
        if received is None:
            self._closed()
            return
        self._hear(received[0])
        self._send_waiting()

    def _hear(self, message: ZygoteToSupervisor) -> None:
        match message:
            case ZygoteReady():
                self._is_ready = True
                self._ready_ns = time.monotonic_ns()
                self._is_preloading = False
                self._failed_preloads = 0
                self._spares.zygote_started()
            case ZygoteRefused(reason):
                self._refused(reason)
            case Forked(token, pid):
                request = self._sent.pop(token, None)
                if request is not None:
                    request.on_forked(pid)  # watches the pid, so it is no orphan from here on
                    self._reaper.fork_ends()
            case ForkFailed(token, reason):
                failed = self._forget(token)
                if failed is not None:
                    failed.on_failed(reason)

    def _refused(self, reason: str) -> None:
        if self._preload:
            self._log.warning("the zygote goes on without what it was to preload", reason=reason)
            self._preload = ()
        else:
            self._log.error("the zygote cannot do its work", reason=reason)

    def _closed(self) -> None:
        """The zygote and every process on its way have let go of the socket."""
        if self._channel is None:
            return
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._is_ready = False
        has_ended = self.pid is None  # asked before forgetting, which may reap it: one start only
        for token in reversed(list(self._sent)):
            request = self._forget(token)
            if request is not None:
                self._waiting.appendleft(request)
        if has_ended:
            self._start_later()

    def _exited(self, status: ExitStatus) -> None:
        self.pid = None
        self._is_ready = False
        if self._output:
            self._output.drain()
        if self._is_closing:
            return
        if self._is_preloading:
            self._preload_failed()
        self._log.warning("the zygote ended; tasks go on without it", status=str(status))
        if self._channel is None:
            self._start_later()

    def _preload_failed(self) -> None:
        """Once may be an accident; twice in a row, it is what the preload does."""
        self._failed_preloads += 1
        if self._preload and self._failed_preloads > 1:
            self._log.warning(
                "the zygote ends in its preload; going on without it", modules=self._preload
            )
            self._preload = ()

    def _start_later(self) -> None:
        if self._is_closing:
            return
        self.restarts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._backoff.delay(loop.time()), self._start_again)

    def _start_again(self) -> None:
        if not self._is_closing:
            self.start()

    def check(self, now: float) -> None:
        """End a zygote that does not answer; called on every tick."""
        oldest = min((r.sent_at for r in self._sent.values()), default=now)
        is_late = self._is_preloading and now - self._started_at > self._longest_preload
        if self.pid is not None and (is_late or now - oldest > _HANGS_AFTER):
            self._log.error("the zygote does not answer; it is killed", pid=self.pid)
            self._failed_preloads += is_late
            self.kill()

    def kill(self) -> None:
        """SIGKILL; tasks and spares do not notice."""
        if self.pid is not None:
            signal_group(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it for good."""
        self._is_closing = True
        self._spares.close()
        self.kill()
        if self._output:
            self._output.close()
            self._output = None
