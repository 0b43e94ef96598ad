"""However the bytes are cut into chunks, the lines and the positions are the same."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.file.line_splitter import LineSplitter, LineTooLongError

TEXT = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", "ü€\U0001f44b".encode(), b"\x85\x0b\x1c "])
).map(b"".join)
CUTS = st.lists(st.integers(0, 40), max_size=12)


def lines_of(text: bytes) -> list[tuple[bytes, int]]:
    r"""Every line with the position after it, said once more: a last ``\r`` may be half an end."""
    ends = re.compile(rb"\r\n|\n|\r(?!\Z)")
    found, start = [], 0
    for end in ends.finditer(text):
        found.append((text[start : end.start()], end.end()))
        start = end.end()
    return found


def chunks_of(text: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


@given(TEXT, CUTS, st.none() | st.integers(1, 4))
def test_any_chunking_gives_the_same_lines_and_positions(
    text: bytes, cuts: list[int], most: int | None
) -> None:
    splitter = LineSplitter()
    found: list[bytes] = []
    positions = {0: 0}
    for chunk in chunks_of(text, cuts):
        splitter.feed(chunk)
        while lines := splitter.take(most):
            assert most is None or len(lines) <= most
            found += lines
            positions[len(found)] = splitter.position
    expected = lines_of(text)
    assert found == [line for line, _ in expected]
    after = [0, *(end for _, end in expected)]
    assert all(after[count] == position for count, position in positions.items())
    assert splitter.held == len(text) - after[-1]


@given(TEXT, CUTS, st.integers(0, 40))
def test_going_on_from_any_position_given_gives_the_rest(
    text: bytes, cuts: list[int], stop: int
) -> None:
    expected = lines_of(text)
    after = [0, *(end for _, end in expected)]
    done = min(stop, len(expected))
    splitter = LineSplitter(after[done])
    found: list[bytes] = []
    for chunk in chunks_of(text[after[done] :], cuts):
        splitter.feed(chunk)
        found += splitter.take()
    assert found == [line for line, _ in expected[done:]]
    assert splitter.position == after[-1]


@given(TEXT, TEXT, CUTS)
def test_a_line_finished_before_its_end_came_is_not_given_twice(
    first: bytes, second: bytes, cuts: list[int]
) -> None:
    """After finish, a line end that comes late belongs to the line already given."""
    splitter = LineSplitter()
    splitter.feed(first)
    found = splitter.take()
    held = splitter.held
    splitter.finish()
    found += splitter.take()
    assert splitter.position == len(first)
    for chunk in chunks_of(second, cuts):
        splitter.feed(chunk)
        found += splitter.take()
    late = second
    if held:
        ends = rb"\n" if first.endswith(b"\r") else rb"\r\n|\n|\r"
        late = re.sub(rb"\A(?:" + ends + rb")", b"", second)
        if second == b"\r" and not first.endswith(b"\r"):
            late = second  # may still become \r\n, so it is held back
    whole = first.splitlines()
    assert found == [*whole, *(line for line, _ in lines_of(late))]
    if late == second == b"\r" and held:
        splitter.finish()
        assert splitter.take() == ([] if not first.endswith(b"\r") else [b""])


@given(TEXT, TEXT)
def test_resuming_after_an_unended_line_equals_never_having_stopped(
    first: bytes, second: bytes
) -> None:
    straight, resumed = LineSplitter(), LineSplitter(len(first))
    straight.feed(first)
    straight.take()
    straight.finish()
    straight.take()
    if first:
        resumed.resume_after(first[-1:])
    for splitter in (straight, resumed):
        splitter.feed(second)
    if not (first.endswith(b"\r") and not second):
        assert straight.take() == resumed.take()
        assert straight.position == resumed.position


def test_a_long_line_is_refused_once_it_is_too_long() -> None:
    splitter = LineSplitter(longest=10)
    splitter.feed(b"12345")
    splitter.feed(b"678901")
    with pytest.raises(LineTooLongError):
        splitter.feed(b"2")


def test_a_line_in_many_chunks_is_put_together_once() -> None:
    splitter = LineSplitter()
    for _ in range(1000):
        splitter.feed(b"x" * 1000)
        assert splitter.take() == []
    splitter.feed(b"y\nz")
    assert splitter.take() == [b"x" * 1_000_000 + b"y"]
    assert splitter.position == 1_000_002
