"""A source whose tasks misbehave on demand, and move nothing: no broker is needed.

A task does what its configuration says (``at.start``, ``at.stop``) or what a file named after it in
``orders.dir`` says; it takes the file away first, so that each order is obeyed once.
"""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.api import (
    NO_KEYS,
    AuthenticationError,
    ConfigError,
    ConfigKeys,
    RetriableError,
    SourceBatch,
    SourceConnector,
    SourceRecord,
    SourceTask,
)


class MisbehavingConnector(SourceConnector):
    """As many tasks as it may have."""

    version = "1"

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def start(self, config: Mapping[str, str]) -> None:
        self._given = dict(config)

    def task_class(self) -> type[SourceTask]:
        return MisbehavingTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        name = self._given["name"]
        return [{**self._given, "task.name": f"{name}-{number}"} for number in range(max_tasks)]


class MisbehavingTask(SourceTask):
    """Obeys; otherwise finds nothing to read."""

    def start(self, config: Mapping[str, str]) -> None:
        self._config = config
        self._wait = float(config.get("poll.ms", "20")) / 1000
        self._orders = Path(config["orders.dir"]) / config["task.name"]
        self._said = 0
        self._obey(config.get("at.start"))
        if config.get("progresses"):
            self.context._runtime.progressed()  # type: ignore[attr-defined]

    def poll(self) -> SourceBatch | Sequence[SourceRecord] | None:
        threading.Event().wait(self._wait)
        if "chatters" in self._config:
            print("".join(f"word {self._said + n}\n" for n in range(50)), end="", flush=True)
            self._said += 50
        try:
            order = self._orders.read_text()
            self._orders.unlink()
        except FileNotFoundError:
            return None
        self._obey(order)
        return None

    def stop(self) -> None:
        self._obey(self._config.get("at.stop"))

    def _obey(self, order: str | None) -> None:
        """Do what the order says; ``busy`` and ``lag`` are things that a task can say itself."""
        verb, _, argument = (order or "").partition(" ")
        if verb == "lag":
            self.context.lag(int(argument))
        elif verb == "leak":
            print(self._config)
            logging.getLogger("misbehaving").error("with %s", self._config)
            raise ValueError(str(self._config))
        elif verb == "move":
            self.context._runtime.progressed()  # type: ignore[attr-defined]
        elif verb == "busy":
            self.context.busy(float(argument) + 1)
            wait(argument)
        else:
            obey(order)


def obey(order: str | None) -> None:
    """Do what the order says, such as ``exit 3``."""
    if order:
        verb, _, argument = order.partition(" ")
        ORDERS[verb](argument)


def exit_now(code: str) -> None:
    os._exit(int(code))


def exit_python(code: str) -> None:
    sys.exit(int(code))


def kill_self(number: str) -> None:
    os.kill(os.getpid(), int(number))
    signal.pause()


def fail(text: str) -> None:
    kinds = {
        "ConfigError": ConfigError,
        "RetriableError": RetriableError,
        "AuthenticationError": AuthenticationError,
    }
    kind, _, message = text.partition(" ")
    raise kinds.get(kind, ValueError)(message)


def fail_in_another_tongue(_argument: str) -> None:
    """A very long message that no shortening by characters would make short enough."""
    raise ConfigError("日本語" * 60_000 + "\udcff")


def wait(seconds: str) -> None:
    threading.Event().wait(float(seconds))


