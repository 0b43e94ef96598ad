"""What the lifecycle decides: each condition with each event."""

import pytest
from msgspec.structs import replace

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.lifecycle.action import (
    Abort,
    Action,
    Arm,
    Disarm,
    Dump,
    Emit,
    Kill,
    Spawn,
    TellRecycle,
    TellTarget,
    Terminate,
)
from engine.model.lifecycle.decision import reduce
from engine.model.lifecycle.ending import (
    ABORT_GRACE,
    DUMP_GRACE,
    KILL_GRACE,
    RECYCLE_PATIENCE,
    TERM_GRACE,
)  # fmt: skip
from engine.model.lifecycle.event import (
    BecameReady,
    Dumped,
    Event,
    Exited,
    FellSilent,
    Moved,
    Noted,
    Outgrew,
    Overran,
    PauseDone,
    PutOff,
    RestartRequested,
    Stalled,
    TimedOut,
    Timer,
    Unwanted,
    Wanted,
)
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from engine.model.supervision import Supervision
from tests.unit.model.simulated_task import Process, SimulatedTask

GENERATION = 7
NOW = 500.0
POLICY = RestartPolicy()
WANTED = Wanted("a", is_paused=False, supervision=Supervision(POLICY))
CRASH = Exited(GENERATION, ExitStatus(code=1), "ValueError: no", "the trace")
START: list[Action] = [
    Spawn(GENERATION + 1),
    Arm(Timer.START, Deadlines().start, GENERATION + 1),
    Emit("starting"),
]
TURN: list[Action] = [Spawn(GENERATION + 1, takes_turn=True), *START[1:]]
PUT_OFF: list[Action] = [Arm(Timer.RESTART, 3.0, GENERATION), Emit("backoff")]
STOP: list[Action] = [
    Terminate(is_final=False),
    Arm(Timer.STOP, 5.0, GENERATION),
    Emit("stopping"),
]
STOP_FOR_GOOD: list[Action] = [
    Terminate(is_final=True),
    Arm(Timer.STOP, 5.0, GENERATION),
    Emit("stopping"),
]
GONE: list[Action] = [Disarm(), Emit("gone")]
ABORT: list[Action] = [Abort(), Arm(Timer.ABORT, ABORT_GRACE, GENERATION)]
DUMP: list[Action] = [Dump(), Arm(Timer.DUMP, DUMP_GRACE, GENERATION)]
TERM: list[Action] = [Terminate(is_final=False), Arm(Timer.STOP, TERM_GRACE, GENERATION)]
KILL: list[Action] = [Kill(), Arm(Timer.KILL, KILL_GRACE, GENERATION)]
BACKOFF: list[Action] = [
    Disarm(),
    Emit("exited"),
    Arm(Timer.RESTART, 1.0, GENERATION),
    Emit("backoff"),
]

OUTGREW = Outgrew(GENERATION, ExitClass.SOFT_MEMORY, "it used much")
RECYCLE: list[Action] = [
    TellRecycle(),
    Arm(Timer.RECYCLE, RECYCLE_PATIENCE, GENERATION),
    Emit("recycling"),
]
FRESH: list[Action] = [START[0], Disarm(), Emit("exited"), *START[1:]]

