"""Asks for plugin code to be run in short-lived children, and waits for what they answer.

When many connectors are planned at once, those of one class share a child as long as they are
quick: most of what a plan costs is the process. One that hangs or dies takes nobody with it: who
was not begun in that child has another one.
"""

import asyncio
import collections
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from engine.herder.herder import PlanFailedError
from engine.model.letters.request import LettersRequest
from engine.wire.channel import Channel
from engine.wire.herder_message import Plan
from engine.wire.plan_message import (
    OffsetChange,
    PlanAnswer,
    PlanDone,
    PlanRequest,
    PlanStage,
    PlanToHerder,
)
from engine.wire.sealed import seal, unseal

Send = Callable[[msgspec.Struct, Sequence[int]], None]

_MOST_AT_ONCE: Final = 32
_MOST_SHARED: Final = 16
"""Connectors that share a child at most."""

_PATIENCE: Final = 1.0
"""Seconds that one connector may take before those behind it get another child."""

_GRACE: Final = 5.0
"""Seconds after the deadline until a supervisor that says nothing is not waited for any longer."""

_CLASS: Final = "connector.class"


class PlanDiedError(PlanFailedError):
    """A plan child was gone without an answer.

    Attributes:
        stage: what it was at; empty when it had not begun.
    """

    def __init__(self, message: str, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class _Wish(msgspec.Struct, eq=False):
    """Something to be asked, and the answer to come."""

    action: str
    config: Mapping[str, str | None]
    title: str
    letters: LettersRequest | None = None
    offsets: tuple[OffsetChange, ...] | None = None
    answer: asyncio.Future[PlanAnswer] = msgspec.field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def may_share_with(self, other: "_Wish") -> bool:
        """Whether one child may do both: it runs the same plugin's code for both."""
        kind = self.config.get(_CLASS)
        return self.action == other.action == "plan" and kind == other.config.get(_CLASS)


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
        self._waiting: collections.deque[_Wish] = collections.deque()
        self._is_pumping = False

    async def run(
        self,
        action: str,
        config: Mapping[str, str | None],
        title: str,
        letters: LettersRequest | None = None,
        offsets: tuple[OffsetChange, ...] | None = None,
    ) -> PlanAnswer:
        """The child's answer.

        Raises:
            PlanDiedError: the child died, or did not answer in time.
        """
        wish = _Wish(action, config, title, letters, offsets)
        self._waiting.append(wish)
        self._pump_soon()
        try:
            return await wish.answer
        finally:
            self._sweep()  # nobody waits any longer, if this was cancelled

    def ended(self, token: int, problem: str | None) -> None:
        """The supervisor says that a child is gone."""
        call = self._running.get(token)
        if call is not None:
            self._end(token, call, problem)

    # ---- children -----------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """Ask when all who wish something at this moment have said so."""
        if not self._is_pumping:
            self._is_pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        shares = min(math.ceil(len(self._waiting) / _MOST_AT_ONCE), _MOST_SHARED)
        while self._waiting and len(self._running) < _MOST_AT_ONCE:
            first = self._waiting.popleft()
            if first.answer.done():
                continue
            wishes = [first]
            while self._waiting and len(wishes) < shares and first.may_share_with(self._waiting[0]):
                wishes.append(self._waiting.popleft())
            self._ask([wish for wish in wishes if not wish.answer.done()])

    def _ask(self, wishes: list[_Wish]) -> None:
        token, first = next(self._tokens), wishes[0]
        more = tuple(dict(wish.config) for wish in wishes[1:])
        request = PlanRequest(
            first.action, self._worker, dict(first.config), self._data_dir, first.letters,
            first.offsets, more,
        )  # fmt: skip
        title = f"{first.title} and {len(more)} more" if more else first.title
        try:
            ours, theirs = Channel.pair()
            memory = seal(request, "plan-request")
        except OSError as error:
            for wish in wishes:
                wish.answer.set_exception(_died(wish, str(error.strerror), ""))
            return
        patience = self._deadline + _GRACE
        late = asyncio.get_running_loop().call_later(
            patience, self.ended, token, f"no answer for {patience:g} s"
        )
        call = _PlanCall(Channel(ours, PlanToHerder), wishes, late, self._sweep)
        self._running[token] = call
        self._send(Plan(token, title, self._deadline), [theirs.detach(), memory])

    def _sweep(self) -> None:
        """Let go of children of which nobody wants anything any more, and wait for none long."""
        for token, call in list(self._running.items()):
            self._again(call.take_back())
            if call.is_over:
                self._close(token, call)

    def _end(self, token: int, call: "_PlanCall", problem: str | None) -> None:
        self._again(call.ended(problem))
        self._close(token, call)

    def _again(self, wishes: Sequence[_Wish]) -> None:
        if wishes:
            self._waiting.extendleft(reversed(wishes))
            self._pump_soon()

    def _close(self, token: int, call: "_PlanCall") -> None:
        if self._running.pop(token, None) is not None:  # its last answer may have ended it already
            call.close()
            self._pump_soon()


class _PlanCall:
    """One child and its socket; it goes through the wishes in order.

    Args:
        late: the end of all patience.
        on_change: called when something was answered, or is not to be waited for here.
    """

    def __init__(
        self,
        channel: Channel[PlanToHerder],
        wishes: Sequence[_Wish],
        late: asyncio.TimerHandle,
        on_change: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._open = dict(enumerate(wishes))
        self._late = late
        self._on_change = on_change
        self._at = PlanStage("")
        self._slow: asyncio.TimerHandle | None = None
        self._is_read = False
        channel.sock.settimeout(0.0)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    @property
    def is_over(self) -> bool:
        """Whether everything is answered, or nobody wants the answer."""
        return all(wish.answer.done() for wish in self._open.values())

    def _read(self) -> None:
        while not self._is_read:
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
                case PlanStage():
                    self._at = message
                    self._wait_for_the_rest()
                case PlanDone(number) if descriptors and number in self._open:
                    self._answered(number, descriptors[0])
                case _:
                    pass
        finally:
            for fd in descriptors:
                os.close(fd)

    def _answered(self, number: int, fd: int) -> None:
        wish = self._open.pop(number)
        if not wish.answer.done():
            try:
                wish.answer.set_result(unseal(fd, PlanAnswer))
            except (msgspec.MsgspecError, OSError) as error:
                problem = f"unreadable answer: {error}"
                wish.answer.set_exception(_died(wish, problem, self._at.stage))
        self._on_change()

    def _wait_for_the_rest(self) -> None:
        """Whoever comes after this one does not wait for long."""
        if self._slow is not None:
            self._slow.cancel()
        self._slow = asyncio.get_running_loop().call_later(_PATIENCE, self._on_change)

    def take_back(self) -> list[_Wish]:
        """Those that are kept waiting by one that takes long."""
        if self._slow is None or self._slow.when() > asyncio.get_running_loop().time():
            return []
        return self._take_back()

    def _take_back(self) -> list[_Wish]:
        later = [number for number in self._open if number > self._at.number]
        return [wish for n in later if not (wish := self._open.pop(n)).answer.done()]

    def ended(self, problem: str | None) -> list[_Wish]:
        """The child is gone; those that it had not begun with."""
        self._read()  # an answer may be in the socket already
        left = self._take_back()
        for wish in self._open.values():
            if not wish.answer.done():
                words = problem or "it ended without an answer"
                wish.answer.set_exception(_died(wish, words, self._at.stage))
        return left

    def _stop_reading(self) -> None:
        if not self._is_read:
            self._is_read = True
            asyncio.get_running_loop().remove_reader(self._channel.fileno())

    def close(self) -> None:
        self._late.cancel()
        if self._slow is not None:
            self._slow.cancel()
        self._stop_reading()
        self._channel.close()


def _died(wish: _Wish, problem: str, stage: str) -> PlanDiedError:
    at = f" in {stage}" if stage else ""
    return PlanDiedError(f"{wish.title} did not answer{at}: {problem}", stage)
