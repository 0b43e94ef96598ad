"""What a restart restarts, for every request and every state."""

from hypothesis import given
from hypothesis import strategies as st

from engine.herder.herder import ConnectorStateInfo, InstanceState
from engine.herder.restart_plan import RestartRequest, plan_restart
from engine.model.state import State

instances = st.builds(
    InstanceState,
    st.sampled_from(State),
    st.just("w:1"),
    st.none(),
    st.one_of(st.none(), st.just("ValueError: x")),
)
statuses = st.builds(
    ConnectorStateInfo,
    st.just("c"),
    instances,
    st.dictionaries(st.integers(0, 6), instances, max_size=5),
    st.just("source"),
)
requests = st.builds(RestartRequest, st.just("c"), st.booleans(), st.booleans())


@given(requests, statuses, st.sets(st.integers(0, 6)))
def test_the_plan_names_what_the_flags_say(
    request: RestartRequest, status: ConnectorStateInfo, backing_off: set[int]
) -> None:
    plan = plan_restart(request, status, backing_off)
    is_failed = status.connector.state is State.FAILED
    assert plan.restarts_connector == (is_failed or not request.only_failed)
    for number, task in status.tasks.items():
        has_failed = task.state is State.FAILED or number in backing_off
        expected = request.include_tasks and (has_failed or not request.only_failed)
        assert (number in plan.tasks) == expected
    assert list(plan.tasks) == sorted(set(plan.tasks) & status.tasks.keys())


@given(requests, statuses, st.sets(st.integers(0, 6)))
def test_what_is_restarted_reads_restarting_without_a_trace_and_all_else_as_before(
    request: RestartRequest, status: ConnectorStateInfo, backing_off: set[int]
) -> None:
    plan = plan_restart(request, status, backing_off)
    told = plan.status
    assert (told.name, told.type) == (status.name, status.type)
    assert told.tasks.keys() == status.tasks.keys()
    before = [status.connector, *status.tasks.values()]
    after = [told.connector, *told.tasks.values()]
    named = [plan.restarts_connector, *(n in plan.tasks for n in status.tasks)]
    for old, new, is_named in zip(before, after, named, strict=True):
        if is_named:
            assert new == InstanceState(State.RESTARTING, old.worker_id, old.version)
        else:
            assert new == old


@given(statuses)
def test_nothing_is_restarted_when_only_the_failed_were_meant_and_nothing_failed(
    status: ConnectorStateInfo,
) -> None:
    states = [status.connector.state, *(task.state for task in status.tasks.values())]
    plan = plan_restart(RestartRequest("c", only_failed=True, include_tasks=True), status)
    assert (plan.restarts_connector or bool(plan.tasks)) == (State.FAILED in states)
