"""What the journal says of a task's transitions."""

from typing import Any

from engine.model.death import Death, death_of
from engine.model.exit_status import ExitStatus
from engine.model.journal_event import TaskTransitions
from engine.model.lifecycle.action import Emit
from engine.model.lifecycle.decision import reduce
from engine.model.lifecycle.event import (
    BecameReady,
    Event,
    Exited,
    Noted,
    PauseDone,
    RestartRequested,
    TimedOut,
    Timer,
    Unwanted,
    Wanted,
)
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_policy import RestartPolicy
from engine.model.supervision import Supervision
from engine.model.task_id import TaskId

ORDERS = TaskId("orders", 3)
NOON_MS = 1_700_000_000_000


class Story:
    """A task whose events are recorded as the supervisor does it."""

    def __init__(self, **policy: Any) -> None:
        self.state = TaskState()
        self.now = 100.0
        self.lines: list[dict[str, Any]] = []
        self._policy = RestartPolicy(jitter=0.0, **policy)
        self._transitions = TaskTransitions()
        self._death: Death | None = None

    def happen(self, event: Event, actor: str | None = None) -> list[dict[str, Any]]:
        """What the journal says of it."""
        self.now += 1
        before = self.state
        self.state, actions = reduce(self.state, event, self.now)
        if isinstance(event, Exited) and self.state is not before:
            self._death = death_of(self.state, event, self.now, NOON_MS)
        told = [self._fields(each.event, actor) for each in actions if isinstance(each, Emit)]
        self.lines += told
        return told

    def _fields(self, event: str, actor: str | None) -> dict[str, Any]:
        found = self._transitions.fields(ORDERS, event, self.state, 42, self._death, actor)
        assert found is not None
        return {"event": event, **{k: v for k, v in found.items() if v is not None}}

    def want(self, config: str = "a", actor: str = "herder") -> list[dict[str, Any]]:
        supervision = Supervision(restart=self._policy)
        return self.happen(Wanted(config, False, supervision), actor)

    def run(self, actor: str = "herder") -> None:
        self.want(actor=actor)
        self.ready()

    def ready(self) -> list[dict[str, Any]]:
        return self.happen(BecameReady(self.state.generation, False))

    def end(self, **known: Any) -> list[dict[str, Any]]:
        status = known.pop("status", ExitStatus(code=70))
        return self.happen(Exited(self.state.generation, status, **known))


def test_a_start_says_who_wanted_it_and_what_it_became() -> None:
    story = Story()
    story.run(actor="operator 127.0.0.1 curl/8")

    assert story.lines[0] == {
        "event": "starting", "connector": "orders", "task": 3, "generation": 1, "to": "STARTING",
        "why": "it is wanted", "by": "operator 127.0.0.1 curl/8", "pid": 42,
    }  # fmt: skip
    assert story.lines[1] == {
        "event": "running", "connector": "orders", "task": 3, "generation": 1,
        "from": "STARTING", "to": "RUNNING", "by": "operator 127.0.0.1 curl/8", "pid": 42,
    }  # fmt: skip


def test_an_end_tells_all_that_is_known_of_it_and_nobody_is_blamed_for_an_old_order() -> None:
    story = Story(delay=2.0)
    story.run(actor="operator 127.0.0.1 curl/8")
    ended, backoff = story.end(summary="ValueError: x", trace="Traceback" + "y" * 30_000)

    assert (ended["from"], ended["to"], ended["by"]) == ("RUNNING", "STOPPED", "process")
    assert ended["why"] == "ValueError: x (exit code 70)"
    assert ended["death"]["exit_class"] == "crash"
    assert ended["death"]["traceback"].endswith("yyy")
    assert len(ended["death"]["traceback"]) == 16 * 1024
    assert (backoff["from"], backoff["to"], backoff["retry_in"]) == ("STOPPED", "BACKOFF", 2.0)
    assert "by" not in backoff

    (starting,) = story.happen(TimedOut(story.state.generation, Timer.RESTART))
    assert (starting["from"], starting["why"]) == ("BACKOFF", "the back-off is over")


