"""The first and the last error that a process logged or printed: often the first one is the cause.

Python's tracebacks and faulthandler's reports are recognized in what is printed.
"""

from typing import Any, Final

import msgspec

from engine.model.log_line import LEVELS

_LONGEST: Final = 8 * 1024
_LONGEST_LINE: Final = 1000
_MOST_LINES: Final = 200
_TRACEBACK: Final = "Traceback (most recent call last)"
_FATAL: Final = "Fatal Python error: "


class NoticedErrors(msgspec.Struct):
    """Hears every event and every printed line of one process, in order.

    Attributes:
        first: ``timestamp``, ``text`` and, if there was one, ``trace`` of the first error.
        last: the same of the last one.
        count: how many there were.
        traceback: the lines so far of one that is being printed.
    """

    first: dict[str, str] | None = None
    last: dict[str, str] | None = None
    count: int = 0
    traceback: list[str] | None = None

    def event(self, event: dict[str, Any]) -> None:
        """An event of the engine or of a library that uses logging."""
        if LEVELS.get(str(event.get("level")), 0) < LEVELS["error"]:
            return
        text = str(event.get("event", ""))
        told = event.get("error")
        self._notice(
            str(event.get("timestamp", "")),
            f"{text}: {told}" if told and str(told) not in text else text,
            str(event.get("exception") or ""),
        )

    def printed(self, line: str, timestamp: str) -> None:
        """A line that was printed."""
        if line.startswith(_TRACEBACK):
            self.traceback = [line]
        elif self.traceback is not None:
            self._continue(line, timestamp)
        elif line.startswith(_FATAL):
            self._notice(timestamp, line, "")

    def _continue(self, line: str, timestamp: str) -> None:
        lines = self.traceback
        assert lines is not None
        lines.append(line)
        if line[:1].isspace() and len(lines) < _MOST_LINES:
            return
        self.traceback = None
        self._notice(timestamp, line, "\n".join(lines))

    def texts(self) -> tuple[str, ...]:
        """The first and the last one, each in one line; one if there was but one."""
        found = (each for each in (self.first, self.last) if each is not None)
        return tuple(dict.fromkeys(_line(each) for each in found))

    def _notice(self, timestamp: str, text: str, trace: str) -> None:
        self.count += 1
        self.last = {"timestamp": timestamp, "text": text[:_LONGEST]}
        if trace:
            self.last["trace"] = trace[-_LONGEST:]
        if self.first is None:
            self.first = self.last


def _line(error: dict[str, str]) -> str:
    text = f"{error['timestamp']} {error['text'].strip()}".partition("\n")[0]
    return text[:_LONGEST_LINE]
