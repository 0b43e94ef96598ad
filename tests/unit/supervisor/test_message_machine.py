"""Messages between the processes are lost, late and repeated: what does that break?

The supervisor is the real one, with its real ends of all sockets; see the world around it.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.model.exit_status import ExitStatus
from engine.model.state import Condition
from engine.wire.herder_message import RestartTask
from engine.wire.task_message import PausedChanged, Ready, TaskCondition
from tests.unit.supervisor.simulated_process import Process
from tests.unit.supervisor.simulated_world import World

NUMBERS = st.integers(0, 2)
CALM = 150.0
"""Seconds after which everything is as it is wanted, once nothing goes wrong any more."""


class MessageMachine(RuleBasedStateMachine):
    """Wishes, deaths and time, over a network that does as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="message-machine-")
        self.world = World(Path(self.folder.name))

    @initialize(paused=st.booleans())
    def begin(self, paused: bool) -> None:
        for number in range(2):
            self.world.wanted[number] = ("a", paused)
        self.world.deliver_all()

    # ---- the network --------------------------------------------------------------------------

    def has_traffic(self) -> bool:
        return any(True for _ in self.world.links())

    @rule()
    def let_all_through(self) -> None:
        self.world.deliver_all(5)

    @precondition(lambda self: self.has_traffic())
    @rule(data=st.data(), fate=st.sampled_from(["lose", "say twice", "deliver"]))
    def treat_one(self, data: st.DataObject, fate: str) -> None:
        waiting = list(self.world.links())[::-1]  # tasks before the others, which are older
        link, direction = waiting[data.draw(st.integers(0, len(waiting) - 1))]
        if fate == "lose":
            link.lose(direction)
        else:
            link.deliver(direction, again=fate == "say twice")
        if fate != "deliver" and any(p.link is link for p in self.world.live("zygote")):
            self.world.has_lost_births = True
        self.world.listen()
        self.world.run(0)

    @rule(seconds=st.sampled_from([0.05, 1.0, 6.0, 25.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.run(seconds)

    # ---- wishes -------------------------------------------------------------------------------

    @rule(number=NUMBERS, mark=st.sampled_from("aab"), is_paused=st.booleans(), now=st.booleans())
    def want(self, number: int, mark: str, is_paused: bool, now: bool) -> None:
        self.world.want(number, mark, is_paused=is_paused)
        if now:
            self._hear_herder()

    def _hear_herder(self) -> None:
        """Its words arrive; what the supervisor then says is still on its way."""
        for herder in self.world.live("herder"):
            assert herder.link is not None
            herder.link.pump()
            while herder.link.up:
                herder.link.deliver("up")
        self.world.run(0)

    @precondition(lambda self: len(self.world.wanted) > 1)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.world.drop(data.draw(st.sampled_from(sorted(self.world.wanted))))

    @rule(number=NUMBERS)
    def restart(self, number: int) -> None:
        for herder in self.world.live("herder"):
            assert herder.channel is not None
            herder.channel.send(RestartTask("c", number))

    # ---- deaths -------------------------------------------------------------------------------

    @precondition(lambda self: self.world.live("zygote"))
    @rule()
    def kill_zygote(self) -> None:
        self.world.exit(self.world.live("zygote")[0], ExitStatus(signal=9))

    @precondition(lambda self: self.world.live("herder"))
    @rule()
    def kill_herder(self) -> None:
        self.world.exit(self.world.live("herder")[0], ExitStatus(signal=9))

    @precondition(lambda self: self.world.live("task"))
    @rule(data=st.data(), status=st.sampled_from([ExitStatus(code=1), ExitStatus(signal=11)]))
    def kill_task(self, data: st.DataObject, status: ExitStatus) -> None:
        self.world.exit(self._task(data), status)

    @precondition(lambda self: self.world.live("task"))
    @rule(data=st.data())
    def make_stubborn(self, data: st.DataObject) -> None:
        self._task(data).is_stubborn = True

    def _task(self, data: st.DataObject) -> Process:
        return data.draw(st.sampled_from(self.world.live("task")))

    @rule(fate=st.sampled_from(["fails", "hidden"]))
    def spoil_next_birth(self, fate: str) -> None:
        self.world.fork_fates.append(fate)

    # ---- words of the past --------------------------------------------------------------------

    @precondition(lambda self: self.world.live("task"))
    @rule(data=st.data(), paused=st.booleans())
    def say_something_stale(self, data: st.DataObject, paused: bool) -> None:
        """What another generation would say changes nothing."""
        for _ in range(5):  # what is under way inside of the supervisor comes to its end
            self.world.run(0)
        if not self.world.live("task"):
            return
        process = self._task(data)
        number = int(process.title.rpartition("-")[2])
        before = self.world.state_of(number)
        if process.channel is None or process.link is None or before is None:
            return
        old = process.generation - 1
        process.link.pump()
        held = list(process.link.up)
        process.link.up.clear()
        for message in (Ready(old, paused), PausedChanged(old, paused), TaskCondition(old, "old")):
            process.channel.send(message)
            process.link.pump()
            process.link.deliver("up")
        self.world.run(0)
        process.link.up.extendleft(reversed(held))
        assert self.world.state_of(number) == before, f"{self.world.state_of(number)}\n{before}"

    # ---- what holds ---------------------------------------------------------------------------

    @invariant()
    def no_task_has_two_processes(self) -> None:
        """A birth that was hidden or doubled on its way may leave one that nobody knows of."""
        alive = [p.title for p in self.world.live("task")]
        known = [p.title for p in self.world.live("task") if self.world.reaper.is_watched(p.pid)]
        working = [p.title for p in self.world.live("task") if p.has_lock]
        assert len(set(known)) == len(known)
        assert len(set(working)) == len(working)
        if not self.world.has_lost_births:
            assert len(set(alive)) == len(alive)

    def teardown(self) -> None:
        try:
            self._find_everything_as_wanted()
        finally:
            self.world.close()
            self.folder.cleanup()

    def _find_everything_as_wanted(self) -> None:
        """After a new herder has told the whole set, nothing of all that is left to be seen."""
        world = self.world
        for herder in world.live("herder"):
            world.exit(herder, ExitStatus(signal=9))
        world.become_calm(CALM)
        for number, (mark, is_paused) in world.wanted.items():
            processes = [p for p in world.live("task") if p.title == f"task c-{number}"]
            state = world.state_of(number)
            assert len(processes) == 1, f"{number} has {len(processes)} processes: {state}"
            [process] = processes
            assert world.reaper.is_watched(process.pid)
            assert process.runtime is not None
            assert process.runtime.assignment.config["mark"] == mark
            assert process.is_paused is is_paused
            expected = Condition.PAUSED if is_paused else Condition.RUNNING
            assert (state.condition, state.generation) == (expected, process.generation)
            report = world.reports[number]
            assert (report.condition, report.generation) == (expected, process.generation)
            assert report.pid == process.pid
        assert len(world.live("task")) == len(world.wanted)
        assert {task.task for task in world.supervisor._tasks} == set(world.wanted)
        assert world.reports.keys() == world.wanted.keys()


QUICK = settings(
    max_examples=15, stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With two tasks that are wanted and not made yet."""
    world = World(tmp_path)
    world.wanted = {0: ("a", False), 1: ("a", False)}
    yield world
    world.close()


def _processes(world: World, number: int) -> list[Process]:
    return [p for p in world.live("task") if p.title == f"task c-{number}"]


def _told_by_herder(world: World) -> None:
    """What the herder says arrives, and what it hears; nothing else."""
    [herder] = world.live("herder")
    assert herder.link is not None
    for _ in range(50):
        herder.link.pump()
        for direction in ("up", "down"):
            if getattr(herder.link, direction):
                herder.link.deliver(direction)
        world.hear_as_herder(herder)
        world.run(0)


def test_a_process_that_was_long_in_coming_gets_what_is_wanted_by_then(world: World) -> None:
    """While it waits for a zygote, the same is said anew, in other memory."""
    _told_by_herder(world)
    for number in (0, 1):
        world.want(number, "a", is_paused=True)
    _told_by_herder(world)
    others = [os.memfd_create("other") for _ in range(4)]  # numbers that are free by now

    world.become_calm(60.0)

    for number in (0, 1):
        [process] = _processes(world, number)
        assert process.generation == world.state_of(number).generation
        assert process.runtime is not None
        assert process.runtime.assignment.start_paused
    for fd in others:
        os.close(fd)


def test_a_process_whose_birth_nobody_told_of_ends_with_its_task(world: World) -> None:
    world.fork_fates += ["hidden", "hidden"]
    world.deliver_all()
    hidden = [p for p in world.processes.values() if p.is_stubborn]
    assert len(hidden) == 2
    world.want(2, "a", is_paused=False)
    for number in (0, 1):
        world.drop(number)

    world.become_calm(60.0)

    assert not any(process.is_alive for process in hidden)
    assert [p.title for p in world.live("task")] == ["task c-2"]


@pytest.mark.parametrize("what_is_lost", ["the order", "the answer"])
def test_a_pause_that_was_lost_is_told_again_by_the_next_herder(
    world: World, what_is_lost: str
) -> None:
    world.become_calm(30.0)
    world.want(0, "a", is_paused=True)
    [herder], [process] = world.live("herder"), _processes(world, 0)
    assert herder.link is not None
    assert process.link is not None
    herder.link.pump()
    herder.link.deliver("up")
    world.run(0)
    if what_is_lost == "the answer":
        process.link.deliver("down")
        world.run(0)
        process.link.lose("up")
    else:
        process.link.lose("down")
    world.exit(herder, ExitStatus(signal=9))

    world.become_calm(30.0)

    assert process.is_alive
    assert process.is_paused
    assert world.state_of(0).condition is Condition.PAUSED


def test_whatever_becomes_of_messages_every_wish_is_kept_in_the_end() -> None:
    run_state_machine_as_test(MessageMachine, settings=QUICK)


@pytest.mark.slow
def test_the_same_for_long() -> None:
    thorough = settings(QUICK, max_examples=400, stateful_step_count=60)
    run_state_machine_as_test(MessageMachine, settings=thorough)
