"""Asks for plugin code to be run in short-lived children, and waits for what they answer."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from engine.herder.herder import PlanFailedError
from engine.model.letter_request import LettersRequest
from engine.wire.channel import Channel
from engine.wire.herder_message import Plan
from engine.wire.plan_message import PlanAnswer, PlanDone, PlanRequest, PlanStage, PlanToHerder
from engine.wire.sealed import seal, unseal

Send = Callable[[msgspec.Struct, Sequence[int]], None]

_MOST_AT_ONCE: Final = 32
_GRACE: Final = 5.0
"""Seconds after the deadline until a supervisor that says nothing is not waited for any longer."""


class PlanDiedError(PlanFailedError):
    """A plan child was gone without an answer.

    Attributes:
        stage: what it was at; empty when it had not begun.
    """

    def __init__(self, message: str, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class PlanClient:
    """Makes plan children through the supervisor.

    Args:
        send: sends to the supervisor; the descriptors are given away.
        deadline: seconds that a child may take.
    """

    def __init__(
        self, send: Send, worker: Mapping[str, str], data_dir: str, *, deadline: float = 10.0
    ) -> None:
        self._send = send
        self._worker = dict(worker)
        self._data_dir = data_dir
        self._deadline = deadline
        self._tokens = itertools.count(os.getpid() << 32)  # no other herder's child is meant
        self._running: dict[int, _PlanCall] = {}
        self._slots = asyncio.Semaphore(_MOST_AT_ONCE)

    async def run(
        self,
        action: str,
        config: Mapping[str, str | None],
        title: str,
        letters: LettersRequest | None = None,
    ) -> PlanAnswer:
        """The child's answer.

        Raises:
            PlanDiedError: the child died, or did not answer in time.
        """
        request = PlanRequest(action, self._worker, dict(config), self._data_dir, letters)
        async with self._slots:
            token = next(self._tokens)
            ours, theirs = Channel.pair()
            call = _PlanCall(Channel(ours, PlanToHerder), title)
            self._running[token] = call
            try:
                memory = seal(request, "plan-request")
                self._send(Plan(token, title, self._deadline), [theirs.detach(), memory])
                return await asyncio.wait_for(call.answer, self._deadline + _GRACE)
            except TimeoutError:
                raise call.died(f"no answer for {self._deadline + _GRACE:g} s") from None
            finally:
                del self._running[token]
                call.close()

    def ended(self, token: int, problem: str | None) -> None:
        """The supervisor says that a child is gone."""
        call = self._running.get(token)
        if call is not None:
            call.ended(problem)


class _PlanCall:
    """One child and its socket."""

    def __init__(self, channel: Channel[PlanToHerder], title: str) -> None:
        self.answer: asyncio.Future[PlanAnswer] = asyncio.get_running_loop().create_future()
        self._channel = channel
        self._title = title
        self._stage = ""
        self._is_over = False
        channel.sock.settimeout(0.0)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    def _read(self) -> None:
        while not self._is_over:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            except (OSError, msgspec.MsgspecError):
                received = None
            if received is None:
                self._stop_reading()
                return
            self._take(*received)

    def _take(self, message: PlanToHerder, descriptors: list[int]) -> None:
        try:
            match message:
                case PlanStage(stage):
                    self._stage = stage
                case PlanDone() if descriptors and not self.answer.done():
                    self.answer.set_result(unseal(descriptors[0], PlanAnswer))
                case _:
                    pass
        except (msgspec.MsgspecError, OSError) as error:
            self.answer.set_exception(self.died(f"unreadable answer: {error}"))
        finally:
            for fd in descriptors:
                os.close(fd)

    def ended(self, problem: str | None) -> None:
        self._read()  # an answer may be in the socket already
        if not self.answer.done():
            self.answer.set_exception(self.died(problem or "it ended without an answer"))

    def died(self, problem: str) -> PlanDiedError:
        at = f" in {self._stage}" if self._stage else ""
        return PlanDiedError(f"{self._title} did not answer{at}: {problem}", self._stage)

    def _stop_reading(self) -> None:
        if not self._is_over:
            self._is_over = True
            asyncio.get_running_loop().remove_reader(self._channel.fileno())

    def close(self) -> None:
        self._stop_reading()
        self._channel.close()
        if self.answer.done() and not self.answer.cancelled():
            with contextlib.suppress(Exception):  # retrieved, so that asyncio does not complain
                self.answer.exception()
        self.answer.cancel()
