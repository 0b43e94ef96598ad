"""What goes wrong in the supervisor's own callbacks: told in the log and the journal, and survived.

An error that comes again and again, such as one of a look at a task, is told once a minute.
"""

import asyncio
import traceback
from typing import Any, Final

from engine.supervisor.log import Log
from engine.wire.channel import shorten_to_end

_SILENCE: Final = 60.0
_MOST_KNOWN: Final = 256
_LONGEST_TRACE: Final = 8 * 1024


class OwnErrors:
    """An exception handler of an event loop.

    Args:
        log: hears of them, and with it the journal.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell one, unless the same one was told a moment ago."""
        error = context.get("exception")
        text = str(context.get("message", "an error"))
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        known_by = trace or text
        if loop.time() - self._told_at.get(known_by, -_SILENCE) < _SILENCE:
            self._untold[known_by] = self._untold.get(known_by, 0) + 1
            return
        if len(self._told_at) >= _MOST_KNOWN:
            self._told_at.clear()
            self._untold.clear()
        self._told_at[known_by] = loop.time()
        untold = self._untold.pop(known_by, 0)
        self._log.error(
            "the supervisor failed at something and goes on",
            what=text,
            error=repr(error),
            **({"exception": shorten_to_end(trace, _LONGEST_TRACE)} if trace else {}),
            **({"untold": untold} if untold else {}),
        )


def tell(what: str, error: Exception) -> None:
    """Tell of an error that something else does not have to wait for."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})
