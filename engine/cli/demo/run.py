"""One run of the demo: writes, watches, compares, shows, and leaves nothing behind."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from engine.cli.child_engine import ChildEngine
from engine.cli.ctl.status import first_line, name_of
from engine.cli.demo.compare import Comparison, count_lines, judge
from engine.cli.demo.screen import Scene, arrived_words, make_screen
from engine.cli.demo.work import SINK, SOURCE, DemoError, Paths
from engine.cli.demo.writer import RATE, LogWriter
from engine.cli.interrupts import Interrupts
from engine.kafka.embedded.artifacts import EmbeddedKafkaError
from engine.kafka.embedded.broker import KAFKA_VERSION, read_node
from engine.kafka.embedded.port import HOST

_TICK: Final = 0.25
_COUNT_EVERY: Final = 2.0
_COMPARE_FOR: Final = 0.1
_READY_TIMEOUT: Final = 120.0
_LEAST_TIMEOUT: Final = 120.0
_SLOWEST_BYTES: Final = 1 << 20
"""Bytes per second that any machine copies: the time for a file grows with its size."""


class TaskWatch:
    """Notices when a task's process is another one, and says so."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._gone: dict[str, float] = {}

    def look(self, task: Mapping[str, Any], now: float) -> str | None:
        """What is new of a task, in one sentence."""
        name, pid = name_of(task), task["pid"]
        known = self._pids.get(name)
        if pid is None:
            if known is None or name in self._gone:
                return None
            self._gone[name] = now
            return f"{name}: pid {known} ended: {first_line(task['reason'] or 'no reason known')}"
        self._pids[name] = pid
        if known in (None, pid):
            return None
        since = self._gone.pop(name, None)
        if since is None:
            return f"{name}: pid {known} ended: {first_line(task['reason'] or '')}; now pid {pid}"
        return f"{name}: back as pid {pid} after {now - since:.1f} s"


