"""The plugins of one task, configured and ready."""

from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from engine.api.converter import Converter, HeaderConverter
from engine.model.error_policy import ErrorPolicy, error_policy
from engine.plugins.configured import make_converter, make_header_converter
from engine.plugins.registry import Plugins
from engine.task.transformation_chain import TransformationChain, transformation_chain


class TaskPlugins(msgspec.Struct, frozen=True):
    """What stands between a task and Kafka.

    Attributes:
        errors: what happens to records that one of them cannot handle.
    """

    key_converter: Converter
    value_converter: Converter
    header_converter: HeaderConverter
    transformations: TransformationChain = msgspec.field(default_factory=TransformationChain)
    errors: ErrorPolicy = msgspec.field(default_factory=ErrorPolicy)

    @classmethod
    def make(
        cls, plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str]
    ) -> "TaskPlugins":
        """What a connector's configuration, and the worker's below it, ask for.

        Raises:
            ConfigError: a plugin is unknown or badly configured.
        """
        return cls(
            key_converter=make_converter(plugins, config, worker, "key"),
            value_converter=make_converter(plugins, config, worker, "value"),
            header_converter=make_header_converter(plugins, config, worker),
            transformations=transformation_chain(plugins, config),
            errors=error_policy(worker, config),
        )

    def close(self) -> None:
        """Close all of them, also when one cannot be closed; that is raised then."""
        with ExitStack() as stack:
            for each in (self.header_converter, self.value_converter, self.key_converter):
                stack.callback(each.close)
            stack.callback(self.transformations.close)
