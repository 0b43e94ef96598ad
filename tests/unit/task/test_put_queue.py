"""Pieces of a batch: bad records are found, good ones are put once each and in order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.api.record import Column, Position, SinkBatch, TopicPartition
from engine.task.sink.put_queue import PutQueue


def batch(values: list[int]) -> SinkBatch:
    positions = [Position("t", value % 3, value) for value in values]
    return SinkBatch(Column(values), positions=positions)


def drive(queue: PutQueue, bad: set[int]) -> tuple[list[int], list[int], int]:
    """Put everything, atomically as a database does: what was written, what was given up."""
    written: list[int] = []
    given_up: list[int] = []
    puts = 0
    while queue:
        values: list[Any] = list(queue.first.values)
        puts += 1
        if not bad & set(values):
            written += values
            queue.done()
        elif len(values) > 1:
            queue.split()
        else:
            given_up += values
            queue.done()
    return written, given_up, puts


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=6))
def test_only_the_bad_records_are_given_up_and_the_others_keep_their_order(
    count: int, bad: set[int]
) -> None:
    queue = PutQueue()
    queue.begin(batch(list(range(count))))
    written, given_up, puts = drive(queue, bad)
    assert written == [value for value in range(count) if value not in bad]
    assert given_up == sorted(value for value in bad if value < count)
    assert puts <= 1 + len(bad) * 2 * count.bit_length()


def test_records_of_partitions_that_went_are_forgotten() -> None:
    queue = PutQueue()
    queue.begin(batch(list(range(9))))
    queue.split()
    queue.forget(frozenset((TopicPartition("t", 0), TopicPartition("t", 2))))
    assert drive(queue, set())[0] == [1, 4, 7]
    queue.begin(batch([0, 3]))
    queue.forget(frozenset((TopicPartition("t", 0),)))
    assert not queue
