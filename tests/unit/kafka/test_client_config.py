"""Kafka's client configuration as librdkafka takes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import ConfigError
from engine.kafka.client_config import (
    admin_config,
    check_overrides,
    consumer_config,
    member_name,
    producer_config,
)

WORKER = {"bootstrap.servers": "127.0.0.1:9092"}
CONNECTOR = {"name": "c"}


def produced(**keys: str) -> dict[str, str]:
    override = {f"producer.override.{k.replace('__', '.')}": v for k, v in keys.items()}
    return producer_config(WORKER, CONNECTOR | override, "id").properties


def consumed(**keys: str) -> dict[str, str]:
    override = {f"consumer.override.{k.replace('__', '.')}": v for k, v in keys.items()}
    return consumer_config(WORKER, CONNECTOR | override, "id", "c-0").properties


def test_a_producer_waits_for_the_broker_for_ever_and_is_idempotent() -> None:
    found = produced()
    assert found["bootstrap.servers"] == "127.0.0.1:9092"
    assert (found["message.timeout.ms"], found["enable.idempotence"]) == ("0", "true")
    assert (found["client.id"], found["partitioner"]) == ("id", "murmur2_random")


def test_a_consumer_is_a_static_member_of_the_connectors_group() -> None:
    found = consumed()
    assert (found["group.id"], found["group.instance.id"]) == ("connect-c", "c-0")
    assert found["auto.offset.reset"] == "earliest"
    assert found["enable.auto.commit"] == "false"


def test_a_static_members_name_changes_with_its_topics_and_is_never_too_long() -> None:
    """The broker hands a known name its old partitions, whatever it subscribes to now."""
    name = member_name("c-0", ["a", "b"])
    assert name.startswith("c-0-")
    assert name == member_name("c-0", ["b", "a"])
    assert len({name, member_name("c-0", ["a"]), member_name("c-1", ["a", "b"])}) == 3
    long = [member_name(f"{'ü' * 1000}-{n}", ["a"]) for n in range(2)]
    assert len(set(long)) == 2
    assert all(len(each.encode()) < 249 for each in long)


def test_the_connectors_keys_win_over_the_workers() -> None:
    worker = WORKER | {"producer.linger.ms": "1", "producer.client.id": "w", "linger.ms": "9"}
    connector = CONNECTOR | {"producer.override.linger.ms": "2"}
    found = producer_config(worker, connector, "id").properties
    assert (found["linger.ms"], found["client.id"]) == ("2", "w")


def test_only_the_servers_are_inherited_without_a_prefix() -> None:
    worker = WORKER | {"sasl.mechanism": "PLAIN", "security.protocol": "SSL"}
    found = producer_config(worker, CONNECTOR, "id").properties
    assert not {"sasl.mechanism", "security.protocol"} & found.keys()


@pytest.mark.parametrize(
    ("java", "value", "name", "text"),
    [
        ("max.request.size", "5000000", "message.max.bytes", "5000000"),
        ("delivery.timeout.ms", "120000", "message.timeout.ms", "120000"),
        ("buffer.memory", "33554432", "queue.buffering.max.kbytes", "32768"),
        ("request.timeout.ms", "7", "socket.timeout.ms", "7"),
        ("ssl.truststore.location", "/a/ca.pem", "ssl.ca.location", "/a/ca.pem"),
        ("ssl.keystore.location", "/a/k.p12", "ssl.keystore.location", "/a/k.p12"),
        ("ssl.endpoint.identification.algorithm", "", "ssl.endpoint.identification.algorithm",
         "none"),
    ],
)  # fmt: skip
def test_javas_names_are_translated(java: str, value: str, name: str, text: str) -> None:
    connector = CONNECTOR | {f"producer.override.{java}": value}
    assert producer_config(WORKER, connector, "id").properties[name] == text


def test_a_consumers_java_names_are_translated() -> None:
    found = consumed(
        fetch__max__wait__ms="9",
        auto__offset__reset="none",
        partition__assignment__strategy="org.apache.kafka.clients.consumer.RangeAssignor",
    )
    assert found["fetch.wait.max.ms"] == "9"
    assert found["auto.offset.reset"] == "error"
    assert found["partition.assignment.strategy"] == "range"


def test_the_number_of_polled_records_is_ours() -> None:
    connector = CONNECTOR | {"consumer.override.max.poll.records": "7"}
    config = consumer_config(WORKER, connector, "id", "c-0")
    assert config.poll_records == 7
    assert "max.poll.records" not in config.properties


def test_a_member_need_not_be_static() -> None:
    assert "group.instance.id" not in consumed(group__instance__id="")


def test_user_and_password_are_taken_out_of_a_jaas_line() -> None:
    line = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        r"""username="u" password='p"\'\\x';"""
    )
    found = produced(sasl__jaas__config=line)
    assert (found["sasl.username"], found["sasl.password"]) == ("u", "p\"'\\x")


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_any_user_and_password_survive_a_jaas_line(user: str, password: str) -> None:
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (user, password)]
    line = f'x.PlainLoginModule required username="{quoted[0]}" password="{quoted[1]}";'
    found = produced(sasl__jaas__config=line)
    assert (found["sasl.username"], found["sasl.password"]) == (user, password)


def test_every_bad_value_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        consumed(
            max__poll__records="many",
            sasl__jaas__config="nothing",
            ssl__truststore__location="/a/trust.jks",
        )
    prefix = "consumer.override."
    assert set(caught.value.problems) == {
        f"{prefix}max.poll.records", f"{prefix}sasl.jaas.config",
        f"{prefix}ssl.truststore.location",
    }  # fmt: skip
    assert caught.value.problems[f"{prefix}max.poll.records"] == (
        f"Invalid value many for configuration {prefix}max.poll.records: Not a number of type INT"
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("batch.size", "many", "Not a number of type INT"),
        ("batch.size", "-1", "Value must be at least 0"),
        ("max.request.size", "3 MB", "Not a number of type INT"),
        ("max.request.size", "1048576.5", "Not a number of type INT"),
        ("max.request.size", "9" * 5000, "Not a number of type INT"),
        ("buffer.memory", "many", "Not a number of type LONG"),
        ("buffer.memory", "-1", "Value must be at least 0"),
        ("queue.buffering.max.messages", "1e5", "Not a number of type INT"),
        ("max.in.flight.requests.per.connection", "x", "Not a number of type INT"),
        ("delivery.timeout.ms", "99999999999", "Value must be at most 2147483647"),
        ("linger.ms", "soon", "Not a number of type DOUBLE"),
        ("acks", "2", "String must be one of: all, -1, 0, 1"),
    ],
)
def test_a_producers_wrong_value_is_told_with_its_key_and_what_was_expected(
    key: str, value: str, expected: str
) -> None:
    """librdkafka would take 3 MB for three bytes."""
    workers, connectors = f"producer.{key}", f"producer.override.{key}"
    with pytest.raises(ConfigError) as caught:
        producer_config(WORKER | {workers: value}, CONNECTOR | {connectors: value}, "id")
    assert caught.value.problems == {
        name: f"Invalid value {value} for configuration {name}: {expected}"
        for name in (workers, connectors)
    }


def test_numbers_reach_librdkafka_as_it_reads_them() -> None:
    assert produced(batch__size="0")["batch.size"] == "1"  # in Java: a record a batch
    assert produced(retries="010")["retries"] == "10"  # octal to librdkafka
    assert produced(linger__ms="0.5")["linger.ms"] == "0.5"


def test_what_the_policy_forbids_and_what_is_wrong_are_told_together() -> None:
    worker = WORKER | {
        "connector.client.config.override.policy": "None", "producer.batch.size": "many",
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        producer_config(worker, CONNECTOR | {"producer.override.linger.ms": "1"}, "id")
    assert set(caught.value.problems) == {"producer.batch.size", "producer.override.linger.ms"}


def test_an_assignor_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected of each: RangeAssignor, "):
        consumed(partition__assignment__strategy="org.acme.MyAssignor")


def test_a_password_is_not_shown_in_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        produced(sasl__jaas__config='x required password="hush";')
    assert "hush" not in str(caught.value)


def test_keys_without_a_meaning_here_are_ignored_with_a_reason() -> None:
    connector = CONNECTOR | {"producer.override.key.serializer": "a.B"}
    config = producer_config(WORKER, connector, "id")
    assert config.ignored == {"producer.override.key.serializer": "converters make the bytes"}
    assert "key.serializer" not in config.properties


def test_fewer_acknowledgements_end_idempotence_unless_it_was_asked_for() -> None:
    assert produced(acks="1")["enable.idempotence"] == "false"
    with pytest.raises(ConfigError, match="Must set acks to all"):
        produced(acks="1", enable__idempotence="true")


def test_batches_stay_below_what_topics_take() -> None:
    config = producer_config(WORKER, CONNECTOR, "id")
    config.limit_batch([None])
    assert config.properties["batch.size"] == "262144"
    config.limit_batch([None, 5000, 9000])
    assert config.properties["batch.size"] == "4900"


@pytest.mark.parametrize(
    ("policy", "forbidden"),
    [
        ("All", set()),
        ("None", {"linger.ms", "sasl.jaas.config"}),
        ("Principal", {"linger.ms"}),
        ("org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy",
         {"linger.ms"}),
    ],
)  # fmt: skip
def test_the_override_policy_decides(policy: str, forbidden: set[str]) -> None:
    worker = WORKER | {"connector.client.config.override.policy": policy}
    connector = {"producer.override.linger.ms": "1", "producer.override.sasl.jaas.config": "x"}
    found = check_overrides(worker, connector, "producer.override.")
    assert set(found) == {f"producer.override.{key}" for key in forbidden}


def test_an_unknown_policy_is_a_problem_of_the_worker() -> None:
    found = check_overrides({"connector.client.config.override.policy": "Some"}, {}, "producer.")
    key = "connector.client.config.override.policy"
    said = (
        f"Invalid value Some for configuration {key}: String must be one of: All, None, Principal"
    )
    assert found == {key: said}


def test_an_administrators_client_reaches_the_same_cluster() -> None:
    connector = CONNECTOR | {
        "producer.override.security.protocol": "SASL_SSL",
        "producer.override.ssl.ca.location": "/ca.pem",
        "producer.override.linger.ms": "9",
    }
    config = producer_config(WORKER, connector, "id")
    expected = {
        "client.id": "admin",
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
    }
    assert admin_config(config, WORKER, connector, "admin") == expected
    worker = WORKER | {"admin.request.timeout.ms": "1000", "admin.listeners": "http://:1"}
    connector |= {"admin.override.ssl.truststore.location": "/other.pem"}
    expected |= {"socket.timeout.ms": "1000", "ssl.ca.location": "/other.pem"}
    assert admin_config(config, worker, connector, "admin") == expected
    with pytest.raises(ConfigError, match=r"admin\.request\.timeout\.ms"):
        admin_config(config, WORKER | {"admin.request.timeout.ms": "soon"}, {}, "admin")


@pytest.mark.parametrize(
    ("limit", "producer", "consumer"),
    [(64 << 20, 8 << 20, 4 << 20), (1 << 30, 64 << 20, 64 << 20), (33 << 20, 4325376, 2162688)],
)
def test_queues_are_derived_from_the_memory_limit(limit: int, producer: int, consumer: int) -> None:
    connector = {"name": "c", "engine.limit.memory.hard.bytes": str(limit)}

    source = producer_config(WORKER, connector, "id").properties
    sink = consumer_config(WORKER, connector, "id", "i").properties

    assert source["queue.buffering.max.kbytes"] == str(producer // 1024)
    assert sink["queued.max.messages.kbytes"] == str(consumer // 1024)
    assert sink["fetch.max.bytes"] == str(consumer)


def test_a_queue_whose_size_is_given_keeps_it() -> None:
    connector = {
        "name": "c",
        "engine.limit.memory.soft.bytes": str(64 << 20),
        "producer.override.buffer.memory": "33554432",
        "consumer.override.queued.max.messages.kbytes": "100",
        "consumer.override.fetch.max.bytes": "2000000",
    }

    source = producer_config(WORKER, connector, "id").properties
    sink = consumer_config(WORKER, connector, "id", "i").properties

    assert source["queue.buffering.max.kbytes"] == "32768"
    assert (sink["queued.max.messages.kbytes"], sink["fetch.max.bytes"]) == ("100", "2000000")
