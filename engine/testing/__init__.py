"""The test kit for connectors: contexts that drive a task in one process, without Kafka."""

from engine.testing.task_context import SinkTestContext, SourceTestContext

__all__ = ["SinkTestContext", "SourceTestContext"]
