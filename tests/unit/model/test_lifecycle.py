"""What the lifecycle decides: each condition with each event, and the operator's races."""

from dataclasses import replace

import pytest

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.lifecycle import reduce
from engine.model.lifecycle_action import (
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
from engine.model.lifecycle_ending import (
    ABORT_GRACE,
    DUMP_GRACE,
    KILL_GRACE,
    RECYCLE_PATIENCE,
    TERM_GRACE,
)  # fmt: skip
from engine.model.lifecycle_event import (
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
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from engine.model.supervision import Supervision
from engine.model.task_state import TaskState
from tests.unit.model.simulated_task import SIGKILLED, Process, SimulatedTask

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


def test_f20_a_stop_in_back_off_is_final() -> None:
    task = SimulatedTask()
    task.want()
    task.end()
    assert task.is_in(Condition.BACKOFF)

    task.drop()
    task.pass_time(3600)

    assert task.is_in(Condition.STOPPED)
    assert (len(task.spawned_at), task.events[-1], task.timer) == (1, "gone", None)


def test_f21_a_stop_while_the_process_is_being_made_ends_it() -> None:
    task = SimulatedTask()
    task.want()
    task.drop()
    task.pass_time(1)

    assert (task.process, task.events[-1], len(task.spawned_at)) == (None, "gone", 1)


def test_f21_a_stop_of_a_process_that_was_never_made_is_final() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.drop()
    task.end(None)

    assert (task.state.condition, task.events[-1]) == (Condition.STOPPED, "gone")


def test_f22_fifty_restarts_at_once_make_one_new_process() -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    for _ in range(50):
        task.restart()
    task.pass_time(1)

    assert len(task.spawned_at) == 2
    assert dict(task.state.restarts) == {"operator": 1}


def test_f23_a_task_that_ends_by_itself_when_it_is_stopped_counts_as_stopped() -> None:
    """The exit code is kept, the wish wins."""
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()
    task.drop()
    task.end(ExitStatus(code=3))

    assert (task.events[-1], task.state.exit_code) == ("gone", 3)
    assert task.state.reason == "stopped, exit code 3"
    assert dict(task.state.restarts) == {}


def test_f24_a_start_waits_until_the_old_process_is_dead() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()
    task.drop()
    task.want()
    assert len(task.spawned_at) == 1

    task.pass_time(4.9)
    assert len(task.spawned_at) == 1
    task.pass_time(0.2)

    assert len(task.spawned_at) == 2
    assert "gone" not in task.events


def test_f29_a_task_that_dies_while_paused_stays_meant_to_be_paused() -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    task.want(is_paused=True)
    assert task.is_in(Condition.PAUSED)

    task.end()
    task.pass_time(2)
    task.become_ready(is_paused=False)

    assert task.is_in(Condition.PAUSED)


def test_f30_a_process_that_does_not_end_is_killed_after_the_stop_timeout() -> None:
    task = SimulatedTask(obeys=False, stop_timeout=3)
    task.want()
    task.become_ready()
    task.drop()
    task.pass_time(2.9)
    assert task.has_process()
    task.pass_time(0.2)

    assert not task.has_process()
    assert task.events[-1] == "gone"


def test_f35_a_process_that_even_sigkill_does_not_end_is_called_unkillable() -> None:
    """Its slot is not used again, and its end is still noticed."""
    task = SimulatedTask(obeys=False, aborts=False, is_mortal=False)
    task.want()
    task.become_ready()
    task.restart()
    task.pass_time(5 + ABORT_GRACE + KILL_GRACE + 1)
    assert task.is_in(Condition.UNKILLABLE)
    assert task.state.reason == "SIGKILL did not end it within 5 s"
    assert len(task.spawned_at) == 1

    task.end(SIGKILLED)

    assert task.is_in(Condition.STARTING)


@pytest.mark.parametrize("mode", ["never", "on-failure"])
@pytest.mark.parametrize("why", ["silent", "late"])
def test_a_restart_of_a_process_that_is_being_ended_always_leads_to_a_start(
    why: str, mode: str
) -> None:
    """The operator's word wins over a policy that would leave the task FAILED."""
    task = SimulatedTask(policy=RestartPolicy(mode=mode, max_restarts=0), obeys=False)
    task.want()
    if why == "silent":
        task.become_ready()
        task.handle(FellSilent(task.state.generation, 31.0, "poll"))
    else:
        task.pass_time(task.start_timeout + 1)
    task.restart()
    task.pass_time(30)

    assert len(task.spawned_at) >= 2


def test_a_new_configuration_wipes_the_slate_of_a_running_task() -> None:
    task = SimulatedTask()
    task.want()
    for _ in range(3):
        task.end()
        task.pass_time(60)
    task.become_ready()
    assert task.state.failures == 3

    task.want("b")
    task.pass_time(1)

    assert (task.state.failures, task.state.restart_times) == (0, ())


def test_a_failed_task_shows_its_words_and_why_it_is_not_restarted() -> None:
    task = SimulatedTask()
    task.want()
    task.end(ExitStatus(code=78), summary="ConfigError: file is missing")

    assert task.state.trace is not None
    assert task.state.trace.splitlines() == [
        "ConfigError: file is missing",
        "not restarted: the cause is permanent (config)",
    ]
    assert task.state.reason == "ConfigError: file is missing (exit code 78)"
    assert task.state.exit_code == 78


@pytest.mark.parametrize(
    ("out_of_memory", "reason", "exit_class"),
    [
        (None, "killed by SIGKILL (possibly out of memory)", "killed"),
        (False, "killed by SIGKILL", "killed"),
        (True, "out of memory: killed by SIGKILL", "out_of_memory"),
    ],
)
def test_f01_f52_a_killed_task_says_how_it_died(
    out_of_memory: bool | None, reason: str, exit_class: str
) -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    task.process = None
    task.handle(Exited(task.state.generation, SIGKILLED, out_of_memory=out_of_memory))

    assert task.state.reason == reason
    assert task.state.trace == f"TaskDied: {reason}"
    assert (task.state.exit_code, dict(task.state.restarts)) == (-9, {exit_class: 1})


def test_a_trace_is_gone_when_the_task_runs_again() -> None:
    task = SimulatedTask()
    task.want()
    task.end()
    task.pass_time(2)
    task.become_ready()

    assert task.state.trace is None


def test_f06_a_process_that_was_never_made_counts_as_a_failed_start() -> None:
    task = SimulatedTask()
    task.want()
    task.end(None, summary="ProcessNotMade: fork: Cannot allocate memory")

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"start_failed": 1}
    assert task.state.exit_code is None


def test_f07_a_start_that_takes_too_long_is_ended_and_counted() -> None:
    task = SimulatedTask(start_timeout=2, obeys=False)
    task.want()
    task.pass_time(2 + 5 + 0.5)

    assert dict(task.state.restarts) == {"start_timeout": 1}
    assert task.is_in(Condition.BACKOFF)
    assert task.state.reason is not None
    assert task.state.reason.startswith("not RUNNING 2 s after its start")


@pytest.mark.parametrize(
    ("obeys", "aborts", "how", "seconds"),
    [
        (True, True, "exit code 0", 0.1),
        (False, True, "killed by SIGABRT", TERM_GRACE + 0.1),
        (
            False,
            False,
            "killed by SIGKILL",
            TERM_GRACE + ABORT_GRACE + 0.1,
        ),
    ],
)
def test_f32_a_silent_task_is_asked_then_aborted_then_killed_then_restarted(
    obeys: bool, aborts: bool, how: str, seconds: float
) -> None:
    task = SimulatedTask(obeys=obeys, aborts=aborts)
    task.want()
    task.become_ready()
    task.handle(FellSilent(task.state.generation, 31.0, "put", "lines-0@7 to lines-0@9, 3 records"))
    task.pass_time(seconds)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"unresponsive": 1}
    assert task.state.reason == (
        f"no heartbeat for 31.0 s, in stage put with lines-0@7 to lines-0@9, 3 records ({how})"
    )