def test_the_generation_of_an_end_is_that_of_the_process_though_a_successor_is_made() -> None:
    story = Story(delay=0.0)
    story.run()
    ended, starting = story.end()

    assert (ended["generation"], starting["generation"]) == (1, 2)
    assert starting["why"] == "the last process ended: exit code 70"


def test_who_ended_a_process_is_told_as_far_as_anybody_can_tell() -> None:
    def culprit(**known: Any) -> object:
        story = Story()
        story.run()
        return story.end(**known)[0].get("by")

    assert culprit(status=ExitStatus(signal=9)) == "unknown"
    assert culprit(status=ExitStatus(signal=9), out_of_memory=True) == "kernel"
    assert culprit(status=ExitStatus(signal=11)) == "process"
    assert culprit(status=ExitStatus(code=3)) == "process"


def test_an_operators_restart_is_his_from_the_order_to_the_new_process() -> None:
    story = Story()
    story.run()
    operator = "operator 10.0.0.1 engine-ctl/1"
    (stopping,) = story.happen(RestartRequested(), operator)
    ended, starting = story.end(status=ExitStatus(code=0))
    (running,) = story.ready()

    assert stopping["why"] == starting["why"] == "a new process was asked for"
    assert {each["by"] for each in (stopping, ended, starting, running)} == {operator}
    assert story.end()[0]["by"] == "process"


def test_a_changed_configuration_is_why_a_process_is_replaced() -> None:
    story = Story()
    story.run()
    (stopping,) = story.want("b", "operator 10.0.0.1 curl/8")
    _, starting = story.end(status=ExitStatus(code=0))

    assert stopping["why"] == starting["why"] == "its configuration changed"


def test_a_pause_that_shows_later_is_still_the_operators() -> None:
    story = Story()
    story.run()
    story._transitions.ordered(ORDERS, "operator x")
    (paused,) = story.happen(PauseDone(story.state.generation, True))
    (running,) = story.happen(PauseDone(story.state.generation, False))

    assert (paused["by"], "by" in running) == ("operator x", False)


def test_what_a_task_says_of_itself_is_its_own_word() -> None:
    story = Story()
    story.run()
    generation = story.state.generation
    (noted,) = story.happen(Noted(generation, "broker is away"))
    (over,) = story.happen(Noted(generation, None))

    assert (noted["why"], noted["by"]) == ("broker is away", "process")
    assert over["why"] == "it is over"
    assert "to" not in noted


def test_a_task_that_is_given_up_says_why() -> None:
    story = Story(max_restarts=0)
    story.run()
    failed = story.end(summary="ConfigError: bad", status=ExitStatus(code=78))[1]

    assert failed["why"] == (
        "ConfigError: bad (exit code 78); not restarted: the cause is permanent (config)"
    )


def test_a_deleted_task_and_one_of_an_engine_that_stops_are_told_apart() -> None:
    for is_final, why in ((True, "it is no longer wanted"), (False, "the engine stops")):
        story = Story()
        story.run()
        (stopping,) = story.happen(Unwanted(is_final))
        gone = story.end(status=ExitStatus(code=0))[-1]
        assert stopping["why"] == gone["why"] == why


def test_nothing_is_remembered_of_a_task_that_is_gone() -> None:
    story = Story()
    story.run()
    story.happen(Unwanted(True), "operator x")
    story.end(status=ExitStatus(code=0))

    assert story._transitions.known() == ()


def test_the_birth_of_a_process_gives_its_end_a_pid() -> None:
    story = Story()
    story.want()
    assert story._transitions.fields(ORDERS, "forked", story.state, 77, None, None) is None
    story.ready()

    assert story.end()[0]["pid"] == 77
