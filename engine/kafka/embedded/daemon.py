"""A detached broker: a small process that runs Apache Kafka and starts it again when it dies.

Whoever holds the lock on the data directory's ``lock`` file is that process and has its number in
there; ``state.json`` says what it last knew.

``python -m engine.kafka.embedded.daemon DATA_DIR CACHE_DIR PORT READY_FD``.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from engine.kafka.embedded.artifacts import EmbeddedKafkaError
from engine.kafka.embedded.broker import EmbeddedKafka
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.model.backoff import Backoff
from engine.model.service import Service

_START_TIMEOUT: Final = 120.0
_STOP_TIMEOUT: Final = 30.0
_PEEK: Final = 0.5  # whoever only asks for the state holds the lock much shorter


@dataclass(frozen=True, slots=True)
class DaemonState:
    """What a daemon says of itself.

    Attributes:
        address: of the broker; empty until it is known.
        state: ``starting``, ``running`` or ``waiting`` (to start the broker again).
        problem: why the broker ended or did not start, last time.
    """

    pid: int
    address: str
    state: str
    kafka_pid: int | None = None
    restarts: int = 0
    problem: str | None = None


def read_state(data_dir: Path) -> DaemonState | None:
    """What the running daemon of a data directory says; None when none runs."""
    try:
        with (data_dir / "lock").open() as lock:
            if _try_lock(lock):
                return None
            pid = int(lock.read() or 0)
    except FileNotFoundError:
        return None
    try:
        state = DaemonState(**json.loads((data_dir / "state.json").read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        state = None
    # what is written may be a former daemon's, whose number may be somebody else's by now
    return state if state and state.pid == pid else DaemonState(pid, "", "starting")


def spawn(data_dir: Path, cache_dir: Path, port: int | None) -> str:
    """Start a daemon and wait until its broker is ready; the broker's address.

    Raises:
        EmbeddedKafkaError: it did not become ready; nothing is left of it.
    """
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    module = "engine.kafka.embedded.daemon"
    argv = (sys.executable, "-P", "-m", module, data_dir, cache_dir, str(port or 0), str(writer))
    with (data_dir / "logs" / "daemon.log").open("ab") as log, open(reader, "rb") as ready:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writer,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(writer)
        process.wait()  # it leaves the daemon behind and ends
        word, _, text = ready.read().decode().partition(" ")
    if word != "ready":
        raise EmbeddedKafkaError(text or f"it ended at once; see {log.name}")
    return text


def stop(data_dir: Path) -> bool:
    """Stop the daemon of a data directory and wait for its end; False when none runs."""
    state = read_state(data_dir)
    if state is None or not state.pid:
        return False
    try:
        process = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return False
    try:
        if read_state(data_dir) is None:  # it ended meanwhile, its number may be another's
            return False
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], _STOP_TIMEOUT + 5)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)  # and the kernel ends the broker
    finally:
        os.close(process)
    return True


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[None]:
    """Be the only one who runs a broker in this data directory.

    Raises:
        EmbeddedKafkaError: somebody else is.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a") as lock:
        deadline = time.monotonic() + _PEEK
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(f"a broker runs already in {data_dir}")
            select.select([], [], [], _PEEK / 20)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class Daemon:
    """Keeps one broker running until SIGTERM or SIGINT. One thread; signals only wake it."""

    def __init__(self, data_dir: Path, service: Service, training: tuple[str, ...] | None) -> None:
        """Nothing happens yet.

        Args:
            data_dir: held by the caller.
            service: the broker.
            training: command that makes later starts faster, run once beside the broker.
        """
        self._data_dir = data_dir
        self._training = training
        self._broker = BrokerProcess(service, data_dir / "logs" / "output.log")
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._restarts = 0

    def handle_signals(self) -> None:
        """Let SIGTERM and SIGINT end :meth:`run`."""
        signal.set_wakeup_fd(self._waker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)

    def start(self) -> None:
        """Start the broker and wait until it is ready.

        Raises:
            EmbeddedKafkaError: it is not.
        """
        self._tell("starting")
        try:
            self._broker.start()
            self._broker.wait_ready(_START_TIMEOUT)
        except EmbeddedKafkaError:
            self._broker.stop()
            raise
        self._tell("running")

    def run(self) -> None:
        """Watch the started broker; start it again, with growing delays, whenever it ends."""
        trainer = self._train()
        try:
            backoff, problem = Backoff(first=1.0, most=30.0, healthy=60.0), ""
            backoff.started(time.monotonic())
            while not self._is_told_to_stop(self._broker):
                self._tell("waiting", problem or "the broker ended")
                if self._wait_signal(backoff.delay(time.monotonic())):
                    break
                self._restarts += 1
                backoff.started(time.monotonic())
                problem = self._start_again()
        finally:
            if trainer is not None:
                trainer.terminate()
                trainer.wait()
            self._broker.stop(_STOP_TIMEOUT)

    def _start_again(self) -> str:
        try:
            self.start()
        except EmbeddedKafkaError as error:
            return str(error)
        return ""

    def _is_told_to_stop(self, broker: BrokerProcess) -> bool:
        """Wait for the end of the broker or for a signal; whether it was the signal."""
        if not broker.is_running:
            return self._wait_signal(0)
        process = os.pidfd_open(broker.pid)
        try:
            return self._wake in select.select([process, self._wake], [], [])[0]
        finally:
            os.close(process)

    def _wait_signal(self, timeout: float) -> bool:
        return bool(select.select([self._wake], [], [], timeout)[0])

    def _train(self) -> subprocess.Popen[bytes] | None:
        if self._training is None:
            return None
        return subprocess.Popen(self._training, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def _tell(self, state: str, problem: str | None = None) -> None:
        pid = self._broker.pid if self._broker.is_running else None
        told = DaemonState(os.getpid(), self._broker.address, state, pid, self._restarts, problem)
        new = self._data_dir / f".state.{os.getpid()}"
        new.write_text(json.dumps(asdict(told)), "utf-8")
        new.replace(self._data_dir / "state.json")


def serve(
    data_dir: Path, cache_dir: Path, port: int | None, on_ready: Callable[[str], None]
) -> None:
    """Hold the data directory and keep a broker running in it until SIGTERM or SIGINT.

    Args:
        on_ready: gets the address, once.

    Raises:
        EmbeddedKafkaError: the broker did not start the first time.
    """
    with hold_data_dir(data_dir):
        node = EmbeddedKafka(data_dir, cache_dir, port)
        service = node.prepare()
        training = (sys.executable, "-P", "-m", "engine.kafka.embedded.training", str(cache_dir))
        daemon = Daemon(data_dir, service, None if node.archive.exists() else training)
        daemon.handle_signals()
        daemon.start()
        on_ready(f"{service.ready_host}:{service.ready_port}")
        daemon.run()


def main(arguments: list[str]) -> int:
    """The process; tells whoever made it over a pipe how the start went."""
    if os.fork():  # nobody is to be our parent, who would have to wait for us
        return 0
    data_dir, cache_dir, port, ready_fd = arguments
    pipe = int(ready_fd)
    os.set_inheritable(pipe, False)

    def on_ready(address: str) -> None:
        os.write(pipe, f"ready {address}".encode())
        os.close(pipe)

    try:
        serve(Path(data_dir), Path(cache_dir), int(port) or None, on_ready)
    except EmbeddedKafkaError as error:
        os.write(pipe, f"failed {error}".encode())
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
