"""G. Metrics: counters only grow, whatever becomes of processes, and the gone leave none."""

import concurrent.futures
import math

import pytest

from tests.system.faults.supervised import SupervisedEngine, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def scrape(engine: SupervisedEngine) -> dict[str, float]:
    """Series and their values; every line that is no comment has both."""
    answer = engine.ask("/metrics")
    assert answer.status == 200
    lines = [line for line in answer.body.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (each.rpartition(" ") for each in lines)}


def counters(series: dict[str, float]) -> dict[str, float]:
    """Those that must never become less."""
    ends = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in series.items() if key.partition("{")[0].endswith(ends)}


def falls(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Counters that are gone or became less."""
    old, new = counters(before), counters(after)
    return {key: (old[key], new.get(key, -1)) for key in old if new.get(key, -1) < old[key]}


def test_f64_counters_only_grow_while_tasks_come_and_go_and_end_with_their_connector(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, tasks_max=4, poll_ms=2, engine_restart_delay_ms=0)
    for number in range(4):
        engine.wait_state(name, "RUNNING", number)
    first = before = scrape(engine)
    for turn in range(24):
        task = engine.wait_state(name, "RUNNING", turn % 4)
        kill(task["pid"])
        now = scrape(engine)
        assert falls(before, now) == {}
        before = now
        engine.wait_anew(name, task, turn % 4)

    assert falls(first, scrape(engine)) == {}
    for number in range(4):
        key = f'engine_task_restarts_total{{connector="{name}",reason="killed",task="{number}"}}'
        assert scrape(engine)[key] == 6
    engine.delete(name)
    wait_for(lambda: not [key for key in scrape(engine) if name in key])


def test_f65_a_task_that_is_killed_while_it_counts_leaves_no_odd_number(
    engine: SupervisedEngine, name: str
) -> None:
    """It counts each turn of a loop that does nothing else."""
    engine.create(name, tasks_max=2, poll_ms=0, engine_restart_delay_ms=0)
    before = scrape(engine)
    with concurrent.futures.ThreadPoolExecutor(1) as killer:
        for turn in range(12):
            task = engine.wait_state(name, "RUNNING", turn % 2)
            killed = killer.submit(kill, task["pid"])
            now = scrape(engine)
            killed.result()
            assert falls(before, now) == {}
            values = counters(now).values()
            assert all(math.isfinite(value) and 0 <= value < 1e12 for value in values)
            before = now
            engine.wait_anew(name, task, turn % 2)