STATES: dict[str, TaskState] = {
    "recycling": TaskState(
        condition=Condition.RUNNING, generation=GENERATION, recycling=ExitClass.SOFT_MEMORY
    ),
    "stopped": TaskState(condition=Condition.STOPPED, generation=GENERATION, is_wanted=False),
    "starting": TaskState(condition=Condition.STARTING, generation=GENERATION),
    "running": TaskState(condition=Condition.RUNNING, generation=GENERATION, running_since=490.0),
    "paused": TaskState(condition=Condition.PAUSED, generation=GENERATION, is_paused=True),
    "degraded": TaskState(condition=Condition.DEGRADED, generation=GENERATION, stall="7 wait"),
    "impatient": TaskState(
        condition=Condition.RUNNING,
        generation=GENERATION,
        supervision=Supervision(deadlines=Deadlines(progress_restarts=True)),
    ),
    "dumping": TaskState(
        condition=Condition.UNRESPONSIVE,
        generation=GENERATION,
        ending=ExitClass.UNRESPONSIVE,
        is_dumping=True,
    ),
    "dumping late": TaskState(
        condition=Condition.STOPPING,
        generation=GENERATION,
        ending=ExitClass.START_TIMEOUT,
        is_dumping=True,
    ),
    "dropped": TaskState(
        condition=Condition.STOPPING,
        generation=GENERATION,
        is_wanted=False,
        ending=ExitClass.STOPPED,
        ending_since=NOW,
    ),
    "restarting": TaskState(
        condition=Condition.STOPPING, generation=GENERATION, ending=ExitClass.OPERATOR
    ),
    "late": TaskState(
        condition=Condition.STOPPING, generation=GENERATION, ending=ExitClass.START_TIMEOUT
    ),
    "starting anew": TaskState(condition=Condition.STARTING, generation=GENERATION, failures=2),
    "put off": TaskState(
        condition=Condition.BACKOFF, generation=GENERATION, failures=2, has_turn=True
    ),
    "backoff": TaskState(
        condition=Condition.BACKOFF,
        generation=GENERATION,
        failures=3,
        restart_times=(1.0, 2.0),
        retry_at=510.0,
    ),
    "failed": TaskState(
        condition=Condition.FAILED,
        generation=GENERATION,
        failures=3,
        restart_times=(1.0, 2.0),
        trace="old",
    ),
    "unresponsive": TaskState(
        condition=Condition.UNRESPONSIVE, generation=GENERATION, ending=ExitClass.UNRESPONSIVE
    ),
    "unkillable": TaskState(
        condition=Condition.UNKILLABLE, generation=GENERATION, ending=ExitClass.STOPPED
    ),
}
STATES = {name: replace(state, wanted_hash="a", process_hash="a") for name, state in STATES.items()}

UNCHANGED: list[Action] = []

