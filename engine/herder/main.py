"""The herder's process: greets the supervisor, takes over what runs, plans, then serves REST.

The REST API sits above this package, so it is handed in as a function.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence, Sized
from pathlib import Path
from typing import Final

from engine.api.config import parse
from engine.api.errors import ConfigError, ConnectError
from engine.herder.background import Background
from engine.herder.connector_files import ConnectorFiles
from engine.herder.herder import Herder
from engine.herder.journal import ACTOR, HerderJournal
from engine.herder.log_levels import LogLevels
from engine.herder.plan_client import PlanClient
from engine.herder.planner import Planner
from engine.herder.sampler import Sampler
from engine.herder.standalone import StandaloneHerder, WorkerFacts
from engine.herder.standalone_start import StandaloneStart, StartRefusedError
from engine.herder.supervisor_link import Received, SupervisorLink
from engine.herder.task_publisher import TaskPublisher
from engine.herder.task_table import TaskTable
from engine.herder.worker_connectors import Parts, WorkerConnectors
from engine.model.herder_config import HerderConfig
from engine.model.task_id import TaskId
from engine.storage.config_store import SqliteConfigStore
from engine.storage.database import StoreError
from engine.storage.status_store import SqliteStatusStore
from engine.wire.channel import Channel, shorten
from engine.wire.herder_message import (  # fmt: skip
    Ack,
    HerderBoot,
    HerderReady,
    LogLevelsSet,
    PlanEnded,
    Refused,
    Reload,
    Reloaded,
    SnapshotEnd,
    SupervisorSample,
    SupervisorToHerder,
    SyncBegin,
    SyncEnd,
    TaskEvent,
    TaskSnapshot,
    TellAgain,
    UpgradeRequested,
    UpgradeState,
    Welcome,
)
from engine.wire.log_sequence import get_logger

EXIT_REFUSED: Final = 3
"""A connector of the command line cannot be made, as upstream's standalone worker exits."""

EXIT_STORE: Final = 1

Close = Callable[[], Awaitable[None]]
Serve = Callable[[Herder, socket.socket], Awaitable[Close]]
"""Serves the REST API on a listening socket; the answer ends it."""

_HEAD_START: Final = 1.0
"""Seconds that planning gets before the REST API may be imported, which stops the loop."""

_TASKS_FIRST: Final = 0.4
"""Seconds that tasks get on top of that for their first record."""

_LOOK_AGAIN: Final = 0.01

_STORED_WITHIN: Final = 0.05
"""Seconds that events wait for each other: a task that is killed and back again is one write."""

_SAMPLE_EVERY: Final = 1.0
_SETTLED: Final = 10.0
"""Seconds after which nobody's start is in the way of looking at what is installed."""

_LAST_ANSWERS: Final = 1.0
_LONGEST_NAME: Final = 4096
_LONGEST_PROBLEM: Final = 32_768


