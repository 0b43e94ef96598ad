"""A record that ends processes is found; one that does not is left alone."""

from dataclasses import dataclass, field
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.exit_status import ExitClass
from engine.model.quarantine import Care, Evidence, Quarantine

BATCH = 500


@dataclass
class Task:
    """A sink's records from the last commit on, worked on by one process after the other.

    Attributes:
        poison: records that end their process.
        given_up: records that were given up.
        put: how often each record was put.
        alone: who was alone in each process that died.
    """

    count: int
    poison: frozenset[int]
    exit_class: ExitClass = ExitClass.CRASH
    quarantine: Quarantine = field(default_factory=Quarantine)
    committed: int = 0
    given_up: set[int] = field(default_factory=set)
    put: dict[int, int] = field(default_factory=dict)
    alone: list[int] = field(default_factory=list)

    def run(self, killed_at: int | None = None, commit_every: int = 10_000) -> bool:
        """One process; False when it died. ``killed_at``: after so many records, from outside."""
        at, taken = self.committed, 0
        while at < self.count:
            state = self.quarantine
            size = 1 if state.care is Care.RECORDS else BATCH
            records = range(at, min(at + size, self.count))
            if state.is_guilty(at + 1) and size == 1:
                self.given_up.add(at)
            else:
                is_killed = killed_at is not None and taken + len(records) > killed_at
                if is_killed or self.poison & set(records):
                    self.die(records, taken, ExitClass.KILLED if is_killed else self.exit_class)
                    return False
                for each in records:
                    self.put[each] = self.put.get(each, 0) + 1
            at += len(records)
            taken += len(records)
            self.quarantine = state.after(len(records))
            if state.care or taken % commit_every == 0:
                self.committed = at
        return True

    def die(self, records: range, taken: int, exit_class: ExitClass) -> None:
        alone = records[0] + 1 if len(records) == 1 else 0
        self.alone.append(alone)
        uncommitted = records[-1] + 1 - self.committed
        self.quarantine = self.quarantine.after_end(
            Evidence(exit_class, len(records), alone, uncommitted, taken + len(records))
        )


@pytest.mark.parametrize(
    ("count", "poison", "exit_class", "deaths"),
    [
        (1000, 700, ExitClass.CRASH, 3),  # alone at once, then the proof
        (1000, 0, ExitClass.UNRESPONSIVE, 3),
        (1000, 999, ExitClass.OUT_OF_MEMORY, 3),
        (1000, 700, ExitClass.KILLED, 4),  # somebody may have typed kill
        (200_000, 8_600, ExitClass.CRASH, 4),  # first its batch has to be found
    ],
)
def test_a_record_that_ends_processes_is_given_up_after_few_deaths(
    count: int, poison: int, exit_class: ExitClass, deaths: int
) -> None:
    task = Task(count, frozenset((poison,)), exit_class)
    for _ in range(deaths):
        assert not task.run()
        assert not task.given_up
    assert task.run()
    assert task.given_up == {poison}
    assert set(task.put) == set(range(count)) - {poison}


@given(st.integers(1, 12_000), st.sets(st.integers(0, 11_999), max_size=3))
def test_every_such_record_is_found_and_no_other(count: int, poison: set[int]) -> None:
    there = frozenset(each for each in poison if each < count)
    task = Task(count, there)
    for _ in range(5 * len(there) + 1):
        if task.run():
            break
    assert task.given_up == there
    assert set(task.put) == set(range(count)) - there


@given(st.lists(st.integers(0, 40), max_size=12))
def test_whoever_kills_processes_at_random_costs_a_record_only_by_hitting_it_alone_thrice(
    kills: list[int],
) -> None:
    task = Task(60, frozenset())
    for at in kills:
        if task.run(killed_at=at):
            break
    task.run()
    for record in task.given_up:
        runs = [list(run) for _, run in groupby(task.alone)]
        assert any(run[0] == record + 1 and len(run) >= 3 for run in runs)


@pytest.mark.parametrize(
    "exit_class", [ExitClass.STOPPED, ExitClass.OPERATOR, ExitClass.NO_PROGRESS, None]
)
def test_an_end_that_no_record_is_to_blame_for_clears_every_suspicion(
    exit_class: ExitClass | None,
) -> None:
    suspicious = Quarantine(Care.RECORDS, 100, suspect=7, deaths=1)
    assert suspicious.after_end(Evidence(exit_class, at_work=1, alone=7)) == Quarantine()


def test_an_end_between_records_changes_nothing() -> None:
    suspicious = Quarantine(Care.RECORDS, 100, suspect=7, deaths=1)
    assert suspicious.after_end(Evidence(ExitClass.CRASH)) == suspicious
    assert Quarantine().after_end(Evidence(ExitClass.TRANSIENT)) == Quarantine()


def test_two_deaths_of_different_records_prove_nothing() -> None:
    state = Quarantine(Care.RECORDS, 100)
    for alone in (7, 8, 7, 8):
        state = state.after_end(Evidence(ExitClass.CRASH, 1, alone, 1, 1))
        assert not state.is_guilty(alone)
    assert state.after_end(Evidence(ExitClass.CRASH, 1, 8, 1, 1)).is_guilty(8)
    assert not Quarantine().is_guilty(0)


def test_who_dies_of_making_records_durable_does_so_behind_each() -> None:
    state = Quarantine().after_end(Evidence(ExitClass.CRASH, 50, 0, 50, 50, was_flushing=True))
    assert (state.care, state.flushes) == (Care.RECORDS, True)
