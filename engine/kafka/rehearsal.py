"""A client that talks to nobody, made so that the next one is made faster."""

from engine.kafka.client_config import producer_config
from engine.kafka.producer import TaskProducer


def rehearse_client() -> None:
    """Make a producer without brokers and let it go: the library's pages are there afterwards."""
    config = producer_config({}, {"name": "rehearsal"}, "rehearsal")
    config.properties["bootstrap.servers"] = ""
    config.properties["log_level"] = "0"
    TaskProducer(config, lambda: False).poll(0)
