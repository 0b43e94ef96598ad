"""What ``engine standalone`` says before it starts anything."""

import socket
from pathlib import Path

import pytest

from engine.cli.main import main

CONVERTERS = "key.converter=StringConverter\nvalue.converter=StringConverter\n"


def test_what_is_asked_for_and_not_done_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The taken port ends the start, and with it the processes that had a head start."""
    offsets, worker = tmp_path / "connect.offsets", tmp_path / "worker.properties"
    offsets.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = f"http://127.0.0.1:{taken.getsockname()[1]}"
        worker.write_text(
            f"{CONVERTERS}listeners=https://:8443,{listener},http://127.0.0.1:8084\n"
            f"plugin.path=/opt/java\noffset.storage.file.filename={offsets}\n"
        )
        assert main(["standalone", str(worker)]) == 2
    said = "engine: warning:"
    *warnings, refusal = capsys.readouterr().err.splitlines()
    assert warnings == [
        f"{said} key plugin.path has no effect: plugins are installed Python distributions",
        f"{said} listener https://:8443 is not served, only {listener} is",
        f"{said} listener http://127.0.0.1:8084 is not served, only {listener} is",
        f"{said} {offsets} is not read: offsets are kept in the data directory",
    ]
    assert refusal.startswith(f"engine: cannot listen on {listener.removeprefix('http://')}")


def test_a_listener_that_cannot_be_served_is_told_before_kafka_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = tmp_path / "worker.properties"
    worker.write_text(f"{CONVERTERS}listeners=https://:8443\n")
    assert main(["standalone", "--embedded", str(worker)]) == 2
    assert capsys.readouterr().err == (
        "engine: Invalid value https://:8443 for configuration listeners: "
        "expected http://HOST:PORT\n"
    )
    assert list(tmp_path.iterdir()) == [worker]
