"""A new version takes the place of this one in the same process; the tasks do not notice.

First a child of the new version says whether it could take over what we have (``upgrade_check``).
Then the herder ends, no process is on its way any more, and this process executes the new version,
which finds everything in a handover. Until its zygote and its herder are ready it is on trial: else
it goes back, the same way, to the version that it came from.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

import engine
from engine.model.exit_status import ExitStatus
from engine.supervisor import handover
from engine.supervisor.child import HANDOVER, Program, signal_group
from engine.supervisor.handover import Handover
from engine.supervisor.log import Log
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.notify import Notifier
from engine.supervisor.reaper import Reaper
from engine.wire.herder_message import UpgradeState
from engine.wire.sealed import seal

_CHECK_FD: Final = 3
_LONGEST_CHECK: Final = 90.0
_LONGEST_TRIAL: Final = 90.0


class Host(Protocol):
    """What an upgrade needs of the supervisor around it."""

    log: Log
    reaper: Reaper

    def is_up(self) -> bool:
        """Whether the zygote and the herder are ready."""

    def fails_to_start(self, handed: Handover) -> str | None:
        """Which of the two has ended several times since this; None when neither has."""

    def is_stopping(self) -> bool:
        """Whether the service goes down anyhow."""

    async def become_quiet(self) -> str | None:
        """End the herder and let nothing be on its way; the reason when that does not succeed."""

    def go_on(self) -> None:
        """Undo :meth:`become_quiet`."""

    def hand_over(self, attempts: int, upgrades: int) -> Handover:
        """Everything that a successor must know."""

    def upgrade_changed(self, state: UpgradeState) -> None:
        """Tell whoever listens."""


class Upgrade:
    """Upgrades of one supervisor: the one that brought it here, and those that it begins.

    Args:
        host: the supervisor.
        notifier: hears of an upgrade as of a reload.
        handed: what brought us here, if an upgrade did.

    Attributes:
        state: how many there were, and what came of the last.
    """

    def __init__(self, host: Host, notifier: Notifier, handed: Handover | None = None) -> None:
        self._host = host
        self._notifier = notifier
        self._from = handed
        self._work: asyncio.Task[None] | None = None
        self._trial_until: float | None = None
        self.state = UpgradeState()
        if handed is not None:
            self._arrive(handed)

    def _arrive(self, handed: Handover) -> None:
        problem = handover.problem_of_predecessor()
        is_trial = problem is None
        self.state = UpgradeState(handed.attempts, handed.upgrades, is_trial, problem)
        if is_trial:
            self._trial_until = asyncio.get_running_loop().time() + _LONGEST_TRIAL
            return
        self._host.log.error("not upgraded; the old version went on", problem=problem)

    @property
    def is_on_trial(self) -> bool:
        """Whether we would still go back to the version before us."""
        return self._trial_until is not None

    def request(self) -> None:
        """Begin an upgrade, unless one is under way or the service goes down."""
        if self._host.is_stopping() or self._work is not None or self.is_on_trial:
            self._host.log.warning("no upgrade now: another one, or the end, is under way")
            return
        self._change(attempts=self.state.attempts + 1, is_running=True, problem=None)
        self._notifier.reloading()
        self._work = asyncio.get_running_loop().create_task(self._run())

    def _change(self, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self._host.upgrade_changed(self.state)

    async def _run(self) -> None:
        command = handover.newest_command()
        self._host.log.info("upgrade begins", command=command, version=engine.__version__)
        problem = await self._check(command) or await self._leave(command)
        self._over(problem)

    def _over(self, problem: str) -> None:
        """It did not succeed; everything is as it was before."""
        self._work = None
        self._host.log.error("not upgraded", problem=problem)
        self._change(is_running=False, problem=problem)
        self._notifier.ready()

    # ---- leaving ------------------------------------------------------------------------------

    async def _check(self, command: Sequence[str]) -> str | None:
        """Whether the new version says that it could take over; None when it does."""
        if not self._host.is_up():
            return "the engine is not up yet; try again"
        handed = self._host.hand_over(self.state.attempts, self.state.upgrades)
        output = LogPipe(self._host.log, {"process": "upgrade check"}, None)
        memory = seal(handed, "handover")
        try:
            return await self._checked(command, memory, output)
        finally:
            os.close(memory)
            output.close()

    async def _checked(self, command: Sequence[str], memory: int, output: LogPipe) -> str | None:
        ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        write_fd = output.write_fd
        program = Program(
            command, {1: write_fd, 2: write_fd, _CHECK_FD: memory}, {HANDOVER: f"check {_CHECK_FD}"}
        )
        try:
            pid = program.spawn()
        except OSError as error:
            return f"{command[0]} cannot be executed: {error.strerror}"
        self._host.reaper.watch(pid, ended.set_result, kills_group=True)
        try:
            async with asyncio.timeout(_LONGEST_CHECK):
                status = await asyncio.shield(ended)
        except TimeoutError:
            signal_group(pid, signal.SIGKILL)
            await ended
            return f"the new version did not finish its check within {_LONGEST_CHECK:g} s"
        output.drain()
        return None if status.code == 0 else _last_words(output) or f"its check ended with {status}"

    async def _leave(self, command: Sequence[str], why_back: str | None = None) -> str:
        """Become the other version; returns only when that was not possible, with the reason."""
        problem = await self._host.become_quiet()
        if problem is None and self._host.is_stopping():
            problem = "the engine was told to stop"
        if problem is None:
            state = self.state
            try:
                handed = self._host.hand_over(state.attempts, state.upgrades)
                handover.execute(command, handed, why_back)
            except OSError as error:
                problem = f"{command[0]} cannot be executed: {error.strerror}"
        self._host.go_on()
        return problem

    # ---- arriving -----------------------------------------------------------------------------

    def check_trial(self, now: float) -> None:
        """See whether we have come up; called on every tick."""
        if self._trial_until is None or self._from is None or self._work is not None:
            return
        if self._host.is_up():
            self._came_up()
        elif now > self._trial_until:
            self._go_back_because(f"it was not ready within {_LONGEST_TRIAL:g} s")
        elif (who := self._host.fails_to_start(self._from)) is not None:
            self._go_back_because(f"its {who} does not get ready")

    def _came_up(self) -> None:
        assert self._from is not None
        self._trial_until = None
        before, now = self._from.version, engine.__version__
        self._host.log.info("upgraded", version=now, before=before, tasks=len(self._from.tasks))
        self._change(upgrades=self.state.upgrades + 1, is_running=False)
        self._notifier.ready()

    def _go_back_because(self, why: str) -> None:
        self._host.log.error("going back to the version before", problem=why)
        self._work = asyncio.get_running_loop().create_task(self._go_back(why))

    async def _go_back(self, why: str) -> None:
        assert self._from is not None
        problem = await self._leave(self._from.command, why)
        self._trial_until = None  # there is no way back, so we do what we can
        self._over(f"{why}; going back failed: {problem}")


def _last_words(output: LogPipe) -> str:
    lines = output.tail.decode("utf-8", "backslashreplace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix("engine: ") if said else ""
