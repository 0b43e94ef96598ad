"""How far damage reaches."""

from hypothesis import given
from hypothesis import strategies as st

from engine.model.damaged_range import DamagedRange


@given(st.integers(0, 10_000), st.integers(1, 3000), st.integers(0, 5000))
def test_the_end_of_the_damage_is_found_exactly(first: int, damaged: int, behind: int) -> None:
    search = DamagedRange(first, first + damaged + behind)
    probes = 0
    while search.next is None:
        probes += 1
        if search.probe < first + damaged:
            search.is_damaged()
        else:
            search.is_readable()
    assert search.next == first + damaged
    assert (search.first, search.last) == (first, first + damaged - 1)
    assert probes <= 2 * (damaged + behind).bit_length()


def test_the_last_record_alone_needs_no_probe() -> None:
    assert DamagedRange(7, 8).next == 8
