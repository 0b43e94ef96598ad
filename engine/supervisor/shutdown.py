"""The end of everything, in order: tasks, herder, zygote, services; then whatever is left."""

from collections.abc import Awaitable, Callable
from typing import Final

from engine.model.lifecycle.ending import LONGEST
from engine.model.lifecycle.event import Unwanted
from engine.model.state import Condition
from engine.supervisor.strays import kill_children
from engine.supervisor.succession import Parts

_END_GRACE: Final = 5.0
_SERVICE_GRACE: Final = 20.0

Wait = Callable[[Callable[[], bool], float], Awaitable[None]]
"""Waits for a condition that ends of processes make true, so many seconds at most."""


class Shutdown:
    """Ends what a supervisor is made of.

    Args:
        parts: all of it.
        wait: see there.
    """

    def __init__(self, parts: Parts, wait: Wait) -> None:
        self._parts = parts
        self._wait = wait

    def longest(self) -> float:
        """Seconds that it takes at most: the sum of what :meth:`run` waits for."""
        services = _SERVICE_GRACE if self._parts.services else 0.0
        return self._longest_task_stop() + services + 4 * _END_GRACE

    def _longest_task_stop(self) -> float:
        tasks = self._parts.tasks.values()
        return max((t.state.deadlines.stop_max for t in tasks), default=0.0) + LONGEST

    async def run(self, code: int) -> int:
        """End everything; the exit code."""
        parts = self._parts
        with parts.records.journal.acting("herder" if code else "signal"):
            parts.records.journal.record("engine_stopping")
            for task in list(parts.tasks.values()):
                task.handle(Unwanted(is_final=False))
        for plan in parts.plans.values():
            plan.kill()
        await self._wait(self._are_tasks_over, self._longest_task_stop())
        parts.herder.close_socket()
        await self._wait(lambda: parts.herder.pid is None, _END_GRACE)
        parts.herder.kill()
        parts.zygote.close()
        for service in parts.services:
            service.terminate()
        await self._wait(lambda: all(s.pid is None for s in parts.services), _SERVICE_GRACE)
        for service in parts.services:
            service.kill()
        await self._wait(self._is_alone, _END_GRACE)
        kept = parts.not_ours | {task.pid for task in parts.tasks.values()}
        await self._wait(lambda: not kill_children(kept), _END_GRACE)
        parts.herder.close()
        return self._told(code)

    def hurry(self) -> None:
        """End at once what is being ended."""
        self._parts.log.warning("stopping at once")
        for task in self._parts.tasks.values():
            task.kill_now()
        for service in self._parts.services:
            service.kill()

    def _told(self, code: int) -> int:
        tasks = self._parts.tasks.values()
        stuck = {str(t.id): t.whereabouts() for t in tasks if t.pid is not None}
        if not stuck:
            return code
        self._parts.log.error("processes that SIGKILL did not end are left behind", tasks=stuck)
        return code or 1

    def _are_tasks_over(self) -> bool:
        """Whether none is left that could still end."""
        return all(t.state.condition is Condition.UNKILLABLE for t in self._parts.tasks.values())

    def _is_alone(self) -> bool:
        parts = self._parts
        own = (parts.herder.pid, *(s.pid for s in parts.services))
        is_gone = parts.zygote.is_gone and all(pid is None for pid in own)
        return is_gone and self._are_tasks_over()
