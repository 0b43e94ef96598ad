"""Numbered lines: what is lost, what came twice, what nobody wrote."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.cli.chaos.lines import Stream, Tally, line, tally, whole_lines


def lines(*numbers: int) -> list[bytes]:
    return [line(3, number) for number in numbers]


def test_all_that_arrived_in_order_is_good() -> None:
    found = tally(3, 4, lines(0, 1, 2, 3))
    assert found == Tally(written=4)
    assert found.is_good


def test_what_is_repeated_is_counted_and_good() -> None:
    found = tally(3, 4, lines(0, 1, 2, 1, 2, 3, 3))
    assert found == Tally(written=4, duplicated=3)
    assert found.is_good


def test_what_is_missing_is_lost() -> None:
    assert tally(3, 4, lines(0, 2)) == Tally(written=4, lost=2)


def test_what_nobody_wrote_is_damaged() -> None:
    strange = [b"", b"3", line(4, 1), line(3, 1) + b"x", line(3, 9), line(3, 0)[:-1], b"3 \xff 1"]
    found = tally(3, 2, [*lines(0, 1), *strange])
    assert found == Tally(written=2, damaged=len(strange))
    assert not found.is_good


def test_an_earlier_line_that_comes_first_after_a_later_one_is_out_of_order() -> None:
    found = tally(3, 4, lines(0, 2, 1, 3))
    assert found == Tally(written=4, out_of_order=1)
    assert not found.is_good


@given(st.lists(st.integers(0, 30), max_size=200))
def test_a_tally_balances(numbers: list[int]) -> None:
    found = tally(3, 31, lines(*numbers))
    assert found.written - found.lost + found.duplicated == len(numbers)
    assert found.lost == 31 - len(set(numbers))


def test_tallies_add_up() -> None:
    assert Tally(1, 2, 3, 4, 5) + Tally(10, 20, 30, 40, 50) == Tally(11, 22, 33, 44, 55)


def test_a_stream_grows_with_time_and_a_torn_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert list(whole_lines(path)) == []
    stream = Stream(3, path, rate=100)
    stream.write_due(50.0)
    assert stream.written == 0
    stream.write_due(50.255)
    stream.write_due(50.255)
    assert stream.written == 25
    stream.close()
    with path.open("ab") as file:
        file.write(b"3 25 torn")
    assert list(whole_lines(path)) == lines(*range(25))
