"""Plans of many connectors: who shares a child, and what one that hangs does to the others."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec
import pytest

from engine.herder.plan_client import PlanClient, PlanDiedError
from engine.wire.channel import Channel
from engine.wire.herder_message import Plan
from engine.wire.plan_message import PlanAnswer, PlanDone, PlanRequest, PlanStage
from engine.wire.sealed import seal, unseal

MANY = 40
"""More than children at once: some share one."""


class Child:
    """What was asked of a plan child, which the test plays."""

    def __init__(self, plan: Plan, descriptors: Sequence[int]) -> None:
        sock_fd, request_fd = descriptors
        self.token, self.title = plan.token, plan.title
        self._channel: Channel[PlanDone] = Channel(socket.socket(fileno=sock_fd), PlanDone)
        request = unseal(request_fd, PlanRequest)
        os.close(request_fd)
        self.names = [config["name"] for config in (request.config, *request.more)]

    def begin(self, number: int) -> None:
        self._channel.send(PlanStage("validate", number))

    def answer(self, number: int) -> None:
        self.begin(number)
        memory = seal(PlanAnswer(class_name=self.names[number] or ""), "answer")
        self._channel.send(PlanDone(number), [memory])
        os.close(memory)

    def answer_all(self) -> None:
        for number in range(len(self.names)):
            self.answer(number)

    def close(self) -> None:
        self._channel.close()


class Children:
    """Plays the supervisor: a child for each wish that it is told."""

    def __init__(self) -> None:
        self.client = PlanClient(self._send, {}, "/data", deadline=30.0)
        self.asked: list[Child] = []
        self._more = asyncio.Event()

    def _send(self, message: msgspec.Struct, descriptors: Sequence[int]) -> None:
        assert isinstance(message, Plan)
        self.asked.append(Child(message, descriptors))
        self._more.set()

    def plan(self, name: str, kind: str = "K") -> "asyncio.Task[PlanAnswer]":
        config = {"name": name, "connector.class": kind}
        return asyncio.create_task(self.client.run("plan", config, f"plan {name}"))

    def plan_many(self, kind: str = "K") -> "dict[str, asyncio.Task[PlanAnswer]]":
        return {f"c{n}": self.plan(f"c{n}", kind) for n in range(MANY)}

    async def told(self, count: int) -> list[Child]:
        """The children, once there are so many."""
        async with asyncio.timeout(30):
            while len(self.asked) < count:
                self._more.clear()
                await self._more.wait()
        return self.asked

    async def shared(self) -> Child:
        """One of those that do several."""
        await self.told(MANY // 2)
        return next(child for child in self.asked if len(child.names) > 1)


Scenario = Callable[[Children], Awaitable[None]]


@pytest.fixture
def play() -> Iterator[Callable[[Scenario], None]]:
    """Run a scenario in a loop of its own."""
    played = []

    async def run(scenario: Scenario) -> None:
        children = Children()
        played.append(children)
        await scenario(children)

    yield lambda scenario: asyncio.run(run(scenario))
    for child in (child for children in played for child in children.asked):
        child.close()


def test_a_few_have_a_child_each(play: Callable[[Scenario], None]) -> None:
    async def scenario(children: Children) -> None:
        plans = [children.plan(f"c{n}") for n in range(5)]
        for child in await children.told(5):
            child.answer_all()
        assert [answer.class_name for answer in await asyncio.gather(*plans)] == [
            f"c{n}" for n in range(5)
        ]

    play(scenario)


def test_many_of_one_class_share_children_and_each_gets_its_own_answer(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(children: Children) -> None:
        plans = children.plan_many()
        for child in await children.told(MANY // 2):
            child.answer_all()
        assert {name: (await plan).class_name for name, plan in plans.items()} == {
            name: name for name in plans
        }
        assert len(children.asked) == MANY // 2

    play(scenario)


def test_connectors_of_different_classes_share_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(children: Children) -> None:
        plans = [children.plan(f"c{n}", f"K{n}") for n in range(MANY)]
        for child in await children.told(32):
            child.answer_all()
        for child in (await children.told(MANY))[32:]:
            child.answer_all()
        await asyncio.gather(*plans)
        assert {len(child.names) for child in children.asked} == {1}

    play(scenario)


def test_who_was_not_begun_in_a_child_that_died_has_another_one(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(children: Children) -> None:
        plans = children.plan_many()
        shared = await children.shared()
        first, second = shared.names
        count = len(children.asked)
        shared.begin(0)
        children.client.ended(shared.token, "killed by SIGSEGV")
        with pytest.raises(PlanDiedError, match=f"{first} did not answer in validate: killed by"):
            await plans[str(first)]
        again = (await children.told(count + 1))[-1]
        assert again.names == [second]
        again.answer_all()
        assert (await plans[str(second)]).class_name == second
        for plan in plans.values():
            plan.cancel()

    play(scenario)


@pytest.mark.parametrize("count", [1, MANY])
def test_an_end_that_is_told_before_the_last_answer_is_read_changes_nothing(
    play: Callable[[Scenario], None], count: int
) -> None:
    async def scenario(children: Children) -> None:
        plans = [children.plan(f"c{n}") for n in range(count)]
        for child in await children.told(min(count, MANY // 2)):
            child.answer_all()
            children.client.ended(child.token, None)
        answers = await asyncio.gather(*plans)
        assert [answer.class_name for answer in answers] == [f"c{n}" for n in range(count)]

    play(scenario)


def test_nobody_waits_for_long_behind_one_that_hangs(play: Callable[[Scenario], None]) -> None:
    async def scenario(children: Children) -> None:
        plans = children.plan_many()
        shared = await children.shared()
        count = len(children.asked)
        shared.begin(0)
        again = (await children.told(count + 1))[-1]
        assert again.names == shared.names[1:]
        again.answer_all()
        shared.answer(1)  # its old child did it, too
        shared.answer(0)
        await asyncio.gather(*(plans[str(name)] for name in shared.names))
        for plan in plans.values():
            plan.cancel()

    play(scenario)


def test_what_nobody_waits_for_any_longer_is_not_asked(play: Callable[[Scenario], None]) -> None:
    async def scenario(children: Children) -> None:
        plans = [children.plan(f"c{n}", f"K{n}") for n in range(MANY)]
        await children.told(32)
        for plan in plans[32:]:
            plan.cancel()
        for child in children.asked:
            child.answer_all()
        await asyncio.gather(*plans[:32])
        assert len(children.asked) == 32

    play(scenario)


def test_of_a_group_whoever_waits_no_longer_is_left_out(play: Callable[[Scenario], None]) -> None:
    async def scenario(children: Children) -> None:
        plans = [children.plan(f"c{n}") for n in range(MANY)]
        await asyncio.sleep(0)  # all are in the queue
        plans[1].cancel()
        names = [name for child in await children.told(2) for name in child.names]
        assert names[0] == "c0"
        assert "c1" not in names
        for plan in plans:
            plan.cancel()

    play(scenario)