def test_f32_stacks_that_cannot_be_had_hold_up_nothing() -> None:
    task = SimulatedTask(dump_takes=3600)
    task.want()
    task.become_ready()
    task.handle(FellSilent(task.state.generation, 31.0, "put"))
    task.pass_time(DUMP_GRACE + 0.2)

    assert task.is_in(Condition.BACKOFF)


@pytest.mark.parametrize(("needs", "ends_after"), [(40.0, 40.0), (4000.0, 60.0)])
def test_f38_a_task_that_needs_longer_to_stop_gets_it_up_to_a_maximum(
    needs: float, ends_after: float
) -> None:
    task = SimulatedTask(obeys=False, stop_timeout=30)
    task.want()
    task.become_ready()
    task.busy_until = task.now + needs

    task.drop()
    task.pass_time(ends_after - 0.1)
    assert task.has_process()
    task.pass_time(0.2)

    assert not task.has_process()
    assert task.state.reason == f"stopped, did not end within {ends_after:g} s, killed by SIGABRT"


def test_a_start_that_announces_that_it_takes_long_may_take_long() -> None:
    task = SimulatedTask(start_timeout=60, obeys=False)
    task.want()
    task.busy_until = task.now + 600
    task.pass_time(599)
    assert task.is_in(Condition.STARTING)

    task.become_ready()

    assert task.is_in(Condition.RUNNING)


