"""Tables fit the terminal; figures read well."""

from hypothesis import given
from hypothesis import strategies as st

from engine.cli.ctl.output import (
    Column,
    Terminal,
    count,
    mebibytes,
    per_second,
    printable,
    seconds,
    share,
    shortened,
    table,
    width_of,
)

COLUMNS = (
    Column("NAME", is_long=True),
    Column("STATE"),
    Column("RECORDS", is_figure=True, rank=1),
    Column("MEMORY", is_figure=True, rank=2),
)
ROWS = [["orders-from-the-warehouse-eu-west-1", "RUNNING", "12", "5 MiB"], ["b", "FAILED", "", ""]]


def test_a_pipe_gets_everything() -> None:
    assert table(COLUMNS, ROWS, Terminal()).splitlines() == [
        "NAME                                 STATE    RECORDS  MEMORY",
        "orders-from-the-warehouse-eu-west-1  RUNNING       12   5 MiB",
        "b                                    FAILED",
    ]


def test_a_long_name_loses_its_middle() -> None:
    assert table(COLUMNS, ROWS, Terminal(50)).splitlines()[1] == (
        "orders-from-…e-eu-west-1  RUNNING       12   5 MiB"
    )


def test_the_least_important_column_goes_first() -> None:
    titles = table(COLUMNS, ROWS, Terminal(30)).splitlines()[0].split()
    assert titles == ["NAME", "STATE", "RECORDS"]


@given(
    rows=st.lists(st.lists(st.text(max_size=60), min_size=4, max_size=4), max_size=4),
    width=st.integers(20, 120),
)
def test_no_line_is_ever_wider_than_the_terminal(rows: list[list[str]], width: int) -> None:
    for line in table(COLUMNS, rows, Terminal(width)).split("\n"):
        assert width_of(line) <= width


def test_rows_with_trouble_are_painted_and_no_text_can_steer_the_terminal() -> None:
    painted = table(COLUMNS, [["x\x1b[2J\n", "FAILED", "", ""]], Terminal(80, has_color=True))
    assert painted.splitlines()[1].startswith("\x1b[31mx [2J ")
    assert printable("a\tb\x07") == "a b "


@given(st.text(), st.integers(3, 40))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert width_of(shortened(text, width)) <= width


def test_figures_read_well() -> None:
    assert [count(v) for v in (None, 0, 1_234_567)] == ["-", "0", "1,234,567"]
    assert [per_second(v) for v in (None, 0, 1.25, 250_000)] == ["-", "0", "1.2", "250,000"]
    assert [share(v) for v in (None, 0.123)] == ["-", "12%"]
    assert [mebibytes(v) for v in (None, 5 << 20)] == ["-", "5.0 MiB"]
    assert [seconds(v) for v in (None, 1.25, 600, 9000)] == ["-", "1.2 s", "10 min", "2.5 h"]