class HerderProcess:
    """One herder, from its first message to its end.

    Attributes:
        herder: what the REST API is given; None until what was planned before is taken over.
    """

    def __init__(self, boot: HerderBoot) -> None:
        self._boot = boot
        self._facts = WorkerFacts(boot.worker_id, kafka_cluster_id=boot.kafka_cluster_id)
        data_dir = Path(boot.data_dir)
        self._facts.journal_file = data_dir / "journal" / "events.jsonl"
        self._table = TaskTable(boot.worker_id, data_dir / "logs")
        self._statuses = SqliteStatusStore(data_dir / "herder.db")
        self._config = parse(HerderConfig, boot.worker)
        self._configs = SqliteConfigStore(data_dir / "herder.db", self._config)
        self._running: list[TaskId] = []
        self._epoch = 0
        self._connectors: WorkerConnectors | None = None
        self._listener: socket.socket | None = None
        self._last_seq = 0
        self._unstored: list[TaskEvent] = []
        self._is_told = asyncio.Event()
        self._is_over = asyncio.Event()
        self._background = Background()
        self.herder: StandaloneHerder | None = None
        self._link: SupervisorLink
        self._client: PlanClient
        self._journal: HerderJournal
        self._levels: LogLevels

    async def run(self, sock: socket.socket, serve: Serve) -> int:
        """Live until the supervisor closes the socket; the exit code."""
        channel: Channel[SupervisorToHerder] = Channel(sock, SupervisorToHerder)
        self._link = SupervisorLink(channel, self._receive, self._is_over.set)
        self._journal = HerderJournal(self._link.send)
        worker = self._boot.worker
        self._levels = LogLevels(self._link.send, self._journal, worker)
        self._client = PlanClient(
            self._link.send,
            worker,
            self._boot.data_dir,
            deadline=self._config.plan_timeout,
        )
        living = asyncio.ensure_future(self._live(serve))
        ended = asyncio.ensure_future(self._is_over.wait())
        await asyncio.wait((living, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not living.done():
            living.cancel()
        try:
            return await living
        except asyncio.CancelledError:
            return 0
        except ConnectError as error:
            self._link.send(_refused(error))
            raise
        finally:
            self._link.close()

    # ---- what comes ---------------------------------------------------------------------------

    def _receive(self, received: Sequence[Received]) -> None:
        events: list[TaskEvent] = []
        for message, descriptors in received:
            if isinstance(message, TaskEvent):
                events.append(message)
            else:
                self._take(message, descriptors)
        if events:
            self._take_events(events)

    def _take(  # noqa: C901 (a table: one line a message)
        self, message: SupervisorToHerder, descriptors: list[int]
    ) -> None:
        match message:
            case Welcome(supervisor_pid, epoch):
                self._facts.supervisor_pid = supervisor_pid
                self._epoch = epoch
                if descriptors:
                    self._listener = socket.socket(fileno=descriptors[0])
            case TaskSnapshot(report, death):
                self._table.snapshot(report, descriptors, death)
                self._running.append(TaskId(report.connector, report.task))
            case LogLevelsSet():
                self._levels.take(message)
            case SnapshotEnd():
                self._is_told.set()
            case SupervisorSample():
                self._facts.sample = message
                self._table.lost(message.losses.task_logs)
            case PlanEnded(token, problem):
                self._client.ended(token, problem)
            case TellAgain(connector, number):
                if self._connectors is not None:
                    self._connectors.tell_again(TaskId(connector, number))
            case UpgradeState():
                self._facts.upgrade = message
            case Reload():
                self._background.run(self._reload())
            case _:
                get_logger(__name__).warning("unexpected message", message=message)

    def _request_upgrade(self) -> None:
        self._link.send(UpgradeRequested())

    async def _reload(self) -> None:
        ACTOR.set("connector files")
        if self.herder is None:
            self._link.send(Reloaded(problems=("the herder does not know its connectors yet",)))
        else:
            self._link.send((await self.herder.reload()).shortened())

    def _take_events(self, events: Sequence[TaskEvent]) -> None:
        """An event that was told before is told to a new herder only; order is by number."""
        new = [event for event in events if event.seq > self._last_seq]
        for event in new:
            self._table.apply(event)
        if not new:
            return
        self._last_seq = new[-1].seq
        if not self._unstored:
            asyncio.get_running_loop().call_later(_STORED_WITHIN, self._store_events)
        self._unstored += new

    def _store_events(self) -> None:
        """Store what has come of late and say so; the supervisor tells the rest again."""
        events, self._unstored = self._unstored, []
        if not events:
            return
        try:
            self._statuses.put_events(events)
        except StoreError as error:
            get_logger(__name__).error("statuses not stored", error=str(error))
        else:
            self._link.send(Ack(events[-1].seq))

    # ---- what happens -------------------------------------------------------------------------

    async def _live(self, serve: Serve) -> int:
        await self._is_told.wait()
        planner = Planner(self._client)
        publisher = TaskPublisher(
            self._link.send, self._table, self._boot.worker, self._boot.data_dir
        )
        parts = Parts(
            self._configs, self._statuses, planner, publisher, self._table, self._journal,
            self._levels,
        )  # fmt: skip
        connectors = self._connectors = WorkerConnectors(parts)
        start = StandaloneStart(connectors, parts, self._epoch)
        self._link.send(SyncBegin(1))
        start.take_over(self._boot.connectors, self._running)
        self._link.send(SyncEnd(1, len(publisher)))
        planning = asyncio.ensure_future(start.plan(self._boot.connectors))
        await asyncio.wait((planning,), timeout=_HEAD_START)
        if planning.done() and isinstance(planning.exception(), StartRefusedError):
            return await self._outcome(planning)
        await self._let_tasks_go_first(publisher)
        self._background.run(self._sample())
        files = ConnectorFiles(self._boot, connectors)
        self.herder = StandaloneHerder(
            connectors, self._table, planner, self._facts, files, self._request_upgrade
        )
        serving = asyncio.ensure_future(self._serve(self.herder, serve))
        try:
            code = await self._outcome(planning)
            if code:
                return code
            self._facts.is_ready = True
            self._link.send(HerderReady())
            asyncio.get_running_loop().call_later(_SETTLED, _check_plugins)
            if self._facts.kafka_cluster_id is None:
                self._background.run(self._find_cluster(planner))
            await serving  # which may fail; it ends when somebody has connected
            await self._is_over.wait()
            return 0
        finally:
            planning.cancel()
            await self._close(serving)

    async def _let_tasks_go_first(self, wanted: Sized) -> None:
        """The REST API's modules would take a processor from tasks that connect just now."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TASKS_FIRST
        while not self._table.are_on_their_way(len(wanted)) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)  # slots are memory: nothing tells when they change

    async def _outcome(self, planning: "asyncio.Future[None]") -> int:
        """Wait for the first plans; the exit code when they are refused, else 0."""
        try:
            await planning
        except StartRefusedError as error:
            for connector, problem in error.problems.items():
                name = shorten(connector, _LONGEST_NAME)
                self._link.send(Refused(name, shorten(problem, _LONGEST_PROBLEM)))
            return EXIT_REFUSED
        return 0

    async def _serve(self, herder: Herder, serve: Serve) -> Close | None:
        """Serve from the first connection on: a third of this process's memory and start."""
        if self._listener is None:
            return None
        is_asked, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(self._listener, is_asked.set)
        try:
            await is_asked.wait()
        finally:
            loop.remove_reader(self._listener)
        return await serve(herder, self._listener)

    async def _close(self, serving: "asyncio.Future[Close | None]") -> None:
        if not serving.done():
            serving.cancel()
            return
        close = None if serving.cancelled() or serving.exception() else serving.result()
        if close is not None:
            try:
                async with asyncio.timeout(_LAST_ANSWERS):
                    await close()
            except TimeoutError:
                get_logger(__name__).warning("requests were cut off")

    async def _sample(self) -> None:
        """Measure what the tasks' processes use, some of them every second."""
        sampler, clock = Sampler(self._facts.supervisor_pid), asyncio.get_running_loop().time
        while True:
            self._table.sampled(sampler.sample(self._table.processes(), clock()))
            await asyncio.sleep(_SAMPLE_EVERY)

    async def _find_cluster(self, planner: Planner) -> None:
        """Ask until the broker says who it is."""
        delay = 1.0
        while self._facts.kafka_cluster_id is None:
            self._facts.kafka_cluster_id = await planner.cluster_id()
            await asyncio.sleep(delay)
            delay = min(2 * delay, 60.0)

    def close(self) -> None:
        """Store what has not been, and close the files."""
        self._store_events()
        self._configs.close()
        self._statuses.close()


def _check_plugins() -> None:
    """Say early what would show only when somebody asks for a plugin."""
    problem = plugin_problem()
    if problem is not None:
        get_logger(__name__).error("plugins are in each other's way", problem=problem)


def plugin_problem() -> str | None:
    """Which name two distributions offer; None when every name is one distribution's."""
    from engine.plugins.registry import Plugins  # noqa: PLC0415 (not before the tasks run)

    try:
        Plugins().check()
    except ConfigError as error:
        return str(error)
    return None


def run(sock: socket.socket, boot: HerderBoot, serve: Serve) -> int:
    """Be a herder; the process's exit code.

    The supervisor ends it by closing the socket, also when it dies itself. Ctrl-C and a service
    manager signal the whole group while the ends of tasks are still to be told: that is ignored.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        return asyncio.run(_run(sock, boot, serve))
    except ConnectError as error:
        get_logger(__name__).error("the herder cannot go on", problem=str(error))
        return EXIT_STORE


def _refused(error: ConnectError) -> Refused:
    return Refused(None, shorten(str(error), _LONGEST_PROBLEM))


async def _run(sock: socket.socket, boot: HerderBoot, serve: Serve) -> int:
    try:
        process = HerderProcess(boot)
    except ConnectError as error:
        with contextlib.suppress(OSError):
            Channel(sock, SupervisorToHerder).send(_refused(error))
        raise
    try:
        return await process.run(sock, serve)
    finally:
        process.close()
