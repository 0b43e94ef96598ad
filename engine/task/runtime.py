"""A task's line to the supervisor: heartbeat, orders, words about its state.

Used by one thread. Signals only set flags; nothing is logged or sent from a handler.
"""

import os
import select
import signal
import time
from collections.abc import Mapping

import msgspec

from engine.api.errors import ConnectError, RetriableError
from engine.model.secret import Secrets
from engine.model.slot import Slot
from engine.wire import log_sequence
from engine.wire.channel import Channel, shorten
from engine.wire.task_message import (  # fmt: skip
    LONGEST_SUMMARY,
    LogLevels,
    PausedChanged,
    Ready,
    Recycle,
    Stop,
    StreamGiven,
    StreamWanted,
    SupervisorToTask,
    TargetChanged,
    TaskAssignment,
    TaskCondition,
)


class TaskRuntime:
    """What the loops need from their process.

    Attributes:
        assignment: what this task is to do; placeholders unresolved.
        config: the connector's configuration with config providers resolved.
        task_config: the task's configuration, resolved.
        generation: number of this process; grows with every start, also over engine restarts.
        is_stopping: the loop is to end.
        is_final: no successor follows this process.
        is_recycling: the loop is to end after its next commit.
        is_paused: what the operator wants.
        secrets: values that may not leave this process in a text.
        failed_at: stage and records of the failure that ends the task.
    """

    def __init__(
        self,
        assignment: TaskAssignment,
        generation: int,
        slot: Slot,
        control: "Channel[SupervisorToTask]",
    ) -> None:
        self.assignment = assignment
        self.config: Mapping[str, str] = assignment.connector_config
        self.task_config: Mapping[str, str] = assignment.config
        self.generation = generation
        self.slot = slot
        self.is_stopping = False
        self.is_final = False
        self.is_recycling = False
        self.is_paused = assignment.start_paused
        self.secrets = Secrets()
        self._control = control
        self._control.sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self.failed_at: tuple[str, str | None] | None = None
        self._condition: str | None = None
        self._said_paused: bool | None = None
        self._is_told = False
        self._given: list[int] | None = None

    def beat(self) -> None:
        """Show the supervisor that the loop turns; call at least every second."""
        self.slot["heartbeat_ns"] = time.monotonic_ns()
        self.slot["busy_until_ns"] = 0  # a call that announced silence has come back

    def failing(self) -> None:
        """Remember where the first failure happened, before things are brought to an end."""
        self.failed_at = self.failed_at or (self.slot.stage, self.slot.in_hand)

    def busy(self, seconds: float) -> None:
        """Announce silence."""
        self.slot["busy_until_ns"] = time.monotonic_ns() + int(seconds * 1e9)

    def progressed(self) -> None:
        """Records moved."""
        self.slot["last_progress_ns"] = time.monotonic_ns()

    def take_orders(self) -> None:
        """Read what the supervisor has sent; never waits."""
        while self._poll.poll(0):
            received = self._control.receive()
            if received is None:
                self.is_stopping = self._is_told = True
                self._poll.unregister(self._control.fileno())
                return
            self._obey(*received)

    def _obey(self, order: SupervisorToTask, descriptors: list[int]) -> None:
        match order:
            case StreamGiven():
                self._given = descriptors
            case TargetChanged(paused):
                self.is_paused = paused
                if paused is self._said_paused:  # so it is: the last word of that was lost
                    self.paused_changed(paused=paused)
            case LogLevels(levels):
                log_sequence.set_levels(levels)
            case Recycle():
                self.is_recycling = self._is_told = True
            case Stop(final):
                self.is_final = final
                self.is_stopping = self._is_told = True

    def was_told_from_outside(self) -> bool:
        """Whether the loop ended by a SIGTERM that the supervisor did not send."""
        self.take_orders()  # its order is on the way before its signal
        return not self._is_told

    def wait(self, seconds: float) -> None:
        """Wait for an order, a signal or the end of the time; beats before and after."""
        self.beat()
        deadline = time.monotonic() + seconds
        while not self.is_stopping and (left := deadline - time.monotonic()) > 0:
            if self._poll.poll(min(left, 1.0) * 1000):
                self.take_orders()
                break
            self.beat()
        self.beat()

    def ready(self) -> None:
        """``start()`` has returned and the client handles exist."""
        self.slot["started_ns"] = time.monotonic_ns()
        self._said_paused = self.is_paused
        self._send(Ready(self.generation, self.is_paused))

    def paused_changed(self, *, paused: bool) -> None:
        """The loop obeyed a pause or a resume."""
        self._said_paused = paused
        self._send(PausedChanged(self.generation, paused))

    def condition(self, text: str | None) -> None:
        """Say in the status what the task waits for or suffers from; None when it is over."""
        if text != self._condition:
            self._condition = text
            shown = None if text is None else shorten(self.secrets.hide(text), LONGEST_SUMMARY)
            self._send(TaskCondition(self.generation, shown))

    def stream(self, name: str) -> int:
        """Get the service's own ``standard input`` or ``standard output``; the caller closes it.

        Raises:
            ConnectError: the service was started without it.
            RetriableError: the task is to end.
        """
        self._control.send(StreamWanted(self.generation, name))
        while (given := self._take_given()) is None:
            if self.is_stopping:
                raise RetriableError(f"{name} was not handed over before the end")
            self.wait(1.0)
        if not given:
            raise ConnectError(f"the service has no {name}")
        return given[0]

    def _take_given(self) -> list[int] | None:
        given, self._given = self._given, None
        return given

    def _send(self, message: msgspec.Struct) -> None:
        try:
            self._control.send(message)
        except BlockingIOError:
            return  # a supervisor that is stopped reads nothing; work goes on without its attention
        except OSError:  # the supervisor is gone, and so are we
            self.is_stopping = True

    def handle_signals(self, grace: float) -> None:
        """Let SIGTERM end the loop, and let nothing outlive the supervisor.

        Args:
            grace: seconds that an orphan may take to end; the kernel's alarm ends it then, without
                any Python code.
        """
        supervisor = os.getppid()

        def on_terminate(_number: int, _frame: object) -> None:
            self.is_stopping = True
            if os.getppid() != supervisor:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, grace)

        signal.signal(signal.SIGTERM, on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
