"""The supervisor: what the herder wants on one side, processes on the other."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.model.death import Death
from engine.model.lifecycle.event import RestartRequested, Unwanted, Wanted
from engine.model.lifecycle.task_memory import memory_of
from engine.model.restart_budget import RestartBudget
from engine.model.service import Service
from engine.model.task_id import TaskId
from engine.supervisor.cgroups import Cgroups
from engine.supervisor.handover import HELD_SIGNALS, Handover, TaskHandover
from engine.supervisor.herder_process import HerderProcess
from engine.supervisor.instance import Instance
from engine.supervisor.launch import HeadStart
from engine.supervisor.log import Log
from engine.supervisor.log_level_scopes import LogLevelScopes
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.memory_use import OomKills
from engine.supervisor.notify import Notifier
from engine.supervisor.own_errors import OwnErrors, tell
from engine.supervisor.own_stacks import OwnStacks
from engine.supervisor.plan_child import PlanChild
from engine.supervisor.reaper import Reaper
from engine.supervisor.records import Records
from engine.supervisor.reloading import Reloading
from engine.supervisor.room import Room
from engine.supervisor.service_process import ServiceProcess
from engine.supervisor.settings import Settings
from engine.supervisor.shutdown import Shutdown
from engine.supervisor.state_file import StateFile
from engine.supervisor.strays import children
from engine.supervisor.succession import Numbers, Parts, Succession
from engine.supervisor.supervised_task import SupervisedTask
from engine.supervisor.task_log import log_change
from engine.supervisor.task_watch import TaskWatch
from engine.supervisor.ticker import Ticker
from engine.supervisor.upgrade import Upgrade
from engine.supervisor.zygote import Zygote
from engine.wire.channel import close_all
from engine.wire.herder_message import (  # fmt: skip
    Ack,
    Desire,
    Drop,
    HerderReady,
    HerderToSupervisor,
    Losses,
    Plan,
    PlanEnded,
    Refused,
    Reloaded,
    Remark,
    RestartTask,
    SetLogLevels,
    SnapshotEnd,
    SupervisorSample,
    SyncBegin,
    SyncEnd,
    TaskEvent,
    TaskSnapshot,
    TellAgain,
    UpgradeRequested,
    Welcome,
)

_SAMPLE_EVERY: Final = 2
"""Ticks between two samples."""

_LOSSES_EVERY: Final = 10
"""Ticks between two looks at what was lost of all logs."""

_HEALTHY_AFTER: Final = 1200
"""Ticks after which the service manager is told that this start was a good one."""


class Supervisor:
    """Runs until it is told to stop; implements what a :class:`SupervisedTask` asks of its host.

    Args:
        settings: see there.
        log: the service's log.
        instance: the data directory, locked.
        listener: the REST API's socket, handed to every herder.
        services: programs to run beside the tasks.
        head_start: the zygote and the herder, where they were executed before.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        instance: Instance,
        listener: socket.socket | None = None,
        services: Sequence[Service] = (),
        head_start: HeadStart | None = None,
    ) -> None:
        self.log = log
        self.reaper = Reaper()
        self.zygote = Zygote(
            log, self.reaper, settings.preload, head_start=head_start, spares=settings.spares
        )
        self._settings = settings
        self._instance = instance
        open_elsewhere = [f"{service.log_name}.log" for service in services]
        self._levels = LogLevelScopes(log, settings.log_level)
        self._records = Records(settings, instance.epoch, log, open_elsewhere)
        self._journal = self._records.journal
        self._listener = listener
        self._room = Room(log, instance.lock_fd)
        self._herder = HerderProcess(settings, log, self.reaper, self._room, head_start)
        self._services = [ServiceProcess(s, settings.data_dir, log, self.reaper) for s in services]
        self._tasks: dict[TaskId, SupervisedTask] = {}
        self._plans: dict[int, PlanChild] = {}
        self._plan_output: LogPipe | None = None
        self.cgroups = Cgroups(log, settings.data_dir, settings.cgroups)
        self.oom_kills = OomKills()
        self._watch = TaskWatch(self._tasks, self.cgroups, self.oom_kills)
        self._budget = RestartBudget((settings.restart_rate, settings.restart_burst))
        self._state_file = StateFile(settings.data_dir / "supervisor.state", log)
        self._notifier = Notifier.of_environment()
        path = settings.data_dir / "supervisor.stacks"
        self._own_stacks = OwnStacks(path, log, self._notifier.watchdog)
        self._reloading = Reloading(log, self._notifier, self._herder)
        self._synced: set[TaskId] | None = None
        self._numbers = Numbers(highest_generation=instance.epoch << 32)
        self._ticker = Ticker(log, self._own_stacks)
        self._losses = Losses()
        self._upgrade: Upgrade | None = None
        own = (head_start.zygote.pid, head_start.herder.pid) if head_start else ()
        self._not_ours = set(children()).difference(own)  # left by who executed us
        self._shutdown = Shutdown(self._parts(), self.wait)
        self._changed = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[int] | None = None

    # ---- life -------------------------------------------------------------------------------

    async def run(self, handed: Handover | None = None) -> int:
        """Start everything, serve until told to stop; the exit code.

        Args:
            handed: what another supervisor in this process has left, to go on from.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(OwnErrors(self.log))
        self._ended = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            on_hang_up = self._hang_up if _has_terminal() else self.reload
            loop.add_signal_handler(signal.SIGHUP, on_hang_up)
        self.reaper.start(self._orphan_ended)
        succession = Succession(self, self._parts())
        self._upgrade = Upgrade(succession, self._notifier, handed)
        loop.add_signal_handler(signal.SIGUSR2, self._request_upgrade)
        loop.add_signal_handler(signal.SIGUSR1, self._logs_moved)
        self._state_file.load()
        if handed is not None:
            self._ticker.forgive(loop.time())
            succession.take_over(handed)
        else:
            for service in self._services:
                service.start()
        self._journal.record("engine_upgraded" if handed else "engine_started", pid=os.getpid())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        self.zygote.start()
        on_refused = None if handed else self._herder_refused
        self._herder.start(self._greet, self._hear, on_refused)
        self._watch_over()
        code = await self._ended
        self._notifier.close()
        self._own_stacks.close()
        return code

    def _parts(self) -> Parts:
        return Parts(
            self._settings, self.log, self._instance, self._listener, self.reaper, self.zygote,
            self._herder, self._records, self._levels, self._services, self._tasks, self._plans,
            self._numbers, self._not_ours, self._budget,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop in good order; when it is already stopping, stop at once."""
        if self._stopping is None:
            self.log.info("stopping", tasks=len(self._tasks))
            self._notifier.stopping(self._shutdown.longest())
            self._stopping = asyncio.get_running_loop().create_task(self._stop(0))
        else:
            self._shutdown.hurry()

    def _hang_up(self) -> None:
        """The terminal is gone, which is often told twice: stop, but never in a hurry."""
        if self._stopping is None:
            self.stop()

    def reload(self) -> None:
        """Have the connector files read again."""
        if self._stopping is None:
            self._reloading.begin()

    async def _stop(self, code: int) -> None:
        try:
            code = await self._end_everything(code)
        except Exception as error:  # noqa: BLE001 (who is left ends with this process)
            tell("a stop in good order", error)
            code = code or 1
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(code)

    async def _end_everything(self, code: int) -> int:
        code = await self._shutdown.run(code)
        self.cgroups.close()
        self._state_file.end()
        self.log.info("stopped", exit_code=code)
        self._journal.record("engine_stopped", exit_code=code)
        self._records.close()
        self.log.console.flush()
        return code

    async def wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition that ends of processes make true."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 0.05))
            except TimeoutError:
                continue

    def _herder_refused(self, code: int) -> None:
        """The first herder did not come up: its last lines say why."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(code or 1))

    # ---- upgrades -----------------------------------------------------------------------------

    def is_stopping(self) -> bool:
        """Whether the service goes down."""
        return self._stopping is not None

    def take_task(self, task: TaskId, handed: TaskHandover) -> None:
        """Go on with a task of a supervisor before us."""
        taken = SupervisedTask(self, task, self._settings.data_dir, handed=handed)
        self._tasks[task] = taken
        self._watch.watch(taken)
        self._state_file.take(task)  # it is known better from memory

    def _logs_moved(self) -> None:
        """What logrotate and its like tell whoever writes logs; each write looks for itself."""
        self.log.debug("asked to open the log files anew, which happens by itself")

    def _request_upgrade(self) -> None:
        if self._upgrade is not None:
            self._upgrade.request()

    # ---- the host of the tasks ----------------------------------------------------------------

    def next_token(self) -> int:
        """A number that names a request."""
        self._numbers.token += 1
        return self._numbers.token

    def turn_of(self, task: SupervisedTask) -> float:
        """A place among the restarts of the connector and of the host; how long to wait for it."""
        policy = task.state.policy
        now = asyncio.get_running_loop().time()
        return self._budget.claim(task.id.connector, (policy.rate, policy.burst), now)

    def remember(self, task: SupervisedTask) -> None:
        """Write it down; what happens while everything stops is nobody's failure."""
        if self._stopping is None:
            now = asyncio.get_running_loop().time()
            self._state_file.put(task.id, memory_of(task.state, now))

    def task_changed(self, task: SupervisedTask, event: str) -> None:
        """Log it, tell the herder, and forget a task that is gone."""
        report = task.report()
        self._numbers.highest_generation = max(self._numbers.highest_generation, report.generation)
        self._numbers.seq += 1
        death = task.death if event == "exited" else None
        self._herder.send(TaskEvent(self._numbers.seq, event, time.monotonic_ns(), report, death))
        log_change(self.log, task, event)
        self._journal.task(task.id, event, task.state, task.pid, task.death)
        if event == "gone":
            del self._tasks[task.id]
            task.close()
            if self._stopping is None:
                self._state_file.put(task.id, None)
        self._changed.set()

    def levels_of(self, connector: str) -> Mapping[str, str]:
        """How much a connector's tasks are to log."""
        return self._levels.of(connector)

    def keep_output(self, task: TaskId, death: Death, output: bytes) -> None:
        """Keep it for whoever asks why the process ended."""
        if not death.is_in_order:  # what the last death left is worth more
            self._records.outputs.keep(task, death, output)

    # ---- the herder ---------------------------------------------------------------------------

    def _greet(self) -> None:
        """Tell a new herder everything; what it wants comes back."""
        self._room.forget_all()
        descriptors = [self._listener.fileno()] if self._listener else []
        self._herder.send(Welcome(os.getpid(), self._instance.epoch), descriptors)
        for task in self._tasks.values():
            self._herder.send(TaskSnapshot(task.report(), task.death), [task.slot_fd])
        for told in self._levels.told():
            self._herder.send(told)
        self._herder.send(SnapshotEnd())
        if self._upgrade is not None:
            self._herder.send(self._upgrade.state)
        self._synced = None

    def _hear(self, message: HerderToSupervisor, descriptors: list[int]) -> None:
        with self._journal.acting(getattr(message, "by", "herder")):
            self._obey(message, descriptors)

    def _obey(  # noqa: C901, PLR0912 (a table: one line a message)
        self, message: HerderToSupervisor, descriptors: list[int]
    ) -> None:
        match message:
            case SetLogLevels():
                self._levels.set(message, self._tasks.values())
            case Remark(event, fields):
                self._journal.record(event, **fields)
            case Ack(seq):
                self._herder.acknowledged(seq)
            case _ if self._stopping is not None:
                close_all(descriptors)
            case Desire():
                self._desire(message, descriptors)
            case Plan():
                self._plan(message, descriptors)
            case Drop(connector, number):
                self._drop(TaskId(connector, number))
            case RestartTask(connector, number):
                task = self._tasks.get(TaskId(connector, number))
                if task is not None:
                    task.handle(RestartRequested())
            case SyncBegin():
                self._synced = set()
            case SyncEnd(count=count):
                self._sync_ended(count)
            case HerderReady():
                self._herder.is_ready = True
                if self._upgrade is None or not self._upgrade.is_on_trial:
                    self._notifier.ready()
            case UpgradeRequested():
                self._request_upgrade()
            case Reloaded():
                self._reloading.ended(message)
            case Refused(connector, problem):
                if not self._herder.restarts:
                    _say(f"connector {connector}: {problem}" if connector else problem)

    def _desire(self, message: Desire, descriptors: list[int]) -> None:
        task_id = TaskId(message.connector, message.task)
        if self._synced is not None:
            self._synced.add(task_id)
        task = self._tasks.get(task_id)
        if task is None and not self._room.is_left():
            self._room.refuse(task_id)
            close_all(descriptors)
            return
        if task is None:
            task = self._tasks[task_id] = self._new_task(task_id)
            self._herder.send(TaskSnapshot(task.report(), task.death), [task.slot_fd])
        if task.state.is_paused != message.paused:
            self._journal.ordered(task_id)
        task.configure(descriptors[0])
        task.handle(Wanted(message.config_hash, message.paused, message.supervision))
        self._watch.watch(task)

    def _new_task(self, task_id: TaskId) -> SupervisedTask:
        newest = self._numbers.highest_generation
        task = SupervisedTask(self, task_id, self._settings.data_dir, newest)
        remembered = self._state_file.take(task_id)
        if remembered is not None:
            task.recall(*remembered)
        return task

    def _drop(self, task_id: TaskId) -> None:
        self._room.forget(task_id)
        task = self._tasks.get(task_id)
        if task is not None:
            task.handle(Unwanted())

    def _sync_ended(self, count: int) -> None:
        """The herder has told the whole set: what it did not name ends, unless it named nothing."""
        named, self._synced = self._synced, None
        if named is None or not count or len(named) != count:
            return
        for task_id in list(self._tasks.keys() - named):
            self._drop(task_id)
        self._state_file.forget_the_rest(but=self._room.waiting)

    def _plan(self, message: Plan, descriptors: list[int]) -> None:
        if not self._room.is_left():
            close_all(descriptors)
            self._herder.send(PlanEnded(message.token, "the supervisor has no descriptors left"))
            return
        if self._plan_output is None:
            path = self._settings.data_dir / "logs" / "plan.log"
            self._plan_output = LogPipe(self.log, {"process": "plan"}, path)
        plan = PlanChild(message, descriptors, self.reaper, self._plan_ended)
        self._plans[message.token] = plan
        plan.start(self.zygote, self.next_token(), self._plan_output)

    def _plan_ended(self, token: int, problem: str | None) -> None:
        self._plans.pop(token, None)
        self._herder.send(PlanEnded(token, problem))

    # ---- watching -----------------------------------------------------------------------------

    def _orphan_ended(self, pid: int) -> None:
        self.log.debug("an orphan ended", pid=pid)

    def _watch_over(self) -> None:
        """Have everything looked at, from now on."""
        self._ticker.start(
            (
                self._look_at_tasks,
                self.zygote.check,
                self._look_at_upgrade,
                self._look_at_disk,
                self._notifier.alive,
                self._tell_again,
                self._tell_herder,
            )
        )

    def _look_at_tasks(self, now: float) -> None:
        if not self._ticker.is_forgiving(now):
            self._watch.look()

    def _look_at_upgrade(self, now: float) -> None:
        if self._upgrade is not None:
            self._upgrade.check_trial(now)
        if self._ticker.ticks == _HEALTHY_AFTER:
            self._notifier.healthy()

    def _look_at_disk(self, now: float) -> None:
        self.log.console.flush()
        if self._state_file.is_behind:
            self._state_file.flush()
        self._records.sweep(now)

    def _tell_again(self, _now: float) -> None:
        for task in self._room.take_waiting():
            self._herder.send(TellAgain(*task))

    def _tell_herder(self, _now: float) -> None:
        if self._ticker.ticks % _SAMPLE_EVERY == 0:
            self._sample()
            self._reloading.tell_status(t.state.condition for t in self._tasks.values())

    def _sample(self) -> None:
        if self._ticker.ticks % _LOSSES_EVERY == 0:
            logs = {task.id: task.log for task in self._tasks.values()}
            self._losses = self._records.losses(logs, self._room.problem())
        lag, restarts = self._ticker.lag, (self.zygote.restarts, self._herder.restarts)
        self._herder.send(SupervisorSample(lag, *restarts, self._losses, self.zygote.seen))


def _has_terminal() -> bool:
    """Whether a SIGHUP would mean that the terminal is gone, and not that files have changed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _say(problem: str) -> None:
    """Tell whoever typed the command, as the command line does; the log is for the service."""
    text = problem.replace("\n", "\n  ")
    with contextlib.suppress(OSError):
        os.write(2, f"engine: {text}\n".encode("utf-8", "backslashreplace"))