class DemoRun:
    """From the start of the engine to its end.

    Attributes:
        is_done: every line had arrived, in order, while the engine ran.
        is_good: nothing failed.
        summary: what to tell in the end.
    """

    def __init__(self, paths: Paths, port: int, most: int | None, interrupts: Interrupts) -> None:
        """Nothing is started yet.

        Args:
            paths: where everything is.
            port: the REST API's.
            most: how many lines to write; None to copy a file that exists.
            interrupts: end it.

        Raises:
            DemoError: the input cannot be read or written.
        """
        self._paths = paths
        self._interrupts = interrupts
        self._engine = ChildEngine(paths.config_files, paths.engine_log, port)
        self._watch = TaskWatch()
        self._scene = Scene(stage="starting Apache Kafka and the engine")
        self._began = time.monotonic()
        self._next_count = 0.0
        self._is_running = False
        self.is_done = False
        self.is_good = True
        self.summary = ""
        try:
            present = count_lines(paths.source) if paths.source.exists() else 0
            self._writer = (
                None if most is None else LogWriter(paths.source, present + most, present)
            )
            self._goal = present + (most or 0)
            self._comparison = Comparison(paths.source, paths.output)
        except (OSError, EOFError) as error:
            raise DemoError(f"{paths.source}: {error}") from error
        seconds = _LEAST_TIMEOUT + paths.source.stat().st_size / _SLOWEST_BYTES
        self._deadline = self._began + seconds + (most or 0) / RATE

    def run(self, *, exits_when_done: bool) -> None:
        """Start, watch, stop, and compare.

        Raises:
            DemoError: the engine is not ready in time, or a file cannot be read or written.
            ChildEngineError: the engine ends by itself.
        """
        try:
            self._engine.start()
            with make_screen() as screen:
                while self._is_going_on(exits_when_done=exits_when_done):
                    self._tick()
                    screen.show(self._scene)
                    self._interrupts.wait(_TICK)
                self._scene.stage = "stopping: tasks, herder, zygote, Apache Kafka"
                screen.show(self._scene)
                left = self._stop()
            self._conclude(exits_when_done=exits_when_done)
        finally:
            self._stop()
            self._comparison.close()
            if self._writer:
                self._writer.close()
        if left:
            self.is_good = False
            self.summary += f"\nthese did not end by themselves and were killed: {', '.join(left)}"

    def _is_going_on(self, *, exits_when_done: bool) -> bool:
        now = time.monotonic()
        if not self._is_running and now > self._began + _READY_TIMEOUT:
            raise DemoError(
                f"the engine was not ready within {_READY_TIMEOUT:.0f} s"
                f" (see {self._paths.engine_log})"
            )
        self.is_done = self._comparison.arrived >= self._goal
        is_over = self.is_done or now > self._deadline or self._failure()
        return not (self._interrupts.count or (exits_when_done and is_over))

    def _failure(self) -> str | None:
        """The first task that is given up, and why."""
        for task in self._scene.tasks:
            if task["condition"] == "FAILED":
                return f"{name_of(task)} FAILED: {first_line(task['trace'] or '')}"
        return None

    def _stop(self) -> list[str]:
        first = self._interrupts.count
        return list(self._engine.stop(lambda: self._interrupts.count > first))

    def _tick(self) -> None:
        now = time.monotonic()
        scene = self._scene
        scene.elapsed = now - self._began
        self._write(now)
        if not self._is_running:
            self._is_running = self._engine.is_ready()
            if self._is_running:
                self._describe()
        if self._is_running:
            self._observe(now)
        self._compare()
        if self._is_running:
            scene.stage = self._stage()

    def _write(self, now: float) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write_due(now)
        except OSError as error:
            raise DemoError(f"{self._paths.source}: {error.strerror}") from error

    def _observe(self, now: float) -> None:
        engine, scene = self._engine, self._scene
        if now >= self._next_count:
            self._next_count = now + _COUNT_EVERY
            engine.count_processes()
        look = engine.observe()
        scene.tasks, scene.problem = look.tasks, look.problem
        scene.pids = {
            "supervisor": engine.pid,
            **{name: look.pids[name] for name in ("zygote", "broker") if name in look.pids},
            **({"herder": look.worker["herder_pid"]} if look.worker else {}),
        }
        for task in look.tasks:
            event = self._watch.look(task, now)
            if event:
                scene.events.append(f"{scene.elapsed:.1f} s  {event}")

    def _compare(self) -> None:
        deadline = time.monotonic() + _COMPARE_FOR
        try:
            while self._comparison.step() and time.monotonic() < deadline:
                pass
        except (OSError, EOFError) as error:
            raise DemoError(f"the files cannot be compared: {error}") from error
        scene, comparison = self._scene, self._comparison
        scene.arrived, scene.extra = comparison.arrived, comparison.extra
        scene.sent = self._writer.lines if self._writer else max(self._goal, scene.arrived)

    def _stage(self) -> str:
        if self._writer is None:
            return "every line has arrived" if self.is_done else "copying"
        if not self._writer.is_done:
            return f"writing {RATE:,} lines per second and copying them"
        return "every line has arrived" if self.is_done else "copying the rest"

    def _describe(self) -> None:
        """Say where everything is, and what to do with it."""
        paths, url = self._paths, self._engine.url
        self._scene.addresses = [
            ("output", str(paths.output)),
            ("REST API", url),
            ("metrics", f"{url}/metrics"),
            ("input", str(paths.source)),
            ("engine's log", str(paths.engine_log)),
            ("Kafka", f"{_broker_address(paths.data_dir)}  (Apache Kafka {KAFKA_VERSION})"),
            ("configuration", str(paths.work_dir / "*.properties")),
        ]
        ctl = f"{_engine_command(Path.cwd())} ctl"
        where = "" if url.endswith(":8083") else f" --url {url}"
        self._scene.commands = [
            (f"{ctl} status{where}", "connectors and tasks"),
            (f"{ctl} describe {SINK}{where}", "all about one of them"),
            (f"{ctl} logs -f {SOURCE}{where}", "what it logs"),
            ("kill -9 PID", "a task, and watch it come back"),
        ]

    def _conclude(self, *, exits_when_done: bool) -> None:
        """Compare the finished files, whatever the live comparison said."""
        scene, paths = self._scene, self._paths
        if not exits_when_done or (self._interrupts.count and not self.is_done):
            self._compare()
            self.summary = f"{arrived_words(scene)}: {paths.source} → {paths.output}"
            return
        try:
            verdict = judge(paths.source, paths.output, self._goal)
        except (OSError, EOFError) as error:
            raise DemoError(f"the files cannot be compared: {error}") from error
        late = "" if self.is_done else f"; gave up after {scene.elapsed:.0f} s"
        failure = self._failure()
        if failure and not self.is_done:
            late += f": {failure}"
        self.is_good = self.is_done = verdict.is_good
        self.summary = f"{verdict}: {paths.source} → {paths.output}{late}"


def _broker_address(data_dir: Path) -> str:
    try:
        node = read_node(data_dir / "kafka")
    except (EmbeddedKafkaError, OSError):
        node = None
    return "unknown" if node is None else f"{HOST}:{node.port}"


def _engine_command(working_dir: Path) -> str:
    """How to call this very engine from here."""
    command = Path(sys.executable).with_name("engine")
    if str(command.parent) in ("/bin", "/usr/bin", "/usr/local/bin"):
        return command.name
    near = os.path.relpath(command, working_dir)
    return str(command) if near.startswith("..") else near
