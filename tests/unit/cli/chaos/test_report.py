"""What is told in the end, and the exit code."""

import json

import pytest

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.lines import Tally
from engine.cli.chaos.plan import Injection
from engine.cli.chaos.recovery import Ledger, Snapshot
from engine.cli.chaos.report import (
    ExitCode,
    Outcome,
    duration,
    outcome_json,
    outcome_text,
    percentile,
)  # fmt: skip
from engine.cli.ctl.output import Terminal


def ledger(*seconds: float | None) -> Ledger:
    made = Ledger(frozenset({"in-0"}))
    for number, each in enumerate(seconds, 1):
        injection = Injection(number, float(number), Fault.KILL_TASK, 0.0)
        made.inject(injection, "in-0", Snapshot(0.0), 0.0).seconds = each
    return made


def outcome(made: Ledger, **changes: object) -> Outcome:
    given = {"seed": 7, "minutes": 3.0, "url": None, "tasks": 6, "records": Tally(100), **changes}
    return Outcome(ledger=made, **given)  # type: ignore[arg-type]


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, rank) for rank in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([3.0], 50) == percentile([3.0], 99) == 3.0


@pytest.mark.parametrize(
    ("made", "changes", "code"),
    [
        (ledger(0.1), {}, ExitCode.OK),
        (ledger(0.1), {"records": Tally(100, duplicated=9)}, ExitCode.OK),
        (ledger(0.1), {"records": None, "url": "http://x"}, ExitCode.OK),
        (ledger(0.1), {"records": Tally(100, lost=1)}, ExitCode.LOST),
        (ledger(None), {"records": Tally(100, lost=1)}, ExitCode.NOT_RECOVERED),
        (ledger(None), {"records": Tally(100, out_of_order=1)}, ExitCode.LOST),
        (
            ledger(0.1),
            {"records": Tally(100, lost=1), "is_interrupted": True},
            ExitCode.INTERRUPTED,
        ),
        (ledger(0.1), {"records": Tally(100, damaged=1)}, ExitCode.LOST),
        (ledger(0.1, None), {}, ExitCode.NOT_RECOVERED),
        (ledger(0.1), {"problems": ["left"]}, ExitCode.FAILED),
        (ledger(0.1), {"is_interrupted": True}, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_is_what_weighs_most(
    made: Ledger, changes: dict[str, object], code: ExitCode
) -> None:
    assert outcome(made, **changes).exit_code is code


def test_files_are_kept_where_an_interrupted_run_lacks_something() -> None:
    lacking = Tally(100, lost=1)
    assert outcome(ledger(0.1), records=lacking, is_interrupted=True).is_to_be_looked_into
    assert outcome(ledger(None), is_interrupted=True).is_to_be_looked_into
    assert not outcome(ledger(0.1), is_interrupted=True).is_to_be_looked_into
    assert not outcome(ledger(0.1)).is_to_be_looked_into


def test_programs_are_told_all_in_milliseconds() -> None:
    made = ledger(0.010, 0.030, 0.020, None)
    made.skip(Injection(5, 1.0, Fault.OOM, 0.0))
    told = json.loads(json.dumps(outcome_json(outcome(made))))
    assert told["faults"] == {
        "kill:task": {
            "injected": 4, "recovered": 3, "skipped": 0,
            "p50_ms": 20.0, "p95_ms": 30.0, "p99_ms": 30.0, "max_ms": 30.0,
        },
        "oom": {
            "injected": 0, "recovered": 0, "skipped": 1,
            "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None,
        },
    }  # fmt: skip
    assert told["records"]["lost"] == 0
    assert (told["seed"], told["exit_code"], told["is_good"]) == (7, 11, False)
    assert [each["recovery_ms"] for each in told["injections"]] == [10.0, 30.0, 20.0, None]


def test_people_are_told_in_a_table_and_what_is_still_wrong() -> None:
    text = outcome_text(outcome(ledger(0.0123, None), problems=["one was left"]), Terminal())
    lines = text.splitlines()
    assert lines[0].split() == ["FAULT", "TIMES", "BACK", "LEFT", "OUT", "P50", "P95", "P99", "MAX"]
    assert lines[1].split()[:4] == ["kill:task", "2", "1", "0"]
    assert lines[2].startswith("Records: 100 written, 0 lost, 0 duplicated")
    assert "Not recovered: kill:task of in-0" in lines
    assert "Problem: one was left" in lines
    assert lines[-1] == "Again with the same faults: --seed 7"


def test_of_a_running_engine_nobody_claims_to_know_its_records() -> None:
    made = outcome(ledger(0.1), records=None, url="http://x")
    assert "cannot be told from outside" in outcome_text(made, Terminal())
    assert outcome_json(made)["records"] is None


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, "-"), (9.4, "9 ms"), (999.0, "999 ms"), (1234.0, "1.23 s")]
)
def test_times_are_told_as_people_read_them(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text
