"""``engine doctor`` beside a running engine: what it finds, and what it packs."""

import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.supervised import SupervisedEngine
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SECRETS = {
    "a.password": "geheim4711",
    "connection.url": "postgres://me:pa55word@db/x",
    "harmless.to.us": "but-not-to-them",
}
RESOLVED = "resolved-from-the-environment"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SupervisedEngine]:
    """One connector with secrets that its task has shouted out, and one that has failed."""
    made = SupervisedEngine(
        tmp_path / "engine",
        {
            "config.providers": "env",
            "config.providers.env.class": "EnvVarConfigProvider",
            "rest.extension.secret": "br0ker-password",
        },
        {
            "loud": {**SECRETS, "b.token": "${env:TOKEN}"},
            "failed": {"at_start": "raise ConfigError never works"},
        },
    )
    with made.ended():
        environment = {**os.environ, "TOKEN": RESOLVED}
        plugins = str(Path(__file__).parent / "plugins")
        made.start(env={**environment, "PYTHONPATH": plugins})
        made.wait_ready()
        made.wait_state("loud", "RUNNING")
        made.wait_state("failed", "FAILED")
        made.order("loud-0", f"print {' '.join(reversed(SECRETS.values()))} {RESOLVED}")
        yield made
        assert made.stop() == 0


def doctor(engine: SupervisedEngine, *more: str) -> "subprocess.CompletedProcess[str]":
    worker = engine.directory / "worker.properties"
    return subprocess.run(
        [sys.executable, "-m", "engine", "doctor", str(worker), "--json", *more],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "TOKEN": RESOLVED},
    )  # fmt: skip


def test_a_running_engine_is_found_and_what_is_wrong_with_it_has_a_remedy(
    engine: SupervisedEngine,
) -> None:
    log = engine.data_dir / "logs" / "loud-0.log"
    wait_for(lambda: SECRETS["harmless.to.us"] in log.read_text())

    shown = doctor(engine, "--bundle", str(engine.directory / "b.tar.gz"))

    assert shown.returncode == 3, shown.stderr  # there is no broker
    findings: list[dict[str, Any]] = json.loads(shown.stdout)
    by_check = {each["check"]: each for each in findings}
    assert by_check["broker"]["level"] == "problem"
    assert by_check["engine"]["text"].endswith(f"pid {engine.process.pid}")
    assert by_check["port"]["level"] == "ok"
    assert by_check["databases"]["level"] == "ok"
    assert by_check["tasks"] == {
        "check": "tasks",
        "level": "warning",
        "text": "1 of 2 tasks failed: failed-0",
        "remedy": "engine ctl explain failed-0",
    }
    for each in findings:
        assert (each["remedy"] is None) == (each["level"] == "ok")
    check_bundle(engine.directory / "b.tar.gz")
    packed = (engine.directory / "b.tar.gz").read_bytes()
    again = doctor(engine, "--bundle", str(engine.directory / "b.tar.gz"))
    assert again.returncode == 2
    assert again.stderr.endswith(f"engine doctor: {engine.directory}/b.tar.gz: File exists\n")
    assert (engine.directory / "b.tar.gz").read_bytes() == packed


def check_bundle(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as tar:
        files = {m.name.removeprefix("engine-bundle/"): tar.extractfile(m) for m in tar}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    assert {
        "README.txt", "versions.json", "findings.json", "worker.json", "connectors.json",
        "rest/tasks.json", "rest/metrics.txt", "supervisor/limits", "logs/logs/loud-0.log",
        "logs/journal/events.jsonl",
    } <= texts.keys()  # fmt: skip
    assert "missing.txt" not in texts
    assert "never works" in texts["logs/journal/events.jsonl"]
    assert "MisbehavingConnector" in texts["connectors.json"]
    for name, text in texts.items():
        for secret in (*SECRETS.values(), "pa55word", "br0ker-password", RESOLVED):
            assert secret not in text, name
