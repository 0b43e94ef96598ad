"""What a dead letter says of itself."""

from msgspec.structs import replace

from engine.model.error_policy import Stage
from engine.model.letters.context import context_headers, letter_of
from engine.model.letters.dead_letter import DeadLetter, RawRecord, shorten_trace

CONSUMED = RawRecord("orders", b"k", b"v", (("h", b"1"),), partition=2, offset=17, timestamp=5)


def letter(record: RawRecord = CONSUMED, stage: Stage = Stage.VALUE_CONVERTER) -> DeadLetter:
    return DeadLetter(
        connector="sink", task=3, stage=stage, executing="engine.converters.json.JsonConverter",
        exception="engine.api.errors.DataError", message="no JSON", stacktrace="Traceback …",
        attempts=1, failed_ms=1_700_000_000_000, record=record,
    )  # fmt: skip


def test_the_headers_are_upstreams_in_upstreams_order() -> None:
    assert context_headers(letter()) == [
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"17"),
        ("__connect.errors.connector.name", b"sink"),
        ("__connect.errors.task.id", b"3"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.class.name", b"engine.converters.json.JsonConverter"),
        ("__connect.errors.exception.class.name", b"engine.api.errors.DataError"),
        ("__connect.errors.exception.message", b"no JSON"),
        ("__connect.errors.exception.stacktrace", "Traceback …".encode()),
        ("__engine.errors.time", b"1700000000000"),
        ("__engine.errors.attempts", b"1"),
        ("__engine.errors.id", b"orders-2@17 VALUE_CONVERTER"),
    ]


def test_an_exception_without_a_message_has_a_header_without_a_value() -> None:
    headers = dict(context_headers(replace(letter(), message=None)))
    assert headers["__connect.errors.exception.message"] is None


def test_a_sources_record_stands_nowhere_in_kafka_yet() -> None:
    names = [name for name, _ in context_headers(letter(RawRecord("lines", value=b"{}")))]
    assert names[:2] == ["__connect.errors.topic", "__connect.errors.connector.name"]


def test_the_same_failure_of_the_same_record_has_the_same_id() -> None:
    assert letter().id == "orders-2@17 VALUE_CONVERTER"
    assert replace(letter(), attempts=9, failed_ms=0).id == letter().id
    assert letter(stage=Stage.TASK_PUT).id != letter().id
    source = RawRecord("t", value=b"x", source_partition={"f": "a"}, source_offset={"p": 1})
    assert letter(source).id == letter(replace(source, timestamp=1)).id
    for other in (
        replace(source, value=b"y"),
        replace(source, value=None),
        replace(source, source_offset={"p": 2}),
        replace(source, topic="u"),
    ):
        assert letter(other).id != letter(source).id
    assert replace(letter(source), occurrence=1).id != letter(source).id
    unread = letter(RawRecord("", value=b"{}"))
    assert replace(unread, message="another line").id != unread.id


def test_a_long_trace_keeps_its_end() -> None:
    assert shorten_trace("short") == "short"
    cut = shorten_trace("x" * 100_000 + "the cause")
    assert len(cut) < 20_000
    assert cut.endswith("the cause")


def as_kept(made: DeadLetter, *more: tuple[str, bytes | None]) -> RawRecord:
    """As a dead letter topic has it."""
    record = made.record
    headers = (*record.headers, *more, *context_headers(made))
    return replace(record, topic="dlq", partition=0, offset=3, headers=headers)


def test_a_letter_is_read_as_it_was_written() -> None:
    assert letter_of(as_kept(letter())) == (letter(), letter().id)
    source = letter(RawRecord("lines", value=b"{}"))
    equal = replace(source, occurrence=1)
    assert letter_of(as_kept(equal)) == (source, equal.id)


def test_a_letter_of_kafka_connect_is_understood() -> None:
    """It says neither when nor how often the record was tried."""
    theirs = [each for each in context_headers(letter()) if each[0].startswith("__connect")]
    kept = replace(as_kept(letter()), headers=(*CONSUMED.headers, *theirs))
    assert letter_of(kept) == (replace(letter(), attempts=None, failed_ms=None), letter().id)


def test_a_record_without_context_is_a_letter_of_which_little_is_known() -> None:
    found, its_id = letter_of(replace(CONSUMED, topic="dlq"))
    assert (found.stage, found.connector, found.record.topic, its_id) == (None, None, "", None)
    assert found.record.headers == CONSUMED.headers


def test_of_a_letter_that_was_one_before_the_last_failure_is_told() -> None:
    """The headers of the first belong to the record, whichever engine wrote them."""
    before = replace(letter(stage=Stage.TASK_PUT), message="before")
    theirs = [each for each in context_headers(letter()) if each[0].startswith("__connect")]
    inner = tuple(context_headers(before))
    for last in (theirs, context_headers(letter())):
        found, _ = letter_of(replace(CONSUMED, headers=(*CONSUMED.headers, *inner, *last)))
        assert found.message == "no JSON"
        assert found.record.headers == (*CONSUMED.headers, *inner)
