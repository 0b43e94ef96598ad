"""Transformations in a row."""

import mmap
from collections.abc import Mapping
from typing import Any

import pytest

from engine.api.errors import ConfigError, DataError
from engine.api.record import SinkRecord, SourceRecord
from engine.api.transformation import Predicate, Transformation
from engine.model.error_policy import error_policy
from engine.model.slot import SLOT_BYTES, Slot
from engine.plugins.registry import Plugins
from engine.task.tolerance import FAILED, RetryWithToleranceOperator
from engine.task.transformation_chain import (
    TransformationChain,
    TransformationStep,
    transformation_chain,
)


class Appends(Transformation):
    def __init__(self, text: str) -> None:
        self.text = text
        self.is_closed = False

    def apply(self, record: Any) -> Any:
        if record.value == "bad":
            raise DataError("bad")
        if record.value == "drop":
            return None
        record.value += self.text
        return record

    def close(self) -> None:
        self.is_closed = True


class IsNumber(Predicate):
    def test(self, record: SourceRecord | SinkRecord) -> bool:
        return str(record.value).isdigit()


def operator(tolerance: str = "all") -> RetryWithToleranceOperator:
    slot = Slot(memoryview(mmap.mmap(-1, SLOT_BYTES)))
    policy = error_policy({}, {"errors.tolerance": tolerance})
    return RetryWithToleranceOperator(policy, slot, lambda _: True)


def record(value: Any) -> SourceRecord:
    return SourceRecord(None, None, "t", value=value)


def values(config: Mapping[str, str], *topics: str) -> list[str | None]:
    chain = transformation_chain(Plugins(), config)
    found = [chain.apply(SourceRecord(None, None, topic), operator()) for topic in topics]
    return [each.topic if isinstance(each, SourceRecord) else None for each in found]


def test_an_empty_chain_is_false_and_changes_nothing() -> None:
    chain = TransformationChain()
    assert not chain
    assert chain.apply(record("x"), operator()) == record("x")


def test_steps_follow_one_another_until_one_drops_or_fails() -> None:
    chain = TransformationChain(
        [TransformationStep(Appends("1")), TransformationStep(Appends("2"))]
    )
    assert chain.apply(record("x"), operator()) == record("x12")
    assert chain.apply(record("drop"), operator()) is None
    assert chain.apply(record("bad"), operator()) is FAILED


@pytest.mark.parametrize(("negate", "found"), [(False, ["1!", "x"]), (True, ["1", "x!"])])
def test_a_predicate_chooses_what_a_step_sees(negate: bool, found: list[str]) -> None:
    chain = TransformationChain([TransformationStep(Appends("!"), IsNumber(), negate)])
    seen = [chain.apply(record(value), operator()) for value in ("1", "x")]
    assert seen == [record(value) for value in found]


def test_closing_a_chain_closes_its_steps() -> None:
    step = Appends("")
    TransformationChain([TransformationStep(step, IsNumber())]).close()
    assert step.is_closed


def test_a_chain_is_made_from_a_configuration() -> None:
    config = {
        "transforms": "drop, route",
        "transforms.drop.type": "org.apache.kafka.connect.transforms.Filter",
        "transforms.drop.predicate": "old",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": "(.*)-raw",
        "transforms.route.replacement": "$1",
        "predicates": "old",
        "predicates.old.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        "predicates.old.pattern": "old-.*",
    }
    assert values(config, "a-raw", "old-raw", "b") == ["a", None, "b"]
    config["transforms.drop.negate"] = "true"
    assert values(config, "a-raw", "old-raw") == [None, "old"]


def test_a_predicate_that_is_not_configured_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Predicate old is not configured"):
        transformation_chain(
            Plugins(),
            {
                "transforms": "drop",
                "transforms.drop.type": "org.apache.kafka.connect.transforms.Filter",
                "transforms.drop.predicate": "old",
            },
        )
