"""The zygote: imports what tasks need, once, and forks a process for each request.

Executed as ``python -P -m engine.task.zygote FD SUPERVISOR_PID``; the first message says what to
import besides. It never makes a Kafka
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

from engine.model.exit_status import EXIT_LOST_PARENT, EXIT_OK, EXIT_SOFTWARE
from engine.plugins.built_in import BUILT_IN
from engine.task.deferred_module import deferred
from engine.task.fork import Forker
from engine.task.identity import assume
from engine.wire import log_sequence
from engine.wire.channel import Channel
from engine.wire.prctl import die_with_parent
from engine.wire.zygote_message import (  # fmt: skip
    Fork,
    Forked,
    ForkFailed,
    Preload,
    SupervisorToZygote,
    ZygoteReady,
    ZygoteRefused,
)

_OWN_PRELOAD: Final = ("engine.task.bootstrap", "engine.task.plan", "engine.task.spare")
"""What every task runs; the modules that the supervisor names come on top."""

_COLLECT_AFTER: Final = 50_000
"""More objects than a batch has records: they make no cycles, and looking for some costs 7 %."""

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
    gc.disable()  # what is imported stays; a task collects for itself
    forker = Forker()
    sock = socket.socket(fileno=int(argv[0]))
    channel: Channel[SupervisorToZygote] = Channel(sock, SupervisorToZygote)
    try:
        with deferred("asyncio"):
            entries = _preload_own()
        received = channel.receive()
        if received is None:
            return EXIT_OK  # the supervisor was not to run after all
        first, _ = received
        _preload(first.modules if isinstance(first, Preload) else ())
    except RefusedError as refused:
        channel.send(ZygoteRefused(str(refused)))
        return EXIT_SOFTWARE
    _taken = _rehearse()
    gc.freeze()  # what is shared stays shared: no collection writes into these pages
    channel.send(ZygoteReady(os.getpid()))
    while _serve(channel, entries, forker):
        pass
    return EXIT_OK


def _rehearse() -> list[object]:
    """See :mod:`engine.task.rehearsal`; what fills the holes stays for as long as we live."""
    from engine.task.rehearsal import fill_holes, rehearse  # noqa: PLC0415 (imports all there is)

    try:
        rehearse()
    except Exception as error:  # noqa: BLE001 (tasks start without it, only slower)
        log_sequence.get_logger(__name__).warning("no rehearsal", error=repr(error))
    return fill_holes()


def _serve(
    channel: "Channel[SupervisorToZygote]", entries: dict[str, Entry], forker: Forker
) -> bool:
    """Answer one request; False when there will be no more."""
    received = channel.receive()
    if received is None:
        return False
    fork, descriptors = received
    if isinstance(fork, Fork):
        _fork(channel, forker, fork, descriptors, entries[fork.kind])
    return True


def _preload_own() -> dict[str, Entry]:
    """Import what every task needs; what runs a request of each kind."""
    log_sequence.configure(process="zygote")
    _preload(_OWN_PRELOAD)
    for name in dict.fromkeys(each.target.partition(":")[0] for each in BUILT_IN):
        try:
            _import(name)
        except ImportError as error:  # it needs an extra that is not installed; so do its tasks
            log_sequence.get_logger(__name__).debug("not preloaded", module=name, error=str(error))
    bootstrap = importlib.import_module("engine.task.bootstrap")
    entries: dict[str, Entry] = {"task": bootstrap.main, "plan": bootstrap.plan}
    spare = importlib.import_module("engine.task.spare").main
    return {**entries, "spare": lambda _fork, descriptors: spare(descriptors, entries)}


def _preload(modules: Sequence[str]) -> None:
    """Import, and refuse whatever is broken or leaves a second thread behind."""
    for name in modules:
        try:
            _import(name)
        except RefusedError:
            raise
        except Exception as error:
            raise RefusedError(f"module {name}: {type(error).__name__}: {error}") from error


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
    channel: "Channel[SupervisorToZygote]",
    forker: Forker,
    fork: Fork,
    descriptors: Sequence[int],
    entry: Entry,
) -> None:
    """Make a process whose parent is the supervisor: fork twice, and let the middle one end."""
    try:
        middle = forker.fork()
    except OSError as error:
        _close(descriptors)
        channel.send(ForkFailed(fork.token, f"fork: {error.strerror}"))
        return
    if middle == 0:
        _be_middle(channel, forker, fork, descriptors, entry)
    _close(descriptors)
    _pid, status = os.waitpid(middle, 0)
    if status != 0:
        channel.send(ForkFailed(fork.token, "the process between could not fork"))


def _be_middle(
    channel: "Channel[SupervisorToZygote]",
    forker: Forker,
    fork: Fork,
    descriptors: Sequence[int],
    entry: Entry,
) -> None:
    middle = os.getpid()
    try:
        pid = forker.fork()
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
    kept = assume(fork, descriptors)
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
    random.seed()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
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
