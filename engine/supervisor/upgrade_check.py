"""Whether this version could take over what another one has, found out without touching it."""

import importlib
import os
import select
import signal
import subprocess
import sys
from typing import Final

import msgspec

from engine.supervisor.handover import Handover
from engine.supervisor.launch import launch_zygote
from engine.supervisor.settings import Settings
from engine.wire.channel import Channel
from engine.wire.zygote_message import Preload, ZygoteReady, ZygoteRefused, ZygoteToSupervisor

_PATIENCE: Final = 60.0
_STANDARD_ERROR: Final = 2


def check(handed: Handover, settings: Settings) -> int:
    """Say what is in the way, on standard error; 0 when nothing is."""
    problem = _difference(handed, settings) or _imports() or _zygote(settings) or _herder(settings)
    if problem is None:
        return 0
    os.write(_STANDARD_ERROR, f"engine: {problem}\n".encode("utf-8", "backslashreplace"))
    return 1


def _difference(handed: Handover, settings: Settings) -> str | None:
    """What only a restart can change."""
    if str(settings.data_dir) != handed.data_dir:
        return (
            f"engine.data.dir is {settings.data_dir} now, the running engine uses {handed.data_dir}"
            "; restart the service instead"
        )
    if (settings.host, settings.port) != (handed.host, handed.port):
        return (
            f"listeners has changed from {handed.host}:{handed.port}"
            f" to {settings.host}:{settings.port}; restart the service instead"
        )
    return None


def _imports() -> str | None:
    try:
        importlib.import_module("engine.supervisor.supervisor")
    except Exception as error:  # noqa: BLE001 (a broken module may raise anything)
        return f"the supervisor cannot be imported: {type(error).__name__}: {error}"
    return None


def _zygote(settings: Settings) -> str | None:
    """Whether a zygote of this version gets ready, be it without what it was to preload."""
    problem = zygote_problem(settings.preload)
    return zygote_problem(()) if problem and settings.preload else problem


def zygote_problem(preload: tuple[str, ...]) -> str | None:
    """Why a zygote that imports these does not get ready; None when it does."""
    launched = launch_zygote(_STANDARD_ERROR)
    channel: Channel[ZygoteToSupervisor] = Channel(launched.sock, ZygoteToSupervisor)
    try:
        channel.send(Preload(preload))
        return _answer(channel)
    finally:
        os.kill(launched.pid, signal.SIGKILL)
        os.waitpid(launched.pid, 0)
        channel.close()


def _answer(channel: "Channel[ZygoteToSupervisor]") -> str | None:
    readable, _, _ = select.select([channel.sock], [], [], _PATIENCE)
    if not readable:
        return f"its zygote was not ready within {_PATIENCE:g} s"
    try:
        received = channel.receive()
    except (OSError, msgspec.MsgspecError) as error:
        return f"its zygote spoke nonsense: {error}"
    match received[0] if received else None:
        case ZygoteReady():
            return None
        case ZygoteRefused(reason):
            return f"its zygote cannot work: {reason}"
        case _:
            return "its zygote ended before it was ready"


def _herder(settings: Settings) -> str | None:
    """Whether a herder of this version has all that it imports, and can read what is stored."""
    command = [sys.executable, *settings.herder_argv, "check", str(settings.data_dir)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"its herder's check did not end within {_PATIENCE:g} s"
    said = ended.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
    return f"its herder cannot work: {said}" if ended.returncode else None
