"""A walk over letters ends late only where the next one has less to do."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.kafka.client_config import ClientConfig
from engine.kafka.topic_reader import Span
from engine.model.error_policy import QueueLimits, Stage
from engine.model.letters.context import LETTER_HEADER
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import BEGINNING, LetterPlace
from engine.model.letters.stored_letter import StoredLetter
from engine.plugins.registry import Plugins
from engine.storage.dead_letter_store import DeadLetterStore
from engine.storage.letter_handling import begin_replay
from engine.task.letters import replay as letter_replay
from engine.task.letters import scan as letter_scan
from engine.task.letters.reader import LetterReader
from engine.task.letters.replay import LetterReplay
from engine.task.letters.scan import LetterScan


class SlowStore(DeadLetterStore):
    """Has nothing to give at first, as a topic of many partitions."""

    def pages(self, after: LetterPlace) -> Iterator[Sequence[StoredLetter]]:
        yield ()
        yield from super().pages(after)


@pytest.fixture
def store(tmp_path: Path) -> SlowStore:
    made = SlowStore(tmp_path, "c")
    record = RawRecord("t", value=b"v", partition=0, offset=1)
    letter = DeadLetter("c", 0, Stage.TASK_PUT, "Sink", "ValueError", "no", "", 1, 7, record)
    made.add([letter], QueueLimits(1 << 20, -1.0, True), 2000)
    return made


def test_each_walk_comes_further_however_late_it_is(
    store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_scan, "SECONDS", 0.0)
    scan = LetterScan([store], LetterReader(Plugins(), {"name": "c"}, {}), (), BEGINNING)
    assert [len(page) for _, page in scan.pages()] == [0, 1]
    assert (scan.seen, scan.next) == (1, "1")


class SlowTopic:
    """Two records of one partition; the first look at it brings none of them."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records

    def spans(self) -> Mapping[int, Span]:
        return {0: Span(0, len(self._records))}

    def pages(self, _partition: int, span: Span) -> Iterator[list[Any]]:
        for page in ((), self._records[:1], self._records[1:]):
            yield [each for each in page if each.offset() >= span.begin]

    def close(self) -> None:
        pass


class Kept:
    """A record in a topic."""

    def __init__(self, offset: int, name: str) -> None:
        self.offset = lambda: offset
        self.headers = lambda: [(LETTER_HEADER, name.encode())]


def test_each_look_for_what_was_sent_comes_further_however_late_it_is(
    store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.handle(store.letters(), begin_replay("t", {0: 0}, 1))
    (uncertain,) = store.letters()
    topic = SlowTopic([Kept(0, "another"), Kept(1, uncertain.name)])
    monkeypatch.setattr(letter_replay, "TopicReader", lambda *_: topic)
    monkeypatch.setattr(letter_replay, "_LOOKING", 0.0)
    found = []
    for _ in range(2):
        replay = LetterReplay(ClientConfig(), store.handle, lambda: 2)
        (uncertain,) = store.letters()
        answer = replay.send([(uncertain, uncertain.record)])
        found.append((answer["confirmed"], answer["is_to_be_repeated"]))
    assert found == [(0, True), (1, False)]
