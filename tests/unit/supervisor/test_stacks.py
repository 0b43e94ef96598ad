"""Stacks of a task, and what is left when they cannot be had."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.model.slot import SLOT_BYTES
from engine.supervisor.reaper import Reaper
from engine.supervisor.stacks import Stacks
from engine.supervisor.strays import children
from tests.unit.supervisor.conditions import until

pytestmark = pytest.mark.usefixtures("subreaper")


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def refuse(*_: Any, **_keys: Any) -> Any:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture
def spied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Stacks]:
    """Stacks with a py-spy that says what it was asked."""
    spy = tmp_path / "py-spy"
    spy.write_text('#!/bin/sh\necho "asked: $*"\n')
    spy.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_, **_keys: str(spy))
    fd = os.memfd_create("slot")
    os.ftruncate(fd, SLOT_BYTES)

    def make() -> Stacks:
        reaper = Reaper()
        reaper.start(lambda _pid: None)
        return Stacks(fd, reaper)

    return make


def test_py_spy_is_asked_for_the_process(spied: Callable[[], Stacks]) -> None:
    async def body() -> None:
        stacks, done = spied(), asyncio.Event()
        assert stacks.spy(42, done.set)
        await asyncio.wait_for(done.wait(), 30)
        assert stacks.read() == "py-spy:\nasked: dump --pid 42"

    asyncio.run(body())


@pytest.mark.parametrize("call", ["memfd_create", "open", "posix_spawn", "pidfd_open"])
def test_without_descriptors_or_processes_there_is_no_py_spy_and_nothing_is_left(
    spied: Callable[[], Stacks], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    async def body() -> None:
        stacks = spied()
        before, others = descriptors(), set(children())
        with monkeypatch.context() as patched:
            patched.setattr(os, call, refuse)
            assert not stacks.spy(42, lambda: None)
        assert descriptors() == before
        await until(lambda: set(children()) <= others)
        assert stacks.read() is None

    asyncio.run(body())
