"""Starts that cannot work: what is said on standard error, and the exit code."""

import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.system.disk import tmpfs
from tests.system.running_engine import (
    STRINGS,
    RunningEngine,
    free_port,
    properties,
    run_standalone,
    wait_for,
)

pytestmark = pytest.mark.system

NOWHERE = "127.0.0.1:9"
"""No broker is needed to be refused."""


def worker_file(directory: Path, **changes: object) -> Path:
    path = directory / "worker.properties"
    given: dict[str, object] = {
        "bootstrap.servers": NOWHERE, "engine.data.dir": directory / "data",
        "listeners": f"http://127.0.0.1:{free_port()}", **STRINGS,
    }  # fmt: skip
    path.write_text(properties(given | {k.replace("_", "."): v for k, v in changes.items()}))
    return path


def connector_file(directory: Path, name: str, config: Mapping[str, object]) -> Path:
    path = directory / f"{name}.properties"
    path.write_text(properties({"name": name, **config}))
    return path


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "broken.properties",
            "name=a\nfile=x\\u12\n",
            "broken.properties:2: Malformed \\uXXXX encoding: \\u12",
        ),
        ("broken.toml", 'name = "a"\n[config]\nfile = \n', "broken.toml:3: Invalid value"),
        ("broken.json", '{"name": "a",\n"config": {"file": }}', "broken.json:2: Expecting value"),
        ("unnamed.properties", "topic=x\n", "unnamed.properties"),
        ("latin.properties", b"name=a\ntopic=\xe4\n", "latin.properties: not UTF-8 at byte 13"),
        ("missing.properties", None, "missing.properties: No such file or directory"),
    ],
)
def test_a_connector_file_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, text: str | bytes | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = run_standalone(tmp_path, worker_file(tmp_path), name)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"engine: {said}")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.properties", "a=1\nb=\\u00g0\n", "w.properties:2: Malformed \\uXXXX encoding: \\u00g0"),
        ("w.toml", "[a]\nb = 1\n[a]\n", "w.toml:3: "),
    ],
)
def test_a_worker_file_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    ended = run_standalone(tmp_path, name)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"engine: {said}")


def test_all_wrong_values_of_the_worker_file_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "w.properties").write_text(
        "value.converter=x\noffset.flush.interval.ms=soon\nengine.restart.max=-1\n"
        "engine.log.format=xml\nproducer.max.request.size=3 MB\nproducer.linger.ms=${env:LINGER}\n"
        "connector.client.config.override.policy=a.b.SomeConnectorClientConfigOverridePolicy\n"
        "engine.restart.maxx=1\n"
    )
    ended = run_standalone(tmp_path, "w.properties")
    assert ended.returncode == 2
    assert set(ended.stderr.splitlines()) == {
        ("engine: warning: unknown key engine.restart.maxx, did you mean engine.restart.max?"),
        (
            'engine: w.properties: Missing required configuration "key.converter" which has no '
            "default value."
        ),
        (
            "engine: w.properties: Invalid value soon for configuration offset.flush.interval.ms: "
            "Not a number of type LONG"
        ),
        (
            "engine: w.properties: Invalid value -1 for configuration engine.restart.max: "
            "Value must be at least 0"
        ),
        (
            "engine: w.properties: Invalid value xml for configuration engine.log.format: "
            "String must be one of: auto, json, console"
        ),
        (
            "engine: w.properties: Invalid value a.b.SomeConnectorClientConfigOverridePolicy for "
            "configuration connector.client.config.override.policy: String must be one of: All, "
            "None, Principal"
        ),
        (
            "engine: w.properties: Invalid value 3 MB for configuration producer.max.request.size: "
            "Not a number of type INT"
        ),
    }


def test_all_wrong_values_of_connectors_are_told_at_once(tmp_path: Path) -> None:
    """Kafka Connect's exit code for connectors that cannot be created is 3."""
    unknown = connector_file(tmp_path, "unknown", {"connector.class": "FileStreamSorce"})
    wrong = connector_file(
        tmp_path,
        "wrong",
        {
            "connector.class": "FileStreamSource", "file": tmp_path, "batch.size": "many",
            "tasks.max": 0, "errors.tolerance": "some",
            "producer.override.batch.size": "lots", "producer.override.compression.type": "zip",
        },
    )  # fmt: skip
    good = connector_file(
        tmp_path, "good", {"connector.class": "FileStreamSource", "file": "x", "topic": "t"}
    )
    ended = run_standalone(tmp_path, worker_file(tmp_path), good, unknown, wrong)
    assert ended.returncode == 3
    for said in (
        (
            "engine: connector unknown: Failed to find any class that implements Connector and "
            "which name matches FileStreamSorce, available connectors are: PluginDesc{klass=class "
            "org.apache.kafka.connect.file.FileStreamSinkConnector"
        ),
        "Did you mean FileStreamSource?\n",
        (
            "engine: connector wrong: Connector configuration is invalid and contains the following"
            " 6 error(s):\n"
        ),
        "  Invalid value 0 for configuration tasks.max: Value must be at least 1\n",
        (
            "  Invalid value some for configuration errors.tolerance: String must be one of: none, "
            "all\n"
        ),
        '  Missing required configuration "topic" which has no default value.\n',
        "  Invalid value many for configuration batch.size: Not a number of type INT\n",
        (
            "  Invalid value lots for configuration producer.override.batch.size: Not a number of "
            "type INT\n"
        ),
    ):
        assert said in ended.stderr
    assert "connector good" not in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_converter_of_the_worker_that_nobody_knows_is_named(tmp_path: Path) -> None:
    config = {"connector.class": "FileStreamSource", "file": "x", "topic": "t"}
    worker = worker_file(tmp_path, **{"value.converter": "org.acme.NoConverter"})
    ended = run_standalone(tmp_path, worker, connector_file(tmp_path, "in", config))
    assert ended.returncode == 3
    assert (
        "  Invalid value org.acme.NoConverter for configuration value.converter of the worker: "
        "Class org.acme.NoConverter could not be found. Installed are: BooleanConverter, "
    ) in ended.stderr


