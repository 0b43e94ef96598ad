"""Transformations and predicates, on records of both kinds."""

from typing import Any, TypeVar

import pytest

from engine.api.errors import ConfigError, DataError
from engine.api.record import SchemaAndValue, SinkRecord, SourceRecord
from engine.api.schema import INT8, STRING
from engine.api.transformation import Predicate, Transformation
from engine.transforms.filter import Filter
from engine.transforms.headers import DropHeaders, InsertHeader
from engine.transforms.predicate import HasHeaderKey, RecordIsTombstone, TopicNameMatches
from engine.transforms.regex_router import RegexRouter


def source_record(**changes: Any) -> SourceRecord:
    made: dict[str, Any] = {
        "source_partition": {"filename": "f"},
        "source_offset": {"position": 1},
        "topic": "orders",
        "value": "v",
    }
    return SourceRecord(**made | changes)


def sink_record(**changes: Any) -> SinkRecord:
    made: dict[str, Any] = {"topic": "orders", "partition": 0, "offset": 7, "value": "v"}
    return SinkRecord(**made | changes)


P = TypeVar("P", bound=Transformation | Predicate)


def configured(plugin: P, **config: str) -> P:
    plugin.configure({key.replace("_", "."): value for key, value in config.items()})
    return plugin


def test_filter_drops_everything() -> None:
    assert Filter().apply(source_record()) is None
    assert Filter().apply(sink_record()) is None


@pytest.mark.parametrize(
    ("regex", "replacement", "topic"),
    [
        ("orders", "o", "o"),
        ("(.*)s", "$1", "order"),
        ("(?<all>.*)", "x-${all}", "x-orders"),
        ("ord", "x", "orders"),
        (".*", r"\$1", "$1"),
        ("(o)rders", "$12", "o2"),
        ("(x)?orders", "a$1", "a"),
    ],
)
def test_regex_router_renames_topics_that_match_as_a_whole(
    regex: str, replacement: str, topic: str
) -> None:
    router = configured(RegexRouter(), regex=regex, replacement=replacement)
    record = source_record()
    routed = router.apply(record)
    assert routed is not None
    assert routed.topic == topic
    assert routed.source_offset == record.source_offset
    assert record.topic == "orders"


def test_regex_router_refuses_a_group_that_is_not_there() -> None:
    router = configured(RegexRouter(), regex=".*", replacement="${no}")
    with pytest.raises(DataError, match="No such group"):
        router.apply(sink_record())


def test_regex_router_names_what_is_wrong_with_its_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        configured(RegexRouter(), regex="(")
    assert caught.value.problems["regex"].startswith(
        "Invalid value ( for configuration regex: Invalid regex: "
    )
    assert 'Missing required configuration "replacement"' in caught.value.problems["replacement"]


def test_insert_header_adds_a_value_of_the_type_that_it_looks_like() -> None:
    transformation = configured(InsertHeader(), header="h", value_literal="5")
    record = sink_record(headers=[("a", SchemaAndValue(STRING, "x"))])
    changed = transformation.apply(record)
    assert changed is not None
    assert list(changed.headers) == [
        ("a", SchemaAndValue(STRING, "x")),
        ("h", SchemaAndValue(INT8, 5)),
    ]
    assert len(record.headers) == 1


def test_drop_headers_removes_all_of_a_name() -> None:
    transformation = configured(DropHeaders(), headers="a, b")
    headers = [(name, SchemaAndValue(STRING, "x")) for name in "abca"]
    changed = transformation.apply(source_record(headers=headers))
    assert changed is not None
    assert [name for name, _ in changed.headers] == ["c"]
    untouched = source_record()
    assert transformation.apply(untouched) is untouched


def test_has_header_key_looks_for_a_name() -> None:
    predicate = configured(HasHeaderKey(), name="h")
    assert predicate.test(source_record(headers=[("h", SchemaAndValue(None, None))]))
    assert not predicate.test(sink_record())


def test_record_is_tombstone_looks_at_the_value() -> None:
    assert RecordIsTombstone().test(sink_record(value=None))
    assert not RecordIsTombstone().test(sink_record(value=""))


def test_topic_name_matches_the_whole_name() -> None:
    assert configured(TopicNameMatches(), pattern="ord.*").test(sink_record())
    assert not configured(TopicNameMatches(), pattern="ord").test(sink_record())


@pytest.mark.parametrize("plugin", [HasHeaderKey(), TopicNameMatches()])
def test_predicates_say_what_they_need(plugin: Predicate) -> None:
    with pytest.raises(ConfigError, match="Missing required configuration"):
        plugin.configure({})
    assert len(plugin.config()) == 1