TABLE: list[tuple[str, Event, str, list[Action]]] = [
    ("stopped", WANTED, "STARTING", START),
    ("starting", WANTED, "STARTING", UNCHANGED),
    ("running", WANTED, "RUNNING", UNCHANGED),
    ("paused", WANTED, "PAUSED", [TellTarget(is_paused=False)]),
    ("dropped", WANTED, "STOPPING", UNCHANGED),
    ("restarting", WANTED, "STOPPING", UNCHANGED),
    ("backoff", WANTED, "BACKOFF", UNCHANGED),
    ("failed", WANTED, "FAILED", UNCHANGED),
    ("unresponsive", WANTED, "UNRESPONSIVE", UNCHANGED),
    ("unkillable", WANTED, "UNKILLABLE", UNCHANGED),
    ("stopped", Unwanted(), "STOPPED", GONE),
    ("starting", Unwanted(), "STOPPING", STOP_FOR_GOOD),
    ("running", Unwanted(), "STOPPING", STOP_FOR_GOOD),
    ("running", Unwanted(is_final=False), "STOPPING", STOP),
    ("paused", Unwanted(), "STOPPING", STOP_FOR_GOOD),
    ("dropped", Unwanted(), "STOPPING", UNCHANGED),
    ("restarting", Unwanted(), "STOPPING", UNCHANGED),
    ("late", Unwanted(), "STOPPING", UNCHANGED),
    ("backoff", Unwanted(), "STOPPED", GONE),
    ("failed", Unwanted(), "STOPPED", GONE),
    ("unresponsive", Unwanted(), "UNRESPONSIVE", UNCHANGED),
    ("unkillable", Unwanted(), "UNKILLABLE", UNCHANGED),
    ("stopped", RestartRequested(), "STOPPED", UNCHANGED),
    ("starting", RestartRequested(), "STARTING", UNCHANGED),
    ("running", RestartRequested(), "STOPPING", STOP),
    ("paused", RestartRequested(), "STOPPING", STOP),
    ("dropped", RestartRequested(), "STOPPING", UNCHANGED),
    ("restarting", RestartRequested(), "STOPPING", UNCHANGED),
    ("backoff", RestartRequested(), "STARTING", START),
    ("failed", RestartRequested(), "STARTING", START),
    ("late", RestartRequested(), "STOPPING", UNCHANGED),
    ("unresponsive", RestartRequested(), "UNRESPONSIVE", UNCHANGED),
    ("unkillable", RestartRequested(), "UNKILLABLE", UNCHANGED),
    ("starting", BecameReady(GENERATION, is_paused=False), "RUNNING", [Disarm(), Emit("running")]),
    (
        "starting",
        BecameReady(GENERATION, is_paused=True),
        "PAUSED",
        [Disarm(), Emit("paused"), TellTarget(is_paused=False)],
    ),
    ("running", BecameReady(GENERATION, is_paused=True), "RUNNING", UNCHANGED),
    ("dropped", BecameReady(GENERATION, is_paused=False), "STOPPING", UNCHANGED),
    ("backoff", BecameReady(GENERATION, is_paused=False), "BACKOFF", UNCHANGED),
    ("running", PauseDone(GENERATION, is_paused=True), "PAUSED", [Emit("paused")]),
    ("paused", PauseDone(GENERATION, is_paused=False), "RUNNING", [Emit("running")]),
    ("starting", PauseDone(GENERATION, is_paused=True), "STARTING", UNCHANGED),
    ("unresponsive", PauseDone(GENERATION, is_paused=True), "UNRESPONSIVE", UNCHANGED),
    ("running", Noted(GENERATION, "waits"), "RUNNING", [Emit("note")]),
    ("stopped", CRASH, "STOPPED", UNCHANGED),
    ("starting", CRASH, "BACKOFF", BACKOFF),
    ("running", CRASH, "BACKOFF", BACKOFF),
    ("paused", CRASH, "BACKOFF", BACKOFF),
    ("late", CRASH, "BACKOFF", BACKOFF),
    ("unresponsive", CRASH, "BACKOFF", BACKOFF),
    ("dropped", CRASH, "STOPPED", [Disarm(), Emit("exited"), *GONE]),
    ("unkillable", CRASH, "STARTING", [START[0], Disarm(), Emit("exited"), *START[1:]]),
    ("restarting", CRASH, "STARTING", [START[0], Disarm(), Emit("exited"), *START[1:]]),
    ("backoff", CRASH, "BACKOFF", UNCHANGED),
    ("failed", CRASH, "FAILED", UNCHANGED),
    (
        "running",
        Exited(GENERATION, ExitStatus(code=78)),
        "FAILED",
        [Disarm(), Emit("exited"), Emit("failed")],
    ),
    (
        "running",
        FellSilent(GENERATION, 30.0, "poll"),
        "UNRESPONSIVE",
        [Emit("unresponsive"), *DUMP],
    ),
    ("starting", FellSilent(GENERATION, 30.0, "start"), "STARTING", UNCHANGED),
    ("dropped", FellSilent(GENERATION, 30.0, "stop"), "STOPPING", UNCHANGED),
    ("backoff", TimedOut(GENERATION, Timer.RESTART), "STARTING", TURN),
    ("put off", TimedOut(GENERATION, Timer.RESTART), "STARTING", START),
    ("put off", RestartRequested(), "STARTING", START),
    ("put off", Unwanted(), "STOPPED", GONE),
    ("running", PutOff(GENERATION, 3.0), "BACKOFF", BACKOFF),
    ("starting anew", PutOff(GENERATION, 3.0), "BACKOFF", PUT_OFF),
    ("starting", PutOff(GENERATION, 3.0), "STARTING", START),
    ("dropped", PutOff(GENERATION, 3.0), "STOPPED", [Disarm(), Emit("exited"), *GONE]),
    ("failed", TimedOut(GENERATION, Timer.RESTART), "FAILED", UNCHANGED),
    ("running", TimedOut(GENERATION, Timer.RESTART), "RUNNING", UNCHANGED),
    ("starting", TimedOut(GENERATION, Timer.START), "STOPPING", [Emit("stopping"), *DUMP]),
    (
        "starting",
        TimedOut(GENERATION, Timer.START, busy=7.0),
        "STARTING",
        [Arm(Timer.START, 7.0, GENERATION)],
    ),
    ("running", TimedOut(GENERATION, Timer.START), "RUNNING", UNCHANGED),
    ("dropped", TimedOut(GENERATION, Timer.START), "STOPPING", UNCHANGED),
    ("dropped", TimedOut(GENERATION, Timer.STOP), "STOPPING", ABORT),
    (
        "dropped",
        TimedOut(GENERATION, Timer.STOP, busy=7.0),
        "STOPPING",
        [Arm(Timer.STOP, 7.0, GENERATION)],
    ),
    (
        "dropped",
        TimedOut(GENERATION, Timer.STOP, busy=999.0),
        "STOPPING",
        [Arm(Timer.STOP, 60.0, GENERATION)],
    ),
    ("dropped", TimedOut(GENERATION, Timer.ABORT), "STOPPING", KILL),
    ("dropped", Dumped(GENERATION), "STOPPING", UNCHANGED),
    ("dumping", Dumped(GENERATION), "UNRESPONSIVE", TERM),
    ("dumping", TimedOut(GENERATION, Timer.DUMP), "UNRESPONSIVE", TERM),
    ("dumping", Unwanted(), "UNRESPONSIVE", UNCHANGED),
    ("dumping late", Dumped(GENERATION), "STOPPING", STOP[:2]),
    ("unresponsive", Dumped(GENERATION), "UNRESPONSIVE", UNCHANGED),
    ("unresponsive", TimedOut(GENERATION, Timer.STOP, busy=99.0), "UNRESPONSIVE", ABORT),
    ("running", Stalled(GENERATION, 301.0, 7), "DEGRADED", [Emit("degraded")]),
    ("paused", Stalled(GENERATION, 301.0, 7), "PAUSED", UNCHANGED),
    ("dropped", Stalled(GENERATION, 301.0, 7), "STOPPING", UNCHANGED),
    ("impatient", Stalled(GENERATION, 301.0, 7), "STOPPING", [Emit("stopping"), *DUMP]),
    ("degraded", Stalled(GENERATION, 302.0, 7), "DEGRADED", UNCHANGED),
    ("degraded", Moved(GENERATION), "RUNNING", [Emit("recovered")]),
    ("running", Moved(GENERATION), "RUNNING", UNCHANGED),
    ("running", OUTGREW, "RUNNING", RECYCLE),
    ("paused", OUTGREW, "PAUSED", RECYCLE),
    ("degraded", OUTGREW, "DEGRADED", RECYCLE),
    ("starting", OUTGREW, "STARTING", UNCHANGED),
    ("dropped", OUTGREW, "STOPPING", UNCHANGED),
    ("recycling", OUTGREW, "RUNNING", UNCHANGED),
    ("recycling", TimedOut(GENERATION, Timer.RECYCLE), "STOPPING", STOP),
    ("running", TimedOut(GENERATION, Timer.RECYCLE), "RUNNING", UNCHANGED),
    ("recycling", RestartRequested(), "STOPPING", STOP),
    ("recycling", Unwanted(), "STOPPING", STOP_FOR_GOOD),
    ("recycling", Exited(GENERATION, ExitStatus(code=0)), "STARTING", FRESH),
    ("recycling", CRASH, "BACKOFF", BACKOFF),
    ("running", Overran(GENERATION, "too much"), "STOPPING", [*KILL, Emit("stopping")]),
    ("starting", Overran(GENERATION, "too much"), "STOPPING", [*KILL, Emit("stopping")]),
    ("dropped", Overran(GENERATION, "too much"), "STOPPING", KILL),
    ("backoff", Overran(GENERATION, "too much"), "BACKOFF", UNCHANGED),
    ("degraded", WANTED, "DEGRADED", UNCHANGED),
    ("degraded", PauseDone(GENERATION, is_paused=True), "PAUSED", [Emit("paused")]),
    (
        "degraded",
        FellSilent(GENERATION, 31.0, "put"),
        "UNRESPONSIVE",
        [Emit("unresponsive"), *DUMP],
    ),
    ("degraded", RestartRequested(), "STOPPING", STOP),
    ("degraded", Unwanted(), "STOPPING", STOP_FOR_GOOD),
    ("stopped", TimedOut(GENERATION, Timer.STOP), "STOPPED", UNCHANGED),
    ("unresponsive", TimedOut(GENERATION, Timer.ABORT), "UNRESPONSIVE", KILL),
    ("dropped", TimedOut(GENERATION, Timer.KILL), "UNKILLABLE", [Emit("unkillable")]),
    ("failed", TimedOut(GENERATION, Timer.KILL), "FAILED", UNCHANGED),
]


