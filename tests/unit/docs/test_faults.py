"""The table of faults, its tests and the page that is made of it agree."""

from pathlib import Path

import pytest

from tests.system.faults.matrix import main
from tests.system.faults.outcome import FAILED, NOT_APPLICABLE, SURVIVED, Outcome, matrix_of, read
from tests.system.faults.page import WHO, page
from tests.system.faults.rival_outcomes import tried
from tests.system.faults.table import (
    FAULTS,
    NOT_TRIED,
    RIVALS,
    TESTS,
    Fault,
    files_with_tests,
    numbers_in,
)

PAGE = (TESTS.parent / "docs" / "faults.md").read_text("utf-8")


def test_there_are_seventy() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 71))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_has_a_test_or_a_reason(fault: Fault) -> None:
    assert (fault.number in files_with_tests()) != bool(fault.untested)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_is_tried_with_rivals_or_not_for_a_reason(fault: Fault) -> None:
    reasons = [bool(fault.reason(rival)) for rival in RIVALS]
    assert (fault.number in tried()) != all(reasons)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_is_on_the_page_with_what_came_of_it(fault: Fault) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {fault.name} | ")]
    _, _, phrase, *cells, _ = row.split("|")
    assert phrase.strip() == fault.phrase
    results = [cell.partition("<")[0].strip() for cell in cells]
    assert set(results) <= {SURVIVED, FAILED, "n/a", NOT_TRIED}
    assert results[0] == ("n/a" if fault.untested else SURVIVED)
    for who, result in zip(RIVALS, results[1:], strict=True):
        reason = fault.reason(who)
        assert (result == "n/a") == (reason not in ("", NOT_TRIED))
        assert (result == NOT_TRIED) == (reason == NOT_TRIED)


def test_names_of_tests_tell_their_faults() -> None:
    assert numbers_in("test_f07_f08_both") == [7, 8]
    assert numbers_in("test_f07") == [7]
    assert numbers_in("test_other_f07") == []


def test_a_page_says_each_reason_once() -> None:
    outcomes = [Outcome(fault.number, who, SURVIVED) for fault in FAULTS for who in WHO]
    outcomes += [Outcome(1, "circus", FAILED, "gone"), Outcome(2, "circus", FAILED, "gone")]
    outcomes += [Outcome(3, "circus", NOT_APPLICABLE, "has none")]

    lines = page(matrix_of(outcomes)).splitlines()

    rows = {line[2:5]: line for line in lines if line.startswith("| F")}
    assert (
        rows["F01"]
        == "| F01 | kill -9 of a running task | survived | survived | failed <sup>1</sup> |"
    )
    assert rows["F02"].endswith("failed <sup>1</sup> |")
    assert rows["F03"].endswith("n/a <sup>2</sup> |")
    assert "1. gone" in lines
    assert "2. has none" in lines


@pytest.mark.parametrize("part", [["F07"], ["--only", "none"], ["F07", "--only", "engine"]])
def test_a_part_is_never_written_as_the_whole_page(
    part: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.system.faults.matrix.PAGE", tmp_path / "faults.md")
    monkeypatch.setattr("tests.system.faults.engine_outcomes.run", lambda *_, **__: [])
    with pytest.raises(SystemExit) as ended:
        main([*part, "--write", "--programs", str(tmp_path)])
    assert ended.value.code == 2
    assert not list(tmp_path.iterdir())


def test_what_was_not_tried_is_not_called_inapplicable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = tmp_path / "outcomes.json"
    assert main(["F46", "--only", "circus,supervisor", "--programs", str(tmp_path),
                 "--json", str(outcomes)]) == 0  # fmt: skip
    assert "n/a" not in capsys.readouterr().out
    assert list(read(outcomes)) == []
