"""The least that moves lines between a file and a topic with confluent-kafka: the yardstick.

Clients are configured as the engine configures its own, and files are read and written in the same
pieces. ``python -m tests.benchmarks.raw_client source|sink FILE TOPIC BROKERS``, until stdin ends.
"""

import os
import sys
import time
from typing import Any, Final

from confluent_kafka import Consumer, Message, Producer

from engine.kafka.client_config import consumer_config, producer_config

_CHUNK: Final = 1 << 20
_COMMIT_EVERY: Final = 10.0


def source(path: str, topic: str, brokers: str) -> None:
    """Every line of the file to the topic."""
    config = producer_config({"bootstrap.servers": brokers}, {"name": topic}, "raw")
    properties: dict[str, Any] = {**config.properties, "delivery.report.only.error": True}
    producer = Producer(properties)
    room = int(config.properties["queue.buffering.max.messages"]) * 3 // 4
    rest = b""
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            batch: list[dict[str, Any]] = [{"value": line} for line in lines]
            while producer.produce_batch(topic, batch) != len(batch):
                batch = [message for message in batch if message.pop("_error", None) is not None]
                wanted = min(room, len(producer) * 3 // 4)
                while len(producer) > wanted:
                    producer.poll(0.1)
            producer.poll(0)
    producer.flush()


def sink(path: str, topic: str, brokers: str) -> None:
    """Every value of the topic as a line of the file, until the process is stopped."""
    group = f"raw-{os.getpid()}"
    config = consumer_config({"bootstrap.servers": brokers}, {"name": group}, "raw", group)
    properties: dict[str, Any] = {**config.properties}
    consumer = Consumer(properties)
    consumer.subscribe([topic])
    committed = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        while True:
            first = consumer.poll(1.0)
            if first is None:
                continue
            messages = [first, *consumer.consume(config.poll_records, 0)]
            file.write(b"\n".join(map(Message.value, messages)) + b"\n")  # type: ignore[arg-type]
            if time.monotonic() - committed > _COMMIT_EVERY:
                consumer.commit(asynchronous=False)
                committed = time.monotonic()


def main(arguments: list[str]) -> None:
    """The process."""
    kind, path, topic, brokers = arguments
    (source if kind == "source" else sink)(path, topic, brokers)
    sys.stdin.read()  # so that what the process has used can still be asked for


if __name__ == "__main__":
    main(sys.argv[1:])
