"""Everything a connector author imports. Depends on nothing else of the engine."""

from engine.api.config import (
    HIGH,
    LOW,
    MEDIUM,
    NO_KEYS,
    REQUIRED,
    ConfigKey,
    ConfigKeys,
    ConfigType,
    Importance,
    Secret,
    at_least,
    config,
    key,
    keys_of,
    nearest,
    non_empty,
    one_of,
    parse,
)  # fmt: skip
from engine.api.connector import Connector, ConnectorContext, SinkConnector, SourceConnector
from engine.api.converter import Converter, HeaderConverter
from engine.api.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigError,
    ConnectError,
    DataError,
    IllegalWorkerStateError,
    NotFoundError,
    RetriableError,
    SchemaError,
    ToleranceExceededError,
)  # fmt: skip
from engine.api.offset import OffsetStorageReader
from engine.api.record import (
    Column,
    Headers,
    Offset,
    Partition,
    Position,
    SchemaAndValue,
    SinkBatch,
    SinkRecord,
    SourceBatch,
    SourceRecord,
    Timestamp,
    TopicPartition,
    column_of,
)  # fmt: skip
from engine.api.schema import BYTES, OPTIONAL_BYTES, OPTIONAL_STRING, STRING, Field, Schema, Type
from engine.api.task import (
    ErrantRecordReporter,
    SinkTask,
    SinkTaskContext,
    SourceTask,
    SourceTaskContext,
    TaskContext,
)  # fmt: skip
from engine.api.transformation import Predicate, Transformation

__all__ = [
    "BYTES", "HIGH", "LOW", "MEDIUM", "NO_KEYS", "OPTIONAL_BYTES", "OPTIONAL_STRING", "REQUIRED",
    "STRING", "AlreadyExistsError", "AuthenticationError", "Column", "ConfigError", "ConfigKey",
    "ConfigKeys", "ConfigType", "ConnectError", "Connector", "ConnectorContext", "Converter",
    "DataError", "ErrantRecordReporter", "Field", "HeaderConverter", "Headers",
    "IllegalWorkerStateError", "Importance", "NotFoundError", "Offset", "OffsetStorageReader",
    "Partition", "Position", "Predicate", "RetriableError", "Schema", "SchemaAndValue",
    "SchemaError", "Secret", "SinkBatch", "SinkConnector", "SinkRecord", "SinkTask",
    "SinkTaskContext", "SourceBatch", "SourceConnector", "SourceRecord", "SourceTask",
    "SourceTaskContext", "TaskContext", "Timestamp", "ToleranceExceededError", "TopicPartition",
    "Transformation", "Type", "at_least", "column_of", "config", "key", "keys_of", "nearest",
    "non_empty", "one_of", "parse",
]  # fmt: skip