@pytest.mark.parametrize(("name", "event", "condition", "actions"), TABLE)
def test_each_condition_answers_each_event_as_the_table_says(
    name: str, event: Event, condition: str, actions: list[Action]
) -> None:
    """Nothing but what stands here is done."""
    state, done = reduce(STATES[name], event, NOW)

    assert (state.condition, done) == (condition, actions)


@pytest.mark.parametrize("name", sorted(STATES))
@pytest.mark.parametrize(
    "event",
    [
        BecameReady(GENERATION - 1, is_paused=False),
        PauseDone(GENERATION - 1, is_paused=True),
        Noted(GENERATION - 1, "old"),
        Exited(GENERATION - 1, ExitStatus(code=78)),
        FellSilent(GENERATION - 1, 99.0, "poll"),
        Stalled(GENERATION - 1, 999.0, 3),
        Moved(GENERATION - 1),
        Outgrew(GENERATION - 1, ExitClass.RECYCLED, "old"),
        Overran(GENERATION - 1, "old"),
        Dumped(GENERATION - 1),
        *(TimedOut(GENERATION - 1, timer) for timer in Timer),
    ],
)
def test_a_stale_generation_changes_nothing(name: str, event: Event) -> None:
    assert reduce(STATES[name], event, NOW) == (STATES[name], [])


@pytest.mark.parametrize("name", sorted(STATES))
def test_a_new_configuration_gets_a_process_of_its_own(name: str) -> None:
    """A process never runs with a configuration that is no longer wanted."""
    task = SimulatedTask()
    task.state = STATES[name]
    if task.state.has_process:
        task.want("a")
        task.process = Process(task.state.generation, "a")
    task.want("b")
    if task.process is not None and task.process.config_hash == "a":
        task.end()
        task.pass_time(2)

    assert task.process is not None
    assert task.process.config_hash == "b"


def test_a_running_task_that_is_wanted_otherwise_is_stopped_first() -> None:
    """The old process and the new one never live together."""
    wanted = Wanted("b", is_paused=False, supervision=Supervision(POLICY, Deadlines(stop=9.0)))

    state, actions = reduce(STATES["running"], wanted, NOW)

    assert actions == [
        Terminate(is_final=True),
        Arm(Timer.STOP, 9.0, GENERATION),
        Emit("stopping"),
    ]
    state, actions = reduce(state, Exited(GENERATION, ExitStatus(code=0)), NOW)
    assert actions == [START[0], Disarm(), Emit("exited"), *START[1:]]
    assert (state.process_hash, dict(state.restarts)) == ("b", {})
