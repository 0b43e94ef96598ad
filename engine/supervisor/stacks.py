"""What a task's threads are at, in a file that outlives the process.

The process writes it itself, from a signal handler in C that needs no Python (``faulthandler``),
behind the integers in the memory of its slot: on SIGQUIT, and when it crashes. Where ``py-spy`` is
installed it is asked as well, for it also sees what the process cannot tell any more.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from engine.model.exit_status import ExitStatus
from engine.model.slot import SLOT_BYTES
from engine.supervisor.child import Program, signal_group
from engine.supervisor.reaper import Reaper
from engine.wire.channel import shorten

_LONGEST: Final = 32 * 1024
_SPY_PATIENCE: Final = 2.5


class Stacks:
    """The stacks of one task's processes.

    Args:
        fd: of the slot; all processes write at the offset that they have in common.
        reaper: watches py-spy.
    """

    def __init__(self, fd: int, reaper: Reaper) -> None:
        self._fd = fd
        self._reaper = reaper
        self._spied = ""

    def begin(self) -> None:
        """Forget what the last process wrote."""
        self._spied = ""
        os.ftruncate(self._fd, SLOT_BYTES)
        os.lseek(self._fd, SLOT_BYTES, os.SEEK_SET)

    def read(self) -> str | None:
        """All that is known; None when nothing was written."""
        written = os.pread(self._fd, _LONGEST, SLOT_BYTES).decode("utf-8", "replace")
        return shorten("\n".join(filter(None, (written.strip(), self._spied))), _LONGEST) or None

    def spy(self, pid: int, on_done: Callable[[], None]) -> bool:
        """Ask py-spy; False when it is not installed."""
        path = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", "")))
        program = shutil.which("py-spy", path=path)
        if program is None:
            return False
        try:
            output = os.memfd_create("py-spy", os.MFD_CLOEXEC)
        except OSError:  # no descriptors are left
            return False
        try:
            self._ask((program, "dump", "--pid", str(pid)), output, on_done)
        except OSError:  # nor processes
            os.close(output)
            return False
        return True

    def _ask(self, argv: Sequence[str], output: int, on_done: Callable[[], None]) -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            spy = Program(argv, {0: null, 1: output, 2: output}).spawn()
        finally:
            os.close(null)
        late = asyncio.get_running_loop().call_later(
            _SPY_PATIENCE, signal_group, spy, signal.SIGKILL
        )

        def ended(status: ExitStatus) -> None:
            late.cancel()
            self._spied = _told(output, status)
            os.close(output)
            on_done()

        try:
            self._reaper.watch(spy, ended, kills_group=True)
        except OSError:  # what cannot be watched must not live
            late.cancel()
            signal_group(spy, signal.SIGKILL)
            raise


def _told(output: int, status: ExitStatus) -> str:
    text = os.pread(output, _LONGEST, 0).decode("utf-8", "replace").strip()
    return f"py-spy:\n{text}" if status.code == 0 else f"py-spy could not help ({status}): {text}"
