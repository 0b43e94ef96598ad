"""The process of a task, from the request for it until nothing of it is left."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from engine.model.exit_status import ExitStatus
from engine.supervisor.cgroups import TaskGroup
from engine.supervisor.child import signal_group
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.handover import ProcessHandover
from engine.supervisor.log import Log
from engine.supervisor.reaper import Reaper
from engine.supervisor.standard_stream import open_stream
from engine.supervisor.strays import kill_strays
from engine.supervisor.zygote import Zygote
from engine.wire.channel import Channel
from engine.wire.task_message import Stop, StreamGiven, TaskToSupervisor
from engine.wire.zygote_message import Confinement, Fork

_SWEEP_AGAIN: Final = 0.02
_SWEEPS_MOST: Final = 100
_FREE: Final = Confinement()


class Makers(Protocol):
    """What a process is made and watched with."""

    log: Log
    reaper: Reaper
    zygote: Zygote

    def next_token(self) -> int:
        """A number that names a request."""


class Listeners(msgspec.Struct, frozen=True):
    """Who hears of a process.

    Attributes:
        on_forked: its birth is announced.
        on_message: it said something.
        on_swept: it is gone, and so is everything that it started: generation and status, which is
            None, with the reason, when it was never made.
    """

    on_forked: Callable[[], None]
    on_message: Callable[[TaskToSupervisor], None]
    on_swept: Callable[[int, ExitStatus | None, str], None]


class TaskProcess:
    """One process after the other, each with a control socket.

    Args:
        makers: see there.
        title: what it is to call itself.
        slot_name: the name of its slot's memory, which tells its forks from others'.
        listeners: who hears of it.

    Attributes:
        group: the control groups that it and all that it starts are in; None where it has none.
        pid: None while its birth is not announced, and after its end.
        is_ending: it has ended, and what it left is still being looked for.
    """

    def __init__(self, makers: Makers, title: str, slot_name: str, listeners: Listeners) -> None:
        self.pid: int | None = None
        self.group: TaskGroup | None = None
        self.is_ending = False
        self._generation = 0
        self._makers = makers
        self._title = title
        self._slot_name = slot_name
        self._listeners = listeners
        self._pidfd = -1
        self._control: Channel[TaskToSupervisor] | None = None
        self._request: ForkRequest | None = None

    def refuse(self, generation: int, reason: str) -> None:
        """There is to be none, for this reason: the answer comes as if the zygote had said it."""
        self._generation = generation
        self.is_ending = True
        asyncio.get_running_loop().call_soon(self._gone, None, reason)

    def start(
        self,
        generation: int,
        descriptors: Callable[[], Sequence[int]],
        confinement: Confinement = _FREE,
    ) -> None:
        """Ask the zygote for one; there must be none.

        Args:
            generation: its number.
            descriptors: gives log pipe, assignment and slot as they are by then; they stay the
                caller's.
        """
        self._generation = generation
        try:
            ours, theirs = Channel.pair()
        except OSError as error:  # no descriptors are left: a failed start like any other
            self.refuse(generation, str(error.strerror))
            return
        ours.setblocking(False)
        self._control = Channel(ours, TaskToSupervisor)
        fork = Fork(
            token=self._makers.next_token(),
            kind="task",
            title=self._title,
            supervisor_pid=os.getpid(),
            generation=generation,
            confinement=confinement,
        )
        control_end = theirs.detach()
        self._request = ForkRequest(
            fork,
            lambda: (control_end, *descriptors()),
            on_forked=lambda pid: self._forked(pid, control_end),
            on_failed=lambda reason: self._not_forked(reason, control_end),
        )
        self._makers.zygote.submit(self._request)

    @property
    def is_asked(self) -> bool:
        """Whether one was asked for whose birth is not announced yet."""
        return self._request is not None

    def hand_over(self) -> ProcessHandover | None:
        """What a successor of this supervisor needs to go on watching it."""
        if self.pid is None or self._control is None:
            return None
        return ProcessHandover(self._generation, self.pid, self._control.fileno())

    def take_over(self, handed: ProcessHandover) -> None:
        """Watch what another supervisor in this process has made."""
        self._generation = handed.generation
        sock = socket.socket(fileno=handed.control_fd)
        sock.setblocking(False)
        self._control = Channel(sock, TaskToSupervisor)
        self._watch(handed.pid)

    def _watch(self, pid: int) -> None:
        assert self._control is not None
        self._pidfd = self._makers.reaper.watch(pid, self._exited, kills_group=True)
        self.pid = pid
        # not before: a quick task is ready before its birth is announced
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._receive, self._control)

    def _forked(self, pid: int, control_end: int) -> None:
        os.close(control_end)
        is_cancelled = self._request is not None and self._request.is_cancelled
        self._request = None
        try:
            self._watch(pid)
        except OSError as error:  # what cannot be watched must not live
            os.kill(pid, signal.SIGKILL)
            self._close_control()
            reason = f"it cannot be watched: {error.strerror}"
            asyncio.get_running_loop().call_soon(self._gone, None, reason)
            return
        self._listeners.on_forked()
        if is_cancelled:
            self.kill()

    def _not_forked(self, reason: str, control_end: int) -> None:
        os.close(control_end)
        self._request = None
        self.is_ending = True
        self._close_control()
        self._sweep(None, 0, reason)  # it may exist: who was to tell of its birth may have died

    # ---- its end ------------------------------------------------------------------------------

    def _exited(self, status: ExitStatus) -> None:
        self.pid = None
        self.is_ending = True
        self._pidfd = -1
        try:
            self._drain_control()
        finally:
            self._close_control()
            self._sweep(status, 0)

    def _sweep(self, status: ExitStatus | None, times: int, reason: str = "") -> None:
        """It has ended when nothing that it started is left either."""
        try:
            is_left = self._kill_what_is_left()
        except Exception as error:  # noqa: BLE001 (a task whose end is not told is never restarted)
            is_left = True  # perhaps: look again
            if not times:
                title, why = self._title, repr(error)
                self._makers.log.error("strays cannot be looked for", title=title, error=why)
        if is_left and times < _SWEEPS_MOST:
            loop = asyncio.get_running_loop()
            loop.call_later(_SWEEP_AGAIN, self._sweep, status, times + 1, reason)
            return
        self._gone(status, reason)

    def _kill_what_is_left(self) -> bool:
        """Whether there was anything."""
        left = self.group.kill() if self.group is not None else 0
        left += kill_strays(self._title, self._slot_name, self._makers.reaper.is_watched)
        return left > 0

    def _gone(self, status: ExitStatus | None, reason: str = "") -> None:
        self.is_ending = False
        self._listeners.on_swept(self._generation, status, reason)

    # ---- what it is told ----------------------------------------------------------------------

    def tell(self, order: msgspec.Struct) -> None:
        """Give an order; one that it cannot take now is lost."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(order)

    def give_stream(self, name: str) -> None:
        """Let it have the service's standard input or output, if there is one."""
        given: list[int] = []
        with contextlib.suppress(OSError):
            given.append(open_stream(name))
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(StreamGiven(name), given)
        for fd in given:
            os.close(fd)

    def terminate(self, *, is_final: bool) -> None:
        """Ask it to end; take the request back when it is not made yet."""
        self._cancel()
        self.tell(Stop(is_final))
        self.signal(signal.SIGTERM, signal.SIGCONT)

    def signal(self, *numbers: signal.Signals) -> None:
        """Signal it alone."""
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                if self._pidfd >= 0:
                    signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """SIGKILL to it and to its group, of which it may not be the leader yet."""
        self._cancel()
        if self.group is not None:
            self.group.kill()
        if self.pid is not None:
            signal_group(self.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)

    def whereabouts(self) -> str:
        """Its pid, and what the kernel says that it is at."""
        with contextlib.suppress(OSError, IndexError):
            stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8", "replace")
            state = stat.rpartition(")")[2].split()[0]
            place = Path(f"/proc/{self.pid}/wchan").read_text("ascii", "replace").strip("0\n")
            return f"pid {self.pid} is in state {state}{f', in {place}' if place else ''}"
        return f"pid {self.pid}"

    def _cancel(self) -> None:
        if self._request is not None:
            self._makers.zygote.cancel(self._request)

    # ---- what it says -------------------------------------------------------------------------

    def _receive(self, control: "Channel[TaskToSupervisor]") -> None:
        try:
            received = control.receive()
        except BlockingIOError:
            return
        except OSError:  # it ended with an order unread
            received = None
        except msgspec.MsgspecError as error:
            self._makers.log.error("a task spoke nonsense", title=self._title, error=str(error))
            self.kill()
            received = None
        if received is None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            return
        self._listeners.on_message(received[0])

    def _drain_control(self) -> None:
        while self._control is not None:
            try:
                received = self._control.receive()
            except (OSError, msgspec.MsgspecError):
                return
            if received is None:
                return
            self._listeners.on_message(received[0])

    def _close_control(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
