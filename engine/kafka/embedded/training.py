"""A run of the broker whose loaded and linked classes are kept for later starts (JEP 483).

The Java runtime's wheel has no class archive at all; with ours a start takes half as long and the
process is smaller. A training run takes ten seconds, so it is somebody's choice to make one, at
idle priority beside a broker that already runs. ``python -m engine.kafka.embedded.training DIR``.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, Producer
from msgspec.structs import replace

from engine.kafka.embedded.artifacts import OnProgress, ignore_progress
from engine.kafka.embedded.broker import EmbeddedKafka
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.model.exit_status import EXIT_TRANSIENT
from engine.wire.prctl import die_with_parent

_READY_TIMEOUT: Final = 300.0  # idle priority may mean a long wait
_CLIENT_TIMEOUT: Final = 60.0
_MAIN: Final = "kafka.Kafka"


def train(cache_dir: Path, on_progress: OnProgress = ignore_progress) -> Path:
    """Make the archive in the cache unless it is there; its path.

    Raises:
        EmbeddedKafkaError: the broker cannot be started.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".training-") as scratch:
        node = EmbeddedKafka(Path(scratch), cache_dir)
        if node.archive.exists():
            return node.archive
        made = Path(scratch) / "classes.aot"
        service = node.prepare(on_progress)
        on_progress("training run for faster starts", 0, 0)
        main = service.argv.index(_MAIN)
        argv = (*service.argv[:main], f"-XX:AOTCacheOutput={made}", *service.argv[main:])
        broker = BrokerProcess(replace(service, argv=argv), Path(scratch) / "logs" / "output.log")
        try:
            broker.start()
            broker.wait_ready(_READY_TIMEOUT)
            _exercise(broker.address)
            broker.stop(_READY_TIMEOUT)  # the archive is written at the end of the process
        finally:
            broker.kill()
        made.replace(node.archive)
        return node.archive


def _exercise(address: str) -> None:
    """Use what clients use, so that those classes are in the archive too."""
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True})
    producer.produce("training", b"value")
    producer.flush(_CLIENT_TIMEOUT)
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "training", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["training"])
    if consumer.poll(_CLIENT_TIMEOUT) is not None:
        consumer.commit(asynchronous=False)
    consumer.close()


def main(cache_dir: Path) -> None:
    """The process: out of everybody's way, and gone with its parent."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_TRANSIENT))
    die_with_parent(signal.SIGTERM)
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    train(cache_dir)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
