"""The zygote: processes on request, whatever happens to it in between."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from engine.model.exit_status import ExitStatus
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.reaper import Reaper
from engine.supervisor.zygote import Zygote
from engine.wire.channel import Channel
from engine.wire.plan_message import PlanRequest
from engine.wire.sealed import seal
from engine.wire.zygote_message import Fork
from tests.unit.supervisor.conditions import until
from tests.unit.supervisor.conftest import ReadLog

pytestmark = pytest.mark.usefixtures("subreaper")

MODULES = {
    "preload_thread": """
import threading
threading.Thread(target=threading.Event().wait, name="eager-pool", daemon=True).start()
""",
    "preload_broken": "raise RuntimeError('half installed')",
    "preload_crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "preload_hang": "import signal; signal.pause()",
    "preload_good": "",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


class Nursery:
    """A zygote with everything around it, and what became of each request."""

    def __init__(self, read_log: ReadLog, preload: tuple[str, ...], longest: float) -> None:
        self.orphans: list[int] = []
        self.forked: list[tuple[int, int]] = []
        self.failed: list[tuple[int, str]] = []
        self.ended: list[tuple[int, ExitStatus]] = []
        self.reaper = Reaper()
        self.reaper.start(self.orphans.append)
        self.zygote = Zygote(read_log.log, self.reaper, preload, longest)
        self.output = os.open(os.devnull, os.O_WRONLY)

    def ask(self, token: int) -> ForkRequest:
        """Want a process; it ends at once, for nobody listens to its answer."""
        ours, theirs = Channel.pair()
        ours.close()
        request_fd = seal(PlanRequest("plugins", {}, {}, "/nowhere"), "request")
        descriptors = (theirs.detach(), self.output, request_fd)
        fork = Fork(token, "plan", f"plan {token}", os.getpid())

        def close() -> None:
            os.close(descriptors[0])
            os.close(request_fd)

        def on_forked(pid: int) -> None:
            close()
            self.forked.append((token, pid))
            self.reaper.watch(pid, lambda status: self.ended.append((token, status)))

        def on_failed(reason: str) -> None:
            close()
            self.failed.append((token, reason))

        request = ForkRequest(fork, lambda: descriptors, on_forked, on_failed)
        self.zygote.submit(request)
        return request

    def answers(self) -> list[int]:
        """Tokens that were answered, one entry an answer."""
        return sorted(token for token, _ in (*self.forked, *self.failed))

    async def ready(self) -> None:
        """Wait until the zygote takes requests."""
        await until(lambda: self.zygote._is_ready)


Run = Callable[..., None]


@pytest.fixture
def nursery(read_log: ReadLog) -> Run:
    """Runs a body with a started zygote and checks that nothing is left afterwards."""

    def run(
        body: Callable[[Nursery], Coroutine[Any, Any, None]],
        preload: tuple[str, ...] = (),
        longest: float = 60.0,
    ) -> None:
        async def main() -> None:
            before = set(os.listdir("/proc/self/fd"))
            each = Nursery(read_log, preload, longest)
            signal_fds = set(os.listdir("/proc/self/fd")) - before
            each.zygote.start()
            await body(each)
            await until(lambda: len(each.ended) == len(each.forked))
            each.zygote.close()
            await until(lambda: each.zygote.pid is None and each.zygote._channel is None)
            os.close(each.output)
            assert set(os.listdir("/proc/self/fd")) <= before | signal_fds

        asyncio.run(main())

    return run


def test_a_process_is_made_for_each_request_and_is_our_child(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        for token in range(1, 6):
            each.ask(token)
        await until(lambda: len(each.ended) == 5)
        assert each.answers() == [1, 2, 3, 4, 5]
        assert each.failed == []
        assert each.orphans == []

    nursery(body)


def test_no_more_than_sixteen_requests_are_on_their_way_at_once(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        await each.ready()
        os.kill(each.zygote.pid or 0, signal.SIGSTOP)
        for token in range(40):
            each.ask(token)
        assert len(each.zygote._sent) == 16
        os.kill(each.zygote.pid or 0, signal.SIGCONT)
        await until(lambda: len(each.ended) == 40)
        assert each.answers() == list(range(40))

    nursery(body)


def test_f68_a_killed_zygote_is_started_again(nursery: Run, read_log: ReadLog) -> None:
    async def body(each: Nursery) -> None:
        await each.ready()
        first = each.zygote.pid
        os.kill(first or 0, signal.SIGKILL)
        await until(lambda: each.zygote.pid not in (None, first))
        each.ask(1)
        await until(lambda: each.ended)
        assert each.zygote.restarts == 1
        assert "the zygote ended; tasks go on without it" in read_log.texts()

    nursery(body)


def test_f68_requests_on_their_way_when_the_zygote_dies_are_answered_once(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        await each.ready()
        zygote = each.zygote.pid or 0
        os.kill(zygote, signal.SIGSTOP)
        for token in range(20):
            each.ask(token)
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: len(each.ended) == 20)
        assert each.answers() == list(range(20))
        assert each.failed == []

    nursery(body)


def test_f68_a_zygote_killed_at_any_moment_answers_every_request_once(nursery: Run) -> None:
    """Killed while it works, several times over."""

    async def body(each: Nursery) -> None:
        asked = 0
        for kill_after in (1, 3, 7):
            await each.ready()
            before = len(each.forked)
            for _ in range(12):
                each.ask(asked)
                asked += 1
            await until(lambda: len(each.forked) >= before + kill_after)  # noqa: B023 (waited for)
            os.kill(each.zygote.pid or 0, signal.SIGKILL)
            await until(lambda: len(each.forked) >= asked)  # noqa: B023 (waited for)
        await until(lambda: len(each.ended) == asked)
        assert each.answers() == list(range(asked))
        assert not set(each.orphans) & {pid for _, pid in each.forked}
        assert len(each.orphans) <= 3  # a process between each time, whose parent was killed

    nursery(body)


def test_f68_a_zygote_that_does_not_answer_is_killed(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        await each.ready()
        now = asyncio.get_running_loop().time()
        each.zygote.check(now + 1000)
        first = each.zygote.pid or 0
        os.kill(first, signal.SIGSTOP)
        each.ask(1)
        each.zygote.check(now + 5)
        assert each.zygote.pid == first
        each.zygote.check(now + 11)
        await until(lambda: each.ended)
        assert each.answers() == [1]
        assert each.zygote.restarts == 1

    nursery(body)


def test_a_preload_is_imported_before_the_fork(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        each.ask(1)
        await until(lambda: each.ended)
        assert each.zygote.restarts == 0
        assert each.zygote.preload == ("preload_good",)

    nursery(body, ("preload_good",))


def test_f69_a_preload_that_starts_a_thread_is_refused_by_name(
    nursery: Run, read_log: ReadLog
) -> None:
    async def body(each: Nursery) -> None:
        each.ask(1)
        await until(lambda: each.ended)
        assert each.failed == []
        (refusal,) = [e for e in read_log.events() if "goes on without" in e["event"]]
        assert refusal["reason"].startswith("module preload_thread started a thread (")
        assert refusal["level"] == "warning"
        assert each.zygote.preload == ()

    nursery(body, ("preload_thread",))


def test_f68_a_preload_that_cannot_be_imported_is_named_and_left_out(
    nursery: Run, read_log: ReadLog
) -> None:
    async def body(each: Nursery) -> None:
        each.ask(1)
        await until(lambda: each.ended)
        (refusal,) = [e for e in read_log.events() if "goes on without" in e["event"]]
        assert refusal["reason"] == "module preload_broken: RuntimeError: half installed"

    nursery(body, ("preload_broken",))


@pytest.mark.parametrize(("module", "longest"), [("preload_crash", 60.0), ("preload_hang", 0.0)])
def test_f68_a_preload_that_kills_the_zygote_or_hangs_is_left_out(
    nursery: Run, read_log: ReadLog, module: str, longest: float
) -> None:
    async def body(each: Nursery) -> None:
        each.ask(1)
        loop = asyncio.get_running_loop()
        if module == "preload_hang":
            each.zygote.check(loop.time() + 1)
            await until(lambda: each.zygote.restarts)
        await until(lambda: each.ended)
        (warning,) = [e for e in read_log.events() if "in its preload" in e["event"]]
        assert warning["modules"] == [module]

    nursery(body, (module,), longest)


def test_a_request_that_is_taken_back_before_it_was_sent_fails_at_once(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        request = each.ask(1)  # the zygote is still preloading
        each.zygote.cancel(request)
        assert each.failed == []
        await until(lambda: each.failed)
        assert each.failed == [(1, "cancelled")]
        each.ask(2)
        await until(lambda: each.ended)
        assert each.answers() == [1, 2]

    nursery(body)


def test_a_request_that_is_taken_back_too_late_is_answered_with_its_process(nursery: Run) -> None:
    """Whoever takes it back must still end what arrives."""

    async def body(each: Nursery) -> None:
        await each.ready()
        request = each.ask(1)
        each.zygote.cancel(request)
        await until(lambda: each.ended)
        assert each.answers() == [1]
        assert each.failed == []

    nursery(body)


def test_a_request_taken_back_while_the_zygote_dies_is_not_made_again(nursery: Run) -> None:
    async def body(each: Nursery) -> None:
        await each.ready()
        zygote = each.zygote.pid or 0
        os.kill(zygote, signal.SIGSTOP)
        each.zygote.cancel(each.ask(1))
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: each.failed)
        assert each.failed == [(1, "cancelled")]

    nursery(body)
