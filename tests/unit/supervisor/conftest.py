"""What tests of the supervisor's parts share: a log in a pipe, and being everybody's parent."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from engine.supervisor.log import Console, Log
from engine.wire import prctl


@dataclass
class ReadLog:
    """A log and what was written to it."""

    log: Log
    _read_fd: int
    _data: bytearray = field(default_factory=bytearray)

    def text(self) -> bytes:
        """All that was written so far."""
        self.log.console.flush()
        while True:
            try:
                self._data += os.read(self._read_fd, 1 << 20)
            except BlockingIOError:
                return bytes(self._data)
            self.log.console.flush()

    def events(self) -> list[dict[str, Any]]:
        """The same, decoded."""
        return [json.loads(line) for line in self.text().splitlines()]

    def texts(self) -> list[str]:
        """The sentences alone."""
        return [str(event["event"]) for event in self.events()]


@pytest.fixture
def read_log() -> Iterator[ReadLog]:
    """A log as JSON that the test reads back."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    yield ReadLog(Log(Console(write_fd), as_json=True, level="debug"), read_fd)
    os.close(read_fd)
    os.close(write_fd)


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process is the parent of every orphan below it, as the supervisor is.

    What a test leaves behind is ended and reaped, so that the next one sees no strangers.
    """
    for each in psutil.Process().children():
        if each.status() == psutil.STATUS_ZOMBIE:  # another test has not waited for it
            each.wait()
    before = set(psutil.Process().children())
    prctl.become_subreaper()
    yield
    while left := set(psutil.Process().children()) - before:
        for each in left:
            each.kill()
        psutil.wait_procs(left)
    prctl._prctl(prctl._PR_SET_CHILD_SUBREAPER, 0)
