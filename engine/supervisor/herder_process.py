"""The herder as the supervisor sees it: a program that may die, and a socket that it talks over."""

import asyncio
import collections
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from engine.model.backoff import Backoff
from engine.model.exit_status import ExitStatus
from engine.supervisor.child import signal_group
from engine.supervisor.launch import HeadStart, launch_herder
from engine.supervisor.log import Log
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.reaper import Reaper
from engine.supervisor.room import Room
from engine.supervisor.settings import Settings
from engine.wire.channel import Channel, UnsendableError
from engine.wire.herder_message import HerderToSupervisor, TaskEvent
from engine.wire.outbox import Outbox

_MOST_WAITING: Final = 20_000

OnMessage = Callable[[HerderToSupervisor, list[int]], None]


class HerderProcess:
    """Keeps a herder alive and tells it everything.

    Events that were not acknowledged are kept and sent again to the next herder. What cannot be
    sent now waits; more than ``_MOST_WAITING`` messages mean that the herder does not read, and it
    is killed.

    Attributes:
        restarts: how often it had to be started again.
        is_ready: it has told what it wants and its REST API answers.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        reaper: Reaper,
        room: Room,
        head_start: HeadStart | None = None,
    ) -> None:
        self._room = room
        self._settings = settings
        self._log = log
        self._reaper = reaper
        self._channel: Channel[HerderToSupervisor] | None = None
        self._outbox: Outbox | None = None
        self._unacknowledged: collections.deque[TaskEvent] = collections.deque(maxlen=_MOST_WAITING)
        self._first = head_start.herder if head_start else None
        pipe = head_start.herder_output if head_start else None
        path = settings.data_dir / "logs" / "herder.log"
        self._output = LogPipe(log, {"process": "herder"}, path, pipe)
        self._backoff = Backoff()
        self._is_closing = False
        self._on_message: OnMessage = lambda _message, _descriptors: None
        self._on_connected: Callable[[], None] = lambda: None
        self._on_refused: Callable[[int], None] | None = None
        self.pid: int | None = None
        self.restarts = 0
        self.is_ready = False

    def start(
        self,
        on_connected: Callable[[], None],
        on_message: OnMessage,
        on_refused: Callable[[int], None] | None,
    ) -> None:
        """Execute a herder, now and whenever it ends.

        Args:
            on_connected: called for every new herder, to greet it.
            on_message: called for everything it says, with descriptors that the callee owns.
            on_refused: called when the first herder ends before it was ready: with its exit code;
                None to try again even then.
        """
        self._on_connected = on_connected
        self._on_message = on_message
        self._on_refused = on_refused
        self._execute()

    def _execute(self) -> None:
        loop = asyncio.get_running_loop()
        self._backoff.started(loop.time())
        self.is_ready = False
        first, self._first = self._first, None
        try:
            launched = first or launch_herder(
                self._output.write_fd, self._settings.herder_argv, self._settings.boot_fd
            )
        except OSError as error:
            self._log.error("the herder cannot be started", error=str(error))
            self._execute_later()
            return
        self.pid = launched.pid
        self._reaper.watch(self.pid, self._exited, kills_group=True)
        self._channel = Channel(launched.sock, HerderToSupervisor)
        self._outbox = Outbox(self._channel, self._lost, lambda: None)  # the reader hears the end
        loop.add_reader(launched.sock.fileno(), self._receive)
        self._on_connected()
        for event in self._unacknowledged:
            self._send(event)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Say something; an event is kept until it is acknowledged."""
        if isinstance(message, TaskEvent):
            self._unacknowledged.append(message)
        self._send(message, descriptors)

    def _send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        if self._outbox is None:
            return
        self._outbox.send(message, [os.dup(fd) for fd in descriptors])
        if len(self._outbox) > _MOST_WAITING:
            self._log.error("the herder does not read; it is killed", pid=self.pid)
            self.kill()

    def _lost(self, error: UnsendableError) -> None:
        self._log.error("a message to the herder is lost", error=str(error))

    def acknowledged(self, seq: int) -> None:
        """Events up to this one need not be told again."""
        while self._unacknowledged and self._unacknowledged[0].seq <= seq:
            self._unacknowledged.popleft()

    def _receive(self) -> bool:
        """Take one message; whether there may be more."""
        if self._channel is None:
            return False
        try:
            with self._room.reserve_used():
                received = self._channel.receive()
        except BlockingIOError:
            return False
        except (OSError, msgspec.MsgspecError) as error:
            self._log.error("the herder spoke nonsense; it is killed", error=str(error))
            self.kill()
            received = None
        if received is None:
            self._disconnect()
            return False
        self._on_message(*received)
        return True

    def _disconnect(self) -> None:
        if self._channel is None or self._outbox is None:
            return
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._outbox.close()
        self._channel.close()
        self._channel = self._outbox = None

    def _exited(self, status: ExitStatus) -> None:
        was_ready, self.is_ready = self.is_ready, False
        self.pid = None
        while self._receive():
            pass  # its last words
        self._disconnect()
        self._output.drain()
        if self._is_closing:
            return
        on_refused, self._on_refused = self._on_refused, None
        if on_refused is not None and not was_ready and status.code is not None:
            on_refused(status.code)
            return
        self._log.warning("the herder ended; tasks go on without it", status=str(status))
        self._execute_later()

    def _execute_later(self) -> None:
        self.restarts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._backoff.delay(loop.time()), self._execute_again)

    def _execute_again(self) -> None:
        if not self._is_closing:
            self._execute()

    @property
    def unacknowledged(self) -> tuple[TaskEvent, ...]:
        """Events that nobody has stored yet."""
        return tuple(self._unacknowledged)

    def remember(self, events: Iterable[TaskEvent]) -> None:
        """Events that an earlier supervisor could not get stored; called before the start."""
        self._unacknowledged.extend(events)

    def come_back(self) -> None:
        """After :meth:`close_socket`, all the same: a new herder is wanted."""
        self._is_closing = False
        if self.pid is None:
            self._execute()

    def close_socket(self) -> None:
        """The end: a herder whose socket is closed finishes its answers and exits."""
        self._is_closing = True
        self._disconnect()

    def kill(self) -> None:
        """SIGKILL."""
        if self.pid is not None:
            signal_group(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give everything back; the herder has ended."""
        self._output.close()
