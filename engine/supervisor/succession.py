"""What a supervisor has, gathered for a successor in the same process, and taken over from one."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

import engine
from engine.model.restart_budget import RestartBudget
from engine.model.task_id import TaskId
from engine.supervisor import handover
from engine.supervisor.handover import Handover, ServiceHandover, TaskHandover
from engine.supervisor.herder_process import HerderProcess
from engine.supervisor.instance import Instance
from engine.supervisor.log import Log
from engine.supervisor.log_level_scopes import LogLevelScopes
from engine.supervisor.plan_child import PlanChild
from engine.supervisor.reaper import Reaper
from engine.supervisor.records import Records
from engine.supervisor.service_process import ServiceProcess
from engine.supervisor.settings import Settings
from engine.supervisor.supervised_task import SupervisedTask
from engine.supervisor.zygote import Zygote
from engine.wire.herder_message import UpgradeState

_FAILED_STARTS: Final = 3
_QUIET_GRACE: Final = 15.0
_HERDER_GRACE: Final = 5.0


class Numbers(msgspec.Struct):
    """What is counted over all supervisors of one run.

    Attributes:
        token: of the last request.
        seq: of the last event.
        highest_generation: of any task's process.
    """

    token: int = 0
    seq: int = 0
    highest_generation: int = 0


class Owner(Protocol):
    """The supervisor: what only it can do."""

    def is_stopping(self) -> bool:
        """Whether the service goes down."""

    async def wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition that ends of processes make true."""

    def take_task(self, task: TaskId, handed: TaskHandover) -> None:
        """Go on with a task."""


class Parts(msgspec.Struct, frozen=True):
    """What a supervisor is made of."""

    settings: Settings
    log: Log
    instance: Instance
    listener: socket.socket | None
    reaper: Reaper
    zygote: Zygote
    herder: HerderProcess
    records: Records
    levels: LogLevelScopes
    services: Sequence[ServiceProcess]
    tasks: Mapping[TaskId, SupervisedTask]
    plans: Mapping[int, PlanChild]
    numbers: Numbers
    not_ours: set[int]
    budget: RestartBudget


class Succession:
    """Implements what an upgrade asks of its host, see :class:`engine.supervisor.upgrade.Host`."""

    def __init__(self, owner: Owner, parts: Parts) -> None:
        self._owner = owner
        self._parts = parts
        self.log = parts.log
        self.reaper = parts.reaper

    def is_up(self) -> bool:
        """See the protocol."""
        return self._parts.zygote.is_ready and self._parts.herder.is_ready

    def is_stopping(self) -> bool:
        """See the protocol."""
        return self._owner.is_stopping()

    def fails_to_start(self, handed: Handover) -> str | None:
        """See the protocol."""
        if self._parts.zygote.restarts >= handed.zygote_restarts + _FAILED_STARTS:
            return "zygote"
        if self._parts.herder.restarts >= handed.herder_restarts + _FAILED_STARTS:
            return "herder"
        return None

    async def become_quiet(self) -> str | None:
        """See the protocol."""
        parts, wait = self._parts, self._owner.wait
        parts.zygote.hold()
        await wait(lambda: not parts.plans, _QUIET_GRACE)
        parts.herder.close_socket()
        await wait(lambda: parts.herder.pid is None, _HERDER_GRACE)
        parts.herder.kill()
        await wait(self._is_quiet, _QUIET_GRACE)
        return None if self._is_quiet() else "a process was on its way for too long; try again"

    def _is_quiet(self) -> bool:
        parts = self._parts
        is_settled = all(task.is_settled for task in parts.tasks.values())
        return parts.herder.pid is None and parts.zygote.is_idle and is_settled

    def go_on(self) -> None:
        """See the protocol."""
        self._parts.zygote.hold(False)
        if not self.is_stopping():
            self._parts.herder.come_back()

    def upgrade_changed(self, state: UpgradeState) -> None:
        """See the protocol."""
        self._parts.herder.send(state)

    def hand_over(self, attempts: int, upgrades: int) -> Handover:
        """See the protocol."""
        parts = self._parts
        parts.log.console.flush()
        return Handover(
            version=engine.__version__,
            command=handover.own_command(),
            data_dir=str(parts.settings.data_dir),
            epoch=parts.instance.epoch,
            lock_fd=parts.instance.lock_fd,
            host=parts.settings.host,
            port=parts.settings.port,
            listener_fd=parts.listener.fileno() if parts.listener else -1,
            tasks=tuple(task.hand_over() for task in parts.tasks.values()),
            services=tuple(ServiceHandover.of(s.service, s.pid) for s in parts.services),
            events=parts.herder.unacknowledged,
            seq=parts.numbers.seq,
            token=parts.numbers.token,
            highest_generation=parts.numbers.highest_generation,
            not_ours=tuple(parts.not_ours),
            zygote_restarts=parts.zygote.restarts,
            herder_restarts=parts.herder.restarts,
            attempts=attempts,
            upgrades=upgrades,
            journal=parts.records.hand_over(),
            levels=tuple(parts.levels.told()),
            console=parts.log.console.waiting,
            budget=parts.budget.levels(time.monotonic()),
        )

    def take_over(self, handed: Handover) -> None:
        """Go on with everything that a supervisor before us had."""
        parts, numbers = self._parts, self._parts.numbers
        parts.log.console.write(handed.console)
        parts.records.journal.take_over(handed.journal)
        for levels in handed.levels:
            parts.levels.set(levels, ())  # the tasks know already
        numbers.seq, numbers.token = handed.seq, handed.token
        numbers.highest_generation = handed.highest_generation
        parts.not_ours.clear()
        parts.not_ours.update(handed.not_ours)
        parts.zygote.restarts = handed.zygote_restarts
        parts.herder.restarts = handed.herder_restarts
        parts.herder.remember(handed.events)
        parts.budget.go_on_from(handed.budget)
        for each in handed.tasks:
            self._owner.take_task(TaskId(each.connector, each.task), each)
        pids = {service.name: service.pid for service in handed.services}
        for service in parts.services:
            service.take_over(pids.get(service.service.name))
        handover.forget()
