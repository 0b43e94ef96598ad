"""The benchmark's arithmetic: ratios within a round, the worse of both ways, medians."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.figure import Figure, median_of, write_json
from tests.benchmarks.file import LINE_BYTES, figures_of, make_lines, parse_arguments
from tests.benchmarks.observer import FileEnd, Measured

ROUNDS = {
    ("ours", "source"): [Measured(1000, 1.0, 0.2), Measured(900, 1.0, 0.2)],
    ("java", "source"): [Measured(100, 10.0, 2.0), Measured(100, 10.0, 2.0)],
    ("raw", "source"): [Measured(1000, 1.0, 0.1), Measured(1000, 1.0, 0.1)],
    ("ours", "sink"): [Measured(2000, 1.0, 0.6), Measured(2000, 1.0, 0.6)],
    ("java", "sink"): [Measured(500, 4.0, 2.0), Measured(400, 4.0, 2.0)],
    ("raw", "sink"): [Measured(2000, 0.5, 0.1), Measured(2000, 0.5, 0.1)],
}


def test_ratios_are_medians_of_the_rounds_and_of_the_worse_way() -> None:
    memory = {"ours": [50.0, 70.0], "java": [1000.0, 1000.0]}
    found = {figure.name: figure for figure in figures_of(ROUNDS, memory)}
    values = {name: figure.value for name, figure in found.items() if "_vs_" in name}
    assert values == {
        "file_source_vs_java": 9.5,
        "file_source_vs_raw": 0.95,
        "file_sink_vs_java": 4.5,
        "file_sink_vs_raw": 1.0,
        "file_cpu_vs_java": 0.25,
        "file_cpu_vs_raw": 2.0,
        "file_first_record_vs_java": pytest.approx(0.3),
        "file_memory_vs_java": pytest.approx(0.06),
    }
    assert found["file_source_vs_java"].samples == (10.0, 9.0)
    reached = {name for name, figure in found.items() if figure.is_reached}
    assert reached == {
        "file_source_vs_java", "file_source_vs_raw", "file_sink_vs_java", "file_sink_vs_raw",
        "file_memory_vs_java",
    }  # fmt: skip


def test_figures_without_ours_have_no_ratios() -> None:
    rounds = {key: runs for key, runs in ROUNDS.items() if key[0] == "java"}
    assert not [f.name for f in figures_of(rounds, {"java": [1.0]}) if "_vs_" in f.name]


def test_the_json_file_is_a_list_of_figures(tmp_path: Path) -> None:
    write_json([median_of("a", "ms", "<= 2", [3.0, 1.0])], tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == [
        {"name": "a", "value": 2.0, "unit": "ms", "goal": "<= 2", "samples": [3.0, 1.0]}
    ]


def test_a_figure_without_a_goal_is_neither_reached_nor_missed() -> None:
    assert Figure("a", 1.0, "s", None, (1.0,)).is_reached is None


def test_all_lines_have_one_length_and_their_number(tmp_path: Path) -> None:
    make_lines(tmp_path / "lines", 12_345)
    lines = (tmp_path / "lines").read_bytes().splitlines(keepends=True)
    assert {len(line) for line in lines} == {LINE_BYTES}
    assert [int(line[:12]) for line in lines] == list(range(12_345))
    assert FileEnd(tmp_path / "lines", LINE_BYTES).count() == 12_345
    assert FileEnd(tmp_path / "missing", LINE_BYTES).count() == 0


def test_the_number_of_lines_suits_javas_batches() -> None:
    assert parse_arguments(["--lines", "12345"]).lines == 10_000
