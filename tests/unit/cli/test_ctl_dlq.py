"""``engine ctl dlq`` makes one answer of many, and shows how far it is."""

import argparse
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.ctl.dlq import ls
from engine.cli.ctl.dlq_purge import purge
from engine.cli.ctl.dlq_replay import replay


class Scripted(RestClient):
    """A worker that gives these answers, one after the other.

    Attributes:
        asked: what it was sent.
    """

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self._answers: Iterator[Mapping[str, Any]] = iter(answers)
        self.asked: list[Any] = []

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.asked.append(body if method == "POST" else path.partition("?")[2])
        return 200, next(self._answers)

    def get(self, path: str) -> Any:
        return self.ask("GET", path)[1]


def arguments(**more: Any) -> argparse.Namespace:
    given = {"name": "c", "where": [], "queue": "all", "json": True, "all": True, "dry_run": False}
    return argparse.Namespace(**(given | more))


def walk(seen: int, following: str | None) -> dict[str, Any]:
    return {"seen": seen, "of": 300, "next": following}


def counted(cause: str, letters: int, first: int | None, last: int | None) -> dict[str, Any]:
    return {
        "connector": "c", "stage": "TASK_PUT", "cause": cause, "letters": letters, "times": letters,
        "replayed": 0, "first_time": first, "last_time": last,
    }  # fmt: skip


def listed(*places: str) -> Sequence[Mapping[str, Any]]:
    return [{"letter": place} for place in places]


def test_counts_of_many_requests_are_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    worker = Scripted(
        {"total": 3, "counts": [counted("A", 2, 5, 6), counted("B", 1, None, None)],
         "letters": listed("1", "2"), "more_after": None, **walk(3, "0@9")},
        {"total": 4, "counts": [counted("B", 3, 7, 9), counted("A", 1, 1, 2)],
         "letters": listed("0@10"), "more_after": "0@10", **walk(4, None)},
    )  # fmt: skip
    assert ls(arguments(limit=3, after=""), worker) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"], found["more_after"]) == (7, "0@10")
    counts = [(c["cause"], c["letters"], c["first_time"], c["last_time"]) for c in found["counts"]]
    assert counts == [("B", 4, 7, 9), ("A", 3, 1, 6)]
    assert [each["letter"] for each in found["letters"]] == ["1", "2", "0@10"]
    assert "after=0%409" in worker.asked[1]
    assert "limit=1" in worker.asked[1]


def test_a_purge_that_would_take_others_with_it_takes_nothing() -> None:
    worker = Scripted(
        {"matched": 2, "purgeable": 2, "held": [], "cuts": {"0": 2}, **walk(2, "0@1")},
        {"matched": 1, "purgeable": 0, "held": [0], "cuts": {}, **walk(9, None)},
    )
    with pytest.raises(CtlError, match="1 of 3 letters cannot be purged"):
        purge(arguments(), worker)
    assert [asked.get("dry_run") for asked in worker.asked] == [True, True]
    assert worker.asked[1]["after"] == "0@1"


def test_a_purge_says_what_was_cut(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"matched": 2, "held": [], "cuts": {"0": 2}, **walk(2, None)}
    worker = Scripted(answer | {"purgeable": 2}, answer | {"purged": 2})
    assert purge(arguments(json=False), worker) == 0
    told = capsys.readouterr().out
    assert "2 letters purged" in told
    assert "partition 0 of the topic is cut before offset 2" in told


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_replay_shows_how_far_it_is_and_what_it_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    bad = [{"letter": "0@7", "reason": "VALUE_CONVERTER: DataError: no"}]
    nothing: dict[str, Any] = {"confirmed": 0, "refused": [], "uncertain": 0}
    worker = Scripted(
        {"ready": 100, "skipped": {"replayed already": 1}, "refused": [], **walk(150, "0@1")},
        {"ready": 100, "skipped": {"replayed already": 2}, "refused": bad, **walk(150, None)},
        {"replayed": 150, **nothing, **walk(200, "0@2")},
        {"replayed": 50, **nothing, **walk(100, None)},
    )
    assert replay(arguments(json=False, again=False, to=None, rate=None), worker) == 1
    assert "[###############...............] 150/300 letters read" in screen.getvalue()
    assert "[######################........] 150/200 letters replayed" in screen.getvalue()
    assert "letter 0@7 was refused: VALUE_CONVERTER: DataError: no" in screen.getvalue()
    told = capsys.readouterr().out
    assert "200 letters replayed" in told
    assert "3 left alone: replayed already" in told
