"""Offsets that somebody sets are where the connectors go on, on both sides of Kafka."""

from pathlib import Path
from typing import Any

import pytest

from tests.system.running_engine import Answer, RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

LINES = [f"line {n}\n" for n in range(10)]
ALTERED = {"message": "The offsets for this connector have been altered successfully"}


def changed(engine: RunningEngine, name: str, method: str, body: Any = None) -> Answer:
    """Stop the connector, change its offsets, resume it."""
    assert engine.ask(f"/connectors/{name}/stop", "PUT").status == 204
    answer = engine.ask(f"/connectors/{name}/offsets", method, body)
    assert engine.ask(f"/connectors/{name}/resume", "PUT").status == 202
    return answer


def test_changed_offsets_are_where_connectors_go_on(tmp_path: Path, kafka: str, topic: str) -> None:
    file, out, sink = tmp_path / "in.txt", tmp_path / "out.txt", f"out-{topic}"
    file.write_text("".join(LINES))
    worker = {"bootstrap.servers": kafka, "offset.flush.interval.ms": 100}
    connectors = {
        "in": {"connector.class": "FileStreamSource", "file": file, "topic": topic},
        sink: {"connector.class": "FileStreamSink", "file": out, "topics": topic},
    }
    engine = RunningEngine(tmp_path / "engine", worker, connectors)

    def arrived(*lines: str) -> bool:
        return out.exists() and out.read_text() == "".join(lines)

    with engine.running():
        wait_for(lambda: arrived(*LINES))
        wait_for(lambda: engine.offsets("in"))
        refused = engine.ask("/connectors/in/offsets", "DELETE")
        assert refused.status == 400
        assert refused.body["message"].startswith("Connectors must be in the STOPPED state")

        [entry] = engine.offsets("in")
        eighth = {"position": len("".join(LINES[:8]))}
        body = {"offsets": [{"partition": entry["partition"], "offset": eighth}]}
        assert changed(engine, "in", "PATCH", body) == (200, ALTERED)
        wait_for(lambda: arrived(*LINES, *LINES[8:]))

        end = {"partition": {"kafka_topic": topic, "kafka_partition": 0}}
        wait_for(lambda: engine.offsets(sink) == [{**end, "offset": {"kafka_offset": 12}}])
        body = {"offsets": [{**end, "offset": {"kafka_offset": "11"}}]}
        done = changed(engine, sink, "PATCH", body)
        assert done.status == 200
        assert "manages offsets externally" in done.body["message"]
        wait_for(lambda: arrived(*LINES, *LINES[8:], LINES[9]))

        assert changed(engine, sink, "DELETE").status == 200
        wait_for(lambda: arrived(*LINES, *LINES[8:], LINES[9], *LINES, *LINES[8:]))
