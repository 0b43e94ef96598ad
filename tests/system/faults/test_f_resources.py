"""F. Resources: descriptors."""

from collections.abc import Callable

import pytest

from tests.system.faults.supervised import SupervisedEngine, open_files
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f56_the_usual_soft_limit_of_descriptors_does_not_bound_the_number_of_tasks(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(connectors={"many": {"tasks_max": 60, "poll_ms": 500}})
    engine.command = ["/bin/sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh", *engine.command]
    engine.start()
    engine.wait_ready()

    def running() -> bool:
        return [t["condition"] for t in engine.tasks("many")] == ["RUNNING"] * 60

    wait_for(running, 60)
    assert len(open_files(engine.process.pid)) > 256
    engine.check_promises()
    assert engine.stop() == 0
    assert engine.survivors() == []
