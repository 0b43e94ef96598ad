"""Runs the tests of the faults and says what came of each fault."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.system.faults.outcome import FAILED, NOT_APPLICABLE, SURVIVED, Outcome
from tests.system.faults.table import files_with_tests, numbers_in

Progress = Callable[[str], None]


class Collector:
    """A plugin of pytest: keeps the tests of the wanted faults, and what came of them."""

    def __init__(self, wanted: Iterable[int], tell: Progress) -> None:
        self._wanted = frozenset(wanted)
        self._tell = tell
        self._results: dict[int, list[tuple[str, str]]] = {}
        self._count = self._done = 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """In the order of the faults' files; whoever has no number is left out."""
        items[:] = [item for item in items if self._numbers(item.name)]
        self._count = len(items)

    def _numbers(self, name: str) -> frozenset[int]:
        return self._wanted.intersection(numbers_in(name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One part of one test is over: its fixtures may find a promise broken, too."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or report.outcome != "passed":
            for number in self._numbers(name):
                self._results.setdefault(number, []).append((report.outcome, _why(report)))
        if report.when == "teardown":
            self._done += 1
        if report.when == "call" or report.failed:
            self._tell(f"[{self._done + 1}/{self._count}] {name}: {report.outcome}")
        if report.failed:
            self._tell(report.longreprtext)

    def outcomes(self) -> Iterator[Outcome]:
        """What came of each fault."""
        for number, results in sorted(self._results.items()):
            reasons = dict(reversed(results))
            if "failed" in reasons:
                yield Outcome(number, "engine", FAILED, reasons["failed"])
            elif "passed" in reasons:
                yield Outcome(number, "engine", SURVIVED)
            else:
                yield Outcome(number, "engine", NOT_APPLICABLE, reasons["skipped"])


def _why(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return report.longreprtext.rpartition("\n")[2] if report.failed else ""


def run(wanted: Iterable[int], tell: Progress, *, with_slow: bool) -> list[Outcome]:
    """Run the tests of these faults, one after the other.

    Args:
        tell: hears of each test.
        with_slow: those too that take minutes.
    """
    numbers = sorted(wanted)
    collector = Collector(numbers, tell)
    files: set[Path] = set().union(*(files_with_tests().get(number, set()) for number in numbers))
    if files:
        marks = [] if with_slow else ["-m", "not slow"]
        paths = [str(path) for path in sorted(files)]
        options = [
            "-o",
            "addopts=--import-mode=importlib",
            "-p",
            "no:terminal",
            "-p",
            "no:randomly",
        ]
        code = pytest.main([*options, *marks, *paths], plugins=[collector])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise RuntimeError(f"pytest could not run the tests: {code!r}")
    return list(collector.outcomes())