def ignore_sigterm(_argument: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()


_HOARD: list[bytearray] = []


def hoard(mebibytes: str) -> None:
    """Use so much more memory, a MiB at a time, and keep it."""
    _HOARD.extend(bytearray(b"x") * (1 << 20) for _ in range(int(mebibytes)))


def bomb(number: str) -> None:
    """Fork until that is refused, and keep all of them for a while."""
    for _ in range(int(number)):
        if os.fork() == 0:
            threading.Event().wait(60)
            os._exit(0)


def open_many(number: str) -> None:
    """Open so many files."""
    with contextlib.ExitStack() as files:
        for _ in range(int(number)):
            files.enter_context(open(os.devnull, "rb"))


def burn(seconds: str) -> None:
    """Use a CPU as far as one can be had."""
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        pass


def write(path: str) -> None:
    Path(path).write_text("a line")


def hold_the_gil(seconds: str) -> None:
    """No Python code of this process runs meanwhile, signal handlers included."""
    libc = ctypes.PyDLL(None)
    deadline = int(seconds)
    while deadline > 0:  # a signal interrupts a sleep; the next one begins without Python between
        deadline = libc.sleep(deadline)


def hold_the_gil_deaf(seconds: str) -> None:
    """The same in one call, which no signal handler interrupts for long."""
    libc = ctypes.PyDLL(None)
    libc.poll(None, ctypes.c_ulong(0), ctypes.c_int(int(seconds) * 1000))


def leave_a_grandchild(pid_file: str) -> None:
    """One that left session, process group and parent behind, as a daemon does."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(pid_file).write_text(str(os.getpid()))
            os.dup2(os.open(os.devnull, os.O_RDWR), 2)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Event().wait()
        os._exit(0)
    os.wait()


def leave_a_program(pid_file: str) -> None:
    """The same, executed, with descriptors of its own."""
    program = (
        "import os, signal, sys; os.setsid(); os.fork() and os._exit(0); "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
    )
    subprocess.run([sys.executable, "-c", program, pid_file], check=True)


def leave_a_nameless_program(pid_file: str) -> None:
    """The same with an empty environment, so that nothing tells whose it is."""
    program = (
        "import os, signal, sys; os.setsid(); os.fork() and os._exit(0); "
        "open(sys.argv[1], 'w').write(str(os.getpid())); signal.pause()"
    )
    subprocess.run([sys.executable, "-c", program, pid_file], check=True, env={})


def leave_an_orphan(code: str) -> None:
    """One that ends at once, as somebody else's child."""
    if os.fork() == 0:
        if os.fork() == 0:
            threading.Event().wait(0.05)
            os._exit(int(code))
        os._exit(0)
    os.wait()


def print_and_die(text: str) -> None:
    os.write(1, f"{text}\n".encode() * 500 + b"half a li")
    os.kill(os.getpid(), signal.SIGKILL)


def say(text: str) -> None:
    print(text, flush=True)


def log(text: str) -> None:
    """As a plugin does that knows nothing of the engine; the first word is the level."""
    level, _, message = text.partition(" ")
    logging.getLogger("misbehaving.deep").log(logging.getLevelName(level), message)


def flood(size: str) -> None:
    """So many bytes in lines as fast as they are taken, and then one line more."""
    lines = (b"x" * 199 + b"\n") * 500
    for _ in range(int(size) // len(lines)):
        os.write(1, lines)
    os.write(1, b"the flood is over\n")


def print_oddly(_argument: str) -> None:
    """What no log should choke on, and then a death in the middle of a line."""
    os.write(1, b"caf\xe9 \x1b[31mred\x1b[0m\n\xff\xfe\n\0nul\n\n")
    os.write(1, b"long " + b"y" * 10_000_000 + b"\n")
    os.write(1, b'{"event": "no event of ours"}\n\x1e{"half": ')
    os.kill(os.getpid(), signal.SIGKILL)


def fail_in_a_thread(text: str) -> None:
    """Python prints why, and the task goes on."""
    thread = threading.Thread(target=fail, args=(text,))
    thread.start()
    thread.join()


ORDERS: Mapping[str, Callable[[str], None]] = {
    "exit": exit_now,
    "sys.exit": exit_python,
    "kill": kill_self,
    "raise": fail,
    "raise_long": fail_in_another_tongue,
    "wait": wait,
    "write": write,
    "hoard": hoard,
    "bomb": bomb,
    "open": open_many,
    "burn": burn,
    "ignore_sigterm": ignore_sigterm,
    "gil": hold_the_gil,
    "gil_deaf": hold_the_gil_deaf,
    "grandchild": leave_a_grandchild,
    "program": leave_a_program,
    "orphan": leave_an_orphan,
    "nameless": leave_a_nameless_program,
    "print": say,
    "print_and_die": print_and_die,
    "say": say,
    "log": log,
    "flood": flood,
    "print_oddly": print_oddly,
    "fail_in_a_thread": fail_in_a_thread,
}
