"""The test kit for connectors: contexts that drive a task in one process, without Kafka."""

from engine.testing.errant_records import ErrantRecords
from engine.testing.task_context import SinkTestContext, SourceTestContext

__all__ = ["ErrantRecords", "SinkTestContext", "SourceTestContext"]