def test_a_directory_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    source = {"connector.class": "FileStreamSource", "file": tmp_path, "topic": "t"}
    sink = {"connector.class": "FileStreamSink", "file": tmp_path, "topics": "t"}
    files = [connector_file(tmp_path, "in", source), connector_file(tmp_path, "out", sink)]
    ended = run_standalone(tmp_path, worker_file(tmp_path), *files)
    assert ended.returncode == 3
    said = f"Invalid value {tmp_path} for configuration file: it is a directory"
    assert ended.stderr.count(said) == 2


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_standalone(
            tmp_path, worker_file(tmp_path, listeners=f"http://127.0.0.1:{port}")
        )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"engine: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with listeners=http://HOST:PORT\n"
    )


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (each, f"Invalid value {each} for configuration listeners: expected http://HOST:PORT")
        for each in ("ftp://127.0.0.1:21", "http://127.0.0.1", "http://127.0.0.1:99999")
    ]
    + [("http://203.0.113.1:83", "cannot listen on 203.0.113.1:83: Cannot assign requested")],
)
def test_a_listener_that_cannot_be_is_named(tmp_path: Path, listener: str, said: str) -> None:
    ended = run_standalone(tmp_path, worker_file(tmp_path, listeners=listener))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"engine: {said}")
    assert ended.stderr.count("\n") == 1


def test_one_name_for_two_connector_files_is_refused(tmp_path: Path) -> None:
    config = {"connector.class": "FileStreamSource", "file": "x", "topic": "t"}
    one = connector_file(tmp_path, "same", config)
    ended = run_standalone(tmp_path, worker_file(tmp_path), one, one)
    assert ended.returncode == 2
    assert ended.stderr == "engine: connector same is given twice on the command line\n"


def test_a_second_engine_on_a_data_directory_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    first = RunningEngine(
        tmp_path / "first",
        {"bootstrap.servers": NOWHERE},
        {"in": {"connector.class": "FileStreamSource", "file": "x", "topic": "t"}},
    )
    with first.running():
        pid = wait_for(lambda: first.task("in")["pid"])
        kept = {p: p.read_bytes() for p in (first.data_dir / "epoch", first.data_dir / "lock")}
        worker = worker_file(tmp_path, **{"engine.data.dir": first.data_dir})
        ended = run_standalone(tmp_path, worker)
        assert ended.returncode == 100
        assert ended.stderr == (
            f"engine: data directory {first.data_dir} is in use by another engine "
            f"(pid {first.process.pid})\n"
        )
        assert first.task("in")["pid"] == pid
        assert {p: p.read_bytes() for p in kept} == kept


@pytest.mark.parametrize(
    ("options", "filler", "reason"),
    [("ro", 0, "Read-only file system"), ("size=64k", 65536, "No space left on device")],
)
def test_a_data_directory_that_cannot_be_written_is_named(
    tmp_path: Path, options: str, filler: int, reason: str
) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, options):
        if filler:
            (disk / "filler").write_bytes(bytes(filler))
        data_dir = disk / "data"
        ended = run_standalone(tmp_path, worker_file(tmp_path, **{"engine.data.dir": data_dir}))
    assert ended.returncode == 2
    assert ended.stderr == (
        f"engine: data directory {data_dir} cannot be used: {reason}; "
        "choose another with engine.data.dir\n"
    )


def test_a_disk_with_too_little_room_to_start_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, "size=60k"):
        data_dir = disk / "data"
        ended = run_standalone(tmp_path, worker_file(tmp_path, **{"engine.data.dir": data_dir}))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"engine: {data_dir / 'herder.db'}: the disk is full (database or disk is full)\n"
    )


def test_scripts_say_what_to_install_where_there_is_no_python(tmp_path: Path) -> None:
    """A bare machine, and a user who may not install anything."""
    root = Path(__file__).parents[2]
    for each in ("scripts/environment.sh", "pyproject.toml"):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((root / each).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "sha256sum", "cut", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    for name in ("id", "python3"):
        (tools / name).chmod(0o755)
    ended = subprocess.run(
        ["bash", "-c", "source scripts/environment.sh; environment dev"],
        cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        "Python 3.11 or newer with venv is needed: apt install python3 python3-venv\n"
    )
