"""What a fetch brings of a partition that went and came back in the middle of it."""

import pytest

from engine.kafka.fetch import first_since_back


@pytest.mark.parametrize(
    ("offsets", "position", "fresh"),
    [
        ([5, 6, 7, 5, 6], 7, [5, 6]),
        ([5, 6, 7, 3, 4], 5, [3, 4]),
        ([5, 6, 5, 6, 5], 6, [5]),
        ([5, 6, 7], None, []),  # nothing was read since it is back
        ([5, 6, 7], 8, [5, 6, 7]),  # all of it was
        ([5, 6, 9, 10], 11, [5, 6, 9, 10]),  # who cannot tell gives twice rather than never
        ([5], 6, [5]),
        ([], None, []),
    ],
)
def test_nothing_that_was_read_since_is_passed_over(
    offsets: list[int], position: int | None, fresh: list[int]
) -> None:
    assert offsets[first_since_back(offsets, position) :] == fresh
