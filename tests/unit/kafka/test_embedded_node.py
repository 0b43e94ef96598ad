"""What a data directory keeps, and how ports are chosen."""

import socket
from pathlib import Path

import pytest

from engine.kafka.embedded.artifacts import EmbeddedKafkaError
from engine.kafka.embedded.broker import Node, read_node
from engine.kafka.embedded.port import answers_kafka, choose_port, holder_of, is_port_free


def test_a_data_directory_without_a_node_has_none(tmp_path: Path) -> None:
    assert read_node(tmp_path) is None


def test_a_node_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text('{"cluster_id":"abc","port":1,"controller_port":2}')
    assert read_node(tmp_path) == Node("abc", 1, 2)


@pytest.mark.parametrize("text", ["{", "[]", '{"port": 1}', '{"cluster": "x"}'])
def test_a_broken_node_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.json").write_text(text)
    with pytest.raises(EmbeddedKafkaError, match=r"node\.json is broken"):
        read_node(tmp_path)


def test_chosen_ports_are_free_and_not_of_the_range_for_clients() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(20):
        port = choose_port()
        assert is_port_free(port)
        assert port < first or first <= 21_000


def test_a_port_with_a_listener_is_taken_and_its_holder_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_port_free(port)
        assert holder_of(port).startswith("pid ")
        assert not answers_kafka("127.0.0.1", port, timeout=0.05)
    assert is_port_free(port)
    assert not answers_kafka("127.0.0.1", port)