def test_f34_a_task_without_progress_is_restarted_where_that_is_wished() -> None:
    task = SimulatedTask(progress_restarts=True)
    task.want()
    task.become_ready()

    task.handle(Stalled(task.state.generation, 301.4, 1200))
    task.pass_time(0.5)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"no_progress": 1}
    assert task.state.reason == ("1200 records wait and none has moved for 301 s (exit code 0)")


def test_the_policy_never_restarts_nothing_but_what_an_operator_restarts() -> None:
    task = SimulatedTask(policy=RestartPolicy(mode="never"))
    task.want()
    task.end()
    assert task.is_in(Condition.FAILED)
    task.pass_time(3600)
    assert len(task.spawned_at) == 1

    task.restart()

    assert task.is_in(Condition.STARTING)


def test_without_a_delay_the_next_process_comes_at_once() -> None:
    task = SimulatedTask(policy=RestartPolicy(delay=0))
    task.want()
    task.end()

    assert task.is_in(Condition.STARTING)


@pytest.mark.parametrize("why", [ExitClass.SOFT_MEMORY, ExitClass.RECYCLED])
def test_f17_a_fresh_process_neither_counts_as_a_failure_nor_forgives_one(why: ExitClass) -> None:
    task = SimulatedTask(policy=RestartPolicy(max_restarts=3))
    task.want()
    for _ in range(2):
        task.end()
        task.pass_until_spawned()
    assert task.state.failures == 2
    for _ in range(50):
        task.become_ready()
        task.handle(Outgrew(task.state.generation, why, "it used much"))
        task.pass_time(1)

    assert (task.state.failures, len(task.state.restart_times)) == (2, 2)
    assert dict(task.state.restarts) == {"crash": 2, why: 50}
    assert task.state.reason is not None
    assert task.state.reason.endswith("it used much, exit code 0")
    task.become_ready()
    task.end()
    assert task.state.failures == 3


def test_a_fresh_process_that_no_commit_makes_room_for_comes_all_the_same() -> None:
    task = SimulatedTask(commits_after=1e9)
    task.want()
    task.become_ready()

    task.handle(Outgrew(task.state.generation, ExitClass.RECYCLED, "it is due"))
    task.pass_time(RECYCLE_PATIENCE + 1)

    assert len(task.spawned_at) == 2
    assert dict(task.state.restarts) == {"recycled": 1}


def test_a_process_that_uses_too_much_memory_is_ended_at_once_and_counted() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()

    task.handle(Overran(task.state.generation, "it used 200 bytes of 100"))
    task.pass_time(0.1)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"out_of_memory": 1}
    assert task.state.reason == ("it used 200 bytes of 100 (killed by SIGKILL)")
