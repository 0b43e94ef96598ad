"""G. Logs: last words are kept, and nobody waits for a reader."""

import json
import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.system.faults.supervised import PLUGINS, SupervisedEngine, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f61_what_a_task_printed_right_before_its_death_is_in_its_log(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "print_and_die last words")
    engine.wait_anew(name, task)

    log = engine.data_dir / "logs" / f"{name}-0.log"
    texts = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert texts.count("last words") == 500
    assert "half a li" in texts


def test_a_console_that_nobody_reads_stops_nobody(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    """F59's cousin: the terminal is stopped, the service is not."""
    engine = own_engine(connectors={"loud": {"poll_ms": 1}})
    read_fd, write_fd = os.pipe()
    with engine.stderr.open("ab") as stderr:
        engine.process = subprocess.Popen(
            engine.command, cwd=engine.directory, stdin=subprocess.DEVNULL, stdout=write_fd,
            stderr=stderr, process_group=0, env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        )  # fmt: skip
    os.close(write_fd)
    wait_for(lambda: engine.ask("/health").status == 200)
    task = engine.wait_state("loud", "RUNNING")
    for _ in range(6):
        engine.order("loud-0", "print_and_die " + "x" * 3000)
        task = engine.wait_anew("loud", task)
    assert engine.ask("/engine/worker").status == 200
    kill(task["pid"], signal.SIGKILL)
    engine.wait_anew("loud", task)
    assert engine.stop() == 0
    os.close(read_fd)
