"""What a plan child finds out about a configuration, without the process around it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.api.config import ConfigType
from engine.storage.offset_store import OffsetStore
from engine.task.plan import answer_to
from engine.wire.plan_message import OffsetChange, PlanAnswer, PlanRequest

WORKER = {
    "key.converter": "StringConverter",
    "value.converter": "StringConverter",
    "config.providers": "file",
    "config.providers.file.class": "FileConfigProvider",
}
SOURCE = {"name": "c", "connector.class": "FileStreamSource", "file": "/in", "topic": "t"}
SINK = {"name": "c", "connector.class": "FileStreamSink", "file": "/out", "topics": "t"}


def ask(
    action: str,
    config: Mapping[str, str | None],
    data_dir: str | Path = "/nowhere",
    worker: Mapping[str, str] | None = None,
) -> PlanAnswer:
    request = PlanRequest(action, {**WORKER, **(worker or {})}, dict(config), str(data_dir))
    return answer_to(request)


def errors(config: Mapping[str, str | None], **worker: str) -> dict[str, tuple[str, ...]]:
    answer = ask("validate", config, worker=worker)
    assert answer.problem is None
    return {value.key.name: value.errors for value in answer.values if value.errors}


def test_a_source_has_its_tasks_and_says_what_it_is() -> None:
    stages: list[str] = []
    answer = answer_to(PlanRequest("plan", WORKER, dict(SOURCE), "/nowhere"), stages.append)
    assert answer.problem is None
    assert stages == ["validate", "start", "task_configs"]
    assert (answer.type, answer.class_name) == (
        "source",
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
    )
    (task,) = answer.task_configs
    assert task["file"] == "/in"
    assert task["task.class"] == "connectors.file.source.FileStreamSourceTask"


def test_tasks_of_a_sink_are_told_their_topics() -> None:
    answer = ask("plan", SINK)
    assert answer.type == "sink"
    assert [task["topics"] for task in answer.task_configs] == ["t"]


def test_a_good_configuration_has_no_errors_and_every_key_is_listed_once() -> None:
    answer = ask("validate", SOURCE)
    names = [value.key.name for value in answer.values]
    assert len(names) == len(set(names))
    assert answer.groups == (
        "Common", "Transforms", "Predicates", "Error Handling", "Topic Creation",
        "Exactly Once Support", "offsets.topic",
    )  # fmt: skip
    shown = {value.key.name: value.value for value in answer.values}
    assert shown["tasks.max"] == "1"
    assert shown["file"] == "/in"
    assert answer.task_configs == ()


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (
            {"key.converter": "Nope"},
            "key.converter",
            "Invalid value Nope for configuration key.converter: Class Nope could not be found",
        ),
        (
            {"value.converter": "JsonConverter", "value.converter.schemas.enable": "maybe"},
            "value.converter.schemas.enable",
            "Invalid value maybe for configuration value.converter.schemas.enable",
        ),
        (
            {"transforms": "a", "transforms.a.type": "Nope"},
            "transforms.a.type",
            "Invalid value Nope for configuration transforms.a.type: Class Nope could not be found",
        ),
        (
            {"transforms": "a"},
            "transforms.a.type",
            'Missing required configuration "transforms.a.type" which has no default value.',
        ),
        (
            {"predicates": "p", "predicates.p.type": "TopicNameMatches"},
            "predicates.p.pattern",
            'Missing required configuration "predicates.p.pattern" which has no default value.',
        ),
        ({"tasks.max": "0"}, "tasks.max", "Invalid value 0 for configuration tasks.max"),
        ({"nobody": None}, "nobody", "Null value can not be supplied as the configuration value."),
        (
            {"engine.restart.policy": "sometimes"},
            "engine.restart.policy",
            "Invalid value sometimes for configuration engine.restart.policy",
        ),
    ],
)
def test_each_problem_is_told_under_its_key(
    change: Mapping[str, str | None], key: str, message: str
) -> None:
    found = errors({**SOURCE, **change})
    assert list(found) == [key]
    assert found[key][0].startswith(message)


def test_a_null_for_a_number_is_two_problems() -> None:
    assert errors({**SOURCE, "tasks.max": None}) == {
        "tasks.max": (
            "Invalid value null for configuration tasks.max: Value must be non-null",
            "Null value can not be supplied as the configuration value.",
        )
    }


def test_the_workers_policy_limits_what_a_connector_may_override() -> None:
    config = {**SOURCE, "producer.override.linger.ms": "1"}
    assert errors(config) == {}
    message = (
        "The 'None' policy does not allow 'linger.ms' to be overridden in the connector"
        " configuration."
    )
    found = errors(config, **{"connector.client.config.override.policy": "None"})
    assert found == {"producer.override.linger.ms": (message,)}


def test_wrong_keys_of_a_tasks_clients_are_told_before_there_is_a_task() -> None:
    config = {
        **SOURCE, "producer.override.batch.size": "many", "producer.override.liner.ms": "1",
        "producer.override.compression.type": "zstd", "tasks.max": "0",
    }  # fmt: skip
    worker = {"producer.max.request.size": "3 MB", "consumer.fetch.max.bytes": "x"}
    found = {key: texts[0].rpartition(": ")[2] for key, texts in errors(config, **worker).items()}
    unknown = found.pop("producer.override.liner.ms")
    assert unknown.endswith(", did you mean producer.override.linger.ms?")
    said = "Not a number of type INT"
    assert found == {
        "tasks.max": "Value must be at least 1",
        "producer.max.request.size": said,
        "producer.override.batch.size": said,
    }
    assert list(errors(SINK, **worker)) == ["consumer.fetch.max.bytes"]


def test_a_sinks_dead_letters_need_a_producer_whose_keys_are_checked() -> None:
    config = {**SINK, "producer.override.batch.size": "many"}
    assert errors(config) == {}
    found = errors({**config, "errors.deadletterqueue.topic.name": "d"})
    assert set(found) == {"producer.override.batch.size"}


def test_the_workers_placeholders_are_values_where_its_keys_are_checked(tmp_path: Path) -> None:
    secrets = tmp_path / "s.properties"
    secrets.write_text("linger=7\nbad=seven-ms\n")
    key = "producer.linger.ms"
    assert errors(SOURCE, **{key: f"${{file:{secrets}:linger}}"}) == {}
    placeholder = f"${{file:{secrets}:bad}}"
    assert errors(SOURCE, **{key: placeholder}) == {
        key: (f"Invalid value {placeholder} for configuration {key}: Not a number of type DOUBLE",)
    }


def test_keys_of_a_step_are_listed_under_a_group_of_its_own() -> None:
    config = {
        **SOURCE, "transforms": "a", "transforms.a.type": "RegexRouter",
        "transforms.a.regex": "x", "transforms.a.replacement": "y",
    }  # fmt: skip
    answer = ask("validate", config)
    assert "Transforms: a" in answer.groups
    (regex,) = [v for v in answer.values if v.key.name == "transforms.a.regex"]
    assert (regex.value, regex.key.type) == ("x", ConfigType.STRING)


def test_a_key_that_nobody_knows_is_a_warning_with_the_nearest() -> None:
    answer = ask("validate", {**SOURCE, "topci": "t"})
    assert answer.warnings == ("unknown key topci, did you mean topic?",)


def test_rules_for_topics_that_cannot_work_fail_the_start_for_good() -> None:
    answer = ask("plan", {**SOURCE, "topic.creation.default.partitions": "1"})
    assert answer.problem is not None
    assert (answer.problem.stage, answer.problem.is_permanent) == ("start", True)
    assert "topic.creation.default.replication.factor" in answer.problem.summary


def test_a_provider_that_cannot_read_refuses_the_configuration(tmp_path: Path) -> None:
    answer = ask("validate", {**SOURCE, "topic": f"${{file:{tmp_path}/none:key}}"})
    assert answer.problem is not None
    assert answer.problem.kind == "bad_request"
    assert "Could not read properties" in answer.problem.summary


def test_values_of_providers_are_checked_and_not_shown(tmp_path: Path) -> None:
    secrets = tmp_path / "s.properties"
    secrets.write_text("most=zero-tasks\n")
    placeholder = f"${{file:{secrets}:most}}"
    answer = ask("validate", {**SOURCE, "tasks.max": placeholder})
    (value,) = [v for v in answer.values if v.errors]
    assert value.value == placeholder
    assert value.errors[0] == (
        f"Invalid value {placeholder} for configuration tasks.max: Not a number of type INT"
    )
    assert "zero-tasks" not in repr(answer)


def test_committed_offsets_of_a_source_are_read_and_no_file_is_made(tmp_path: Path) -> None:
    assert ask("offsets", SOURCE, tmp_path).offsets == ()
    assert list(tmp_path.iterdir()) == []
    store = OffsetStore(tmp_path, "c")
    store.write([({"filename": "/in"}, {"position": 7})], task=0, generation=1)
    store.close()
    assert ask("offsets", SOURCE, tmp_path).offsets == (({"filename": "/in"}, {"position": 7}),)


POSITION = "The value for the 'position' key in the offset is expected to be a Long value"
FILE = {"filename": "/in"}


def alter(config: Mapping[str, str], data_dir: str | Path, *changes: OffsetChange) -> PlanAnswer:
    request = PlanRequest("alter_offsets", WORKER, dict(config), str(data_dir), offsets=changes)
    return answer_to(request)


def test_offsets_of_a_source_are_set_and_forgotten_by_hand(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.write(
        [({"filename": "/a"}, {"position": 1}), (FILE, {"position": 7})], task=0, generation=9
    )
    store.close()
    done = alter(
        SOURCE, tmp_path, (FILE, {"position": 3}), ({"filename": "/a"}, None), (None, None)
    )
    assert (done.problem, done.is_told) == (None, True)
    assert ask("offsets", SOURCE, tmp_path).offsets == ((FILE, {"position": 3}),)
    assert ask("alter_offsets", SOURCE, tmp_path).is_told  # forget all
    assert ask("offsets", SOURCE, tmp_path).offsets == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((FILE, {"position": "x"}), POSITION),
        ((FILE, {"position": 1.5}), POSITION),
        ((None, {"position": 1}), "Partition objects cannot be null"),
        (
            (FILE, {"position": 1, "more": {"a": 1}}),
            "Offsets may only contain primitive types as values, but field more contains MAP",
        ),
        (
            ({"filename": []}, None),
            "Offsets may only contain primitive types as values, but field filename contains ARRAY",
        ),
    ],
)
def test_offsets_that_a_source_refuses_change_nothing(
    tmp_path: Path, change: OffsetChange, message: str
) -> None:
    good = ({"filename": "/a"}, {"position": 1})
    problem = alter(SOURCE, tmp_path, good, change).problem
    assert problem is not None
    assert (problem.kind, problem.stage, problem.summary) == ("failed", "alter_offsets", message)
    assert ask("offsets", SOURCE, tmp_path).offsets == ()


def test_a_source_without_offsets_has_none_to_set(tmp_path: Path) -> None:
    problem = alter({**SOURCE, "file": ""}, tmp_path, (FILE, None)).problem
    assert problem is not None
    assert "stdin is used for input and offsets are not tracked" in problem.summary


TOPIC = {"kafka_topic": "t", "kafka_partition": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((None, None), "The partition for a sink connector offset cannot be null or missing"),
        (({"kafka_partition": 0}, None), "must contain the key 'kafka_topic'"),
        (({"kafka_topic": "t"}, None), "must contain the key 'kafka_partition'"),
        (({**TOPIC, "kafka_topic": None}, None), "must be valid strings and may not be null"),
        (({**TOPIC, "kafka_partition": None}, None), "must be valid numbers and may not be null"),
        (
            ({**TOPIC, "kafka_partition": "one"}, None),
            "the following Kafka partition value in the provided offsets: 'one'. Partition values",
        ),
        ((TOPIC, {"offset": 1}), "should either be null or contain the key 'kafka_offset'"),
        (
            (TOPIC, {"kafka_offset": None}),
            "Failed to parse the following Kafka offset value in the provided offsets: 'null'. ",
        ),
        ((TOPIC, {"kafka_offset": 1.5}), "'1.5'. Offset values"),
        ((TOPIC, {"kafka_offset": "1_0"}), "'1_0'. Offset values"),
        ((TOPIC, {"kafka_offset": str(2**63)}), f"'{2**63}'. Offset values"),
        ((TOPIC, {"kafka_offset": True}), "'True'. Offset values"),
    ],
)
def test_what_can_be_no_offset_of_a_sink_is_a_bad_request(
    change: OffsetChange, message: str
) -> None:
    problem = alter(SINK, "/nowhere", change).problem
    assert problem is not None
    assert problem.kind == "bad_request"
    assert message in problem.summary


def test_negative_offsets_of_a_sink_are_refused() -> None:
    for change in ((TOPIC, {"kafka_offset": -1}), ({**TOPIC, "kafka_partition": "-1"}, None)):
        problem = alter(SINK, "/nowhere", change).problem
        assert problem is not None
        assert problem.kind == "failed"
        assert problem.summary.startswith("Failed to modify offsets for sink connector c: ")


def test_plugins_are_listed_by_kind_in_upstreams_order() -> None:
    kinds = [plugin.type for plugin in ask("plugins", {}).plugins]
    order = ["sink", "source", "transformation", "predicate", "converter", "header_converter"]
    assert list(dict.fromkeys(kinds)) == order


def test_the_keys_of_a_plugin_begin_with_its_own() -> None:
    names = [key.name for key in ask("plugin_config", {"class": "FileStreamSink"}).keys]
    assert names[0] == "file"
    assert {"topics", "tasks.max"} <= set(names)
    missing = ask("plugin_config", {"class": "Nope"}).problem
    assert missing is not None
    assert (missing.kind, missing.summary) == ("not_found", "Unknown plugin Nope.")
