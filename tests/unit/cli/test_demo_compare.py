"""The demo's comparison of what arrived with what was sent."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cli.demo.compare import Comparison, Verdict, count_lines, judge


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    return tmp_path / "sent.log"


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    return tmp_path / "arrived.log"


def write(path: Path, lines: Sequence[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def numbered(*numbers: int) -> list[bytes]:
    return [b"line %d" % number for number in numbers]


def test_a_faithful_copy_is_good(sent: Path, arrived: Path) -> None:
    write(sent, numbered(*range(1000)))
    write(arrived, numbered(*range(1000)))
    verdict = judge(sent, arrived, 1000)
    assert verdict == Verdict(1000)
    assert str(verdict) == "all 1,000 lines arrived in order, no duplicates"


def test_lines_that_came_twice_are_counted_and_allowed(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2, 3, 4))
    write(arrived, numbered(1, 2, 3, 2, 3, 4))
    verdict = judge(sent, arrived, 4)
    assert verdict.is_good
    assert str(verdict) == "all 4 lines arrived in order, 2 of them twice"


def test_a_missing_line_is_named(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2, 3, 4))
    write(arrived, numbered(1, 2, 4))
    verdict = judge(sent, arrived, 4)
    assert not verdict.is_good
    assert str(verdict) == "1 of 4 lines are missing; first at line 3: line 3"


def test_lines_out_of_order_are_no_success(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2, 3))
    write(arrived, numbered(1, 3, 2))
    verdict = judge(sent, arrived, 3)
    assert not verdict.is_good
    assert str(verdict) == "lines are out of order; first at line 3: line 3"


def test_lines_that_nobody_sent_are_no_success(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2))
    write(arrived, [b"line 1", b"torn", b"line 2"])
    verdict = judge(sent, arrived, 2)
    assert not verdict.is_good
    assert str(verdict) == "1 lines were never sent"


def test_an_output_that_is_not_there_lacks_every_line(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2))
    assert str(judge(sent, arrived, 2)) == "2 of 2 lines are missing; first at line 1: line 1"


def test_line_ends_are_those_of_the_file_source(sent: Path, arrived: Path) -> None:
    sent.write_bytes(b"a\r\nb\rc\n\nlast\r")
    write(arrived, [b"a", b"b", b"c", b"", b"last"])
    assert count_lines(sent) == 5
    assert judge(sent, arrived, 5) == Verdict(5)


def test_a_compressed_file_is_compared_with_its_lines(tmp_path: Path, arrived: Path) -> None:
    sent = tmp_path / "sent.gz"
    sent.write_bytes(gzip.compress(b"a\nb\n"))
    write(arrived, [b"a", b"b"])
    assert judge(sent, arrived, count_lines(sent)) == Verdict(2)


def test_a_file_that_grew_meanwhile_needs_only_what_it_had_at_first(
    sent: Path, arrived: Path
) -> None:
    write(sent, numbered(1, 2, 3, 4))
    write(arrived, numbered(1, 2, 3))
    assert judge(sent, arrived, 2) == Verdict(3)


def test_a_comparison_goes_on_while_both_files_grow(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2))
    comparison = Comparison(sent, arrived)
    assert not comparison.step()
    write(arrived, numbered(1))
    assert comparison.step()
    assert comparison.arrived == 1
    write(sent, numbered(1, 2, 3))
    write(arrived, numbered(1, 2, 2, 3))
    while comparison.step():
        pass
    comparison.close()
    assert (comparison.arrived, comparison.extra) == (3, 1)


def test_half_a_line_waits_until_it_is_whole(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2))
    comparison = Comparison(sent, arrived)
    arrived.write_bytes(b"line 1\nli")
    while comparison.step():
        pass
    arrived.write_bytes(b"line 1\n")  # the sink takes it back and writes it again
    while comparison.step():
        pass
    write(arrived, numbered(1, 2))
    while comparison.step():
        pass
    comparison.close()
    assert (comparison.arrived, comparison.extra) == (2, 0)


def test_a_comparison_begins_anew_when_the_sink_took_lines_back(sent: Path, arrived: Path) -> None:
    write(sent, numbered(1, 2, 3))
    write(arrived, numbered(1, 2))
    comparison = Comparison(sent, arrived)
    while comparison.step():
        pass
    write(arrived, numbered(1))
    while comparison.step():
        pass
    comparison.close()
    assert comparison.arrived == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(st.sampled_from((b"a", b"b", b"")), max_size=12),
    replays=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=3),
)
def test_any_number_of_replays_is_a_good_copy(
    sent: Path, arrived: Path, lines: list[bytes], replays: list[tuple[int, int]]
) -> None:
    """At least once: a task that comes back sends again what was not committed."""
    copy = list(lines)
    for end, count in replays:
        copy[end:end] = copy[max(0, end - count) : end]
    write(sent, lines)
    write(arrived, copy)
    verdict = judge(sent, arrived, len(lines))
    assert verdict.is_good
    assert verdict.duplicates == len(copy) - len(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(st.binary(max_size=3), min_size=1, max_size=8), gone=st.integers(0, 7))
def test_a_line_less_is_always_noticed(
    sent: Path, arrived: Path, lines: list[bytes], gone: int
) -> None:
    lines = [line.translate(None, b"\r\n") for line in lines]
    write(sent, lines)
    del lines[gone % len(lines)]
    write(arrived, lines)
    verdict = judge(sent, arrived, len(lines) + 1)
    assert not verdict.is_good
    assert verdict.missing == 1
