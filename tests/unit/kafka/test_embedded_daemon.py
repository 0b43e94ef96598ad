"""Who runs a data directory's broker, as others find out."""

import json
import os
from pathlib import Path

import pytest

from engine.kafka.embedded.artifacts import EmbeddedKafkaError
from engine.kafka.embedded.daemon import DaemonState, hold_data_dir, read_state, stop


def test_nobody_runs_an_unknown_data_directory(tmp_path: Path) -> None:
    assert read_state(tmp_path / "nothing") is None
    assert not stop(tmp_path / "nothing")


def test_a_data_directory_has_one_holder(tmp_path: Path) -> None:
    with (
        hold_data_dir(tmp_path),
        pytest.raises(EmbeddedKafkaError, match=f"a broker runs already in {tmp_path}"),
        hold_data_dir(tmp_path),
    ):
        pass


def test_a_holder_is_known_by_its_number_before_it_says_anything(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path):
        assert read_state(tmp_path) == DaemonState(os.getpid(), "", "starting")


def test_what_a_former_daemon_left_is_not_believed(tmp_path: Path) -> None:
    left = {"pid": 1, "address": "127.0.0.1:9092", "state": "running"}
    (tmp_path / "state.json").write_text(json.dumps(left))
    assert read_state(tmp_path) is None
    with hold_data_dir(tmp_path):
        assert read_state(tmp_path) == DaemonState(os.getpid(), "", "starting")
    assert read_state(tmp_path) is None


def test_what_the_holder_says_is_believed(tmp_path: Path) -> None:
    said = DaemonState(os.getpid(), "127.0.0.1:9092", "running", kafka_pid=7, restarts=2)
    told = {"pid": said.pid, "address": said.address, "state": "running", "kafka_pid": 7}
    (tmp_path / "state.json").write_text(json.dumps(told | {"restarts": 2}))
    with hold_data_dir(tmp_path):
        assert read_state(tmp_path) == said
