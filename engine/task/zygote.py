"""The zygote: imports what tasks need, once, and forks a process for each request.

Executed as ``python -P -m engine.task.zygote FD SUPERVISOR_PID MODULE…``. It never makes a Kafka
handle, a thread or a random number: a fork would carry them over broken. The order of the steps in
:func:`_become` is a contract; each line says what it depends on.
"""

import contextlib
import faulthandler
import gc
import importlib
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

import setproctitle

from engine.model.exit_status import EXIT_LOST_PARENT, EXIT_SOFTWARE
from engine.plugins.built_in import BUILT_IN
from engine.wire import log_sequence
from engine.wire.channel import Channel
from engine.wire.message import (
    Fork,
    Forked,
    ForkFailed,
    SupervisorToZygote,
    ZygoteReady,
    ZygoteRefused,
)  # fmt: skip
from engine.wire.prctl import die_with_parent

OWN_PRELOAD: Final = ("engine.task.bootstrap", "engine.task.plan")
"""What every task runs; the modules named on the command line come on top."""

Entry = Callable[[Fork, Sequence[int]], int]


class RefusedError(Exception):
    """Forking from here would be unsafe."""


def main(argv: Sequence[str]) -> int:
    """Preload, say so, and fork until the supervisor lets go of the socket."""
    supervisor = int(argv[1])
    die_with_parent(signal.SIGKILL)
    if os.getppid() != supervisor:
        return EXIT_LOST_PARENT
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the supervisor ends it with SIGKILL
    setproctitle.setproctitle("engine: zygote")
    sock = socket.socket(fileno=int(argv[0]))
    channel: Channel[SupervisorToZygote] = Channel(sock, SupervisorToZygote)
    try:
        entries = _preload(argv[2:])
    except RefusedError as refused:
        channel.send(ZygoteRefused(str(refused)))
        return EXIT_SOFTWARE
    _taken = _rehearse()
    gc.freeze()  # what is shared stays shared: no collection writes into these pages
    channel.send(ZygoteReady(os.getpid()))
    while _serve(channel, entries):
        pass
    return 0


def _rehearse() -> list[object]:
    """See :mod:`engine.task.rehearsal`; what fills the holes stays for as long as we live."""
    from engine.task.rehearsal import fill_holes, rehearse  # noqa: PLC0415 (imports all there is)

    try:
        rehearse()
    except Exception as error:  # noqa: BLE001 (tasks start without it, only slower)
        log_sequence.get_logger(__name__).warning("no rehearsal", error=repr(error))
    gc.collect()
    return fill_holes()


def _serve(channel: "Channel[SupervisorToZygote]", entries: dict[str, Entry]) -> bool:
    """Answer one request; False when there will be no more."""
    received = channel.receive()
    if received is None:
        return False
    fork, descriptors = received
    _fork(channel, fork, descriptors, entries[fork.kind])
    return True


def _preload(modules: Sequence[str]) -> dict[str, Entry]:
    """Import, and refuse whatever leaves a second thread behind."""
    log_sequence.configure(process="zygote")
    for name in (*OWN_PRELOAD, *modules):
        try:
            _import(name)
        except RefusedError:
            raise
        except Exception as error:
            raise RefusedError(f"module {name}: {type(error).__name__}: {error}") from error
    for name in dict.fromkeys(each.target.partition(":")[0] for each in BUILT_IN):
        try:
            _import(name)
        except ImportError as error:  # it needs an extra that is not installed; so do its tasks
            log_sequence.get_logger(__name__).debug("not preloaded", module=name, error=str(error))
    return {
        "task": importlib.import_module("engine.task.bootstrap").main,
        "plan": importlib.import_module("engine.task.bootstrap").plan,
    }


def _import(name: str) -> None:
    importlib.import_module(name)
    names = _other_threads()
    if names:
        raise RefusedError(
            f"module {name} started a thread ({', '.join(names)}); a fork would lose it"
        )


def _other_threads() -> list[str]:
    own = str(os.getpid())
    names = []
    for thread in os.listdir("/proc/self/task"):
        if thread != own:
            with open(f"/proc/self/task/{thread}/comm", encoding="utf-8") as comm:
                names.append(comm.read().strip())
    return names


def _fork(
    channel: "Channel[SupervisorToZygote]", fork: Fork, descriptors: Sequence[int], entry: Entry
) -> None:
    """Make a process whose parent is the supervisor: fork twice, and let the middle one end."""
    try:
        middle = os.fork()
    except OSError as error:
        _close(descriptors)
        channel.send(ForkFailed(fork.token, f"fork: {error.strerror}"))
        return
    if middle == 0:
        _be_middle(channel, fork, descriptors, entry)
    _close(descriptors)
    _pid, status = os.waitpid(middle, 0)
    if status != 0:
        channel.send(ForkFailed(fork.token, "the process between could not fork"))


def _be_middle(
    channel: "Channel[SupervisorToZygote]", fork: Fork, descriptors: Sequence[int], entry: Entry
) -> None:
    middle = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os._exit(1)
    if pid:
        try:
            channel.send(Forked(fork.token, pid))
        finally:
            os._exit(0)
    code = EXIT_SOFTWARE
    try:
        kept = _become(fork, descriptors, middle)
        code = entry(fork, kept)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else EXIT_SOFTWARE
    except BaseException:  # noqa: BLE001 (the border of the process)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(fork: Fork, descriptors: Sequence[int], middle: int) -> list[int]:
    """From a copy of the zygote to a process of its own; the descriptors it keeps."""
    control, log, *others = descriptors
    os.dup2(log, 1)
    os.dup2(log, 2)
    kept = [control, *others]
    _close_all_but({0, 1, 2, *kept})  # the zygote's socket first of all: its end must show
    while os.getppid() == middle:  # re-parented when the process between has ended
        os.sched_yield()
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGTERM)  # after re-parenting, else the middle's end would fire it
    if os.getppid() != fork.supervisor_pid:
        os._exit(EXIT_LOST_PARENT)  # the supervisor died meanwhile and nobody would tell us
    faulthandler.enable(file=2, all_threads=True)
    setproctitle.setproctitle(f"engine: {fork.title}")
    os.environ["ENGINE_TASK"] = f"{fork.title}#{fork.generation}"  # marks what it executes
    random.seed()
    gc.enable()
    return kept


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):  # the limit may be a million, or infinite
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the one that lists them is gone
                os.close(int(name))


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
