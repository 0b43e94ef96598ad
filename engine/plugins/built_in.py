"""The plugins of this distribution, so that none of them costs a look at what is installed.

The entry points in ``pyproject.toml`` say the same; a test keeps the two equal.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal[
    "connector", "converter", "header_converter", "transformation", "predicate", "config_provider"
]
"""What a plugin is."""

_CONNECT: Final = "org.apache.kafka.connect"
_COMMON: Final = "org.apache.kafka.common.config.provider"


class BuiltIn(NamedTuple):
    """A plugin of ours: entry point name, where it is, and the Java class that it stands for."""

    kind: Kind
    name: str
    target: str
    java_name: str


def _converters(package: str, module: str, *names: str) -> tuple[BuiltIn, ...]:
    """Converters that also convert headers."""
    made: list[BuiltIn] = []
    for name in names:
        java_name = f"{_CONNECT}.{package}.{name}Converter"
        where = f"engine.converters.{module}"
        made += [
            BuiltIn("converter", f"{name}Converter", f"{where}:{name}Converter", java_name),
            BuiltIn(
                "header_converter", f"{name}Converter", f"{where}:{name}HeaderConverter", java_name
            ),
        ]
    return tuple(made)


def _transforms(kind: Kind, package: str, module: str, *names: str) -> tuple[BuiltIn, ...]:
    return tuple(
        BuiltIn(kind, name, f"engine.transforms.{module}:{name}", f"{_CONNECT}.{package}.{name}")
        for name in names
    )


def _config_providers(*names: str) -> tuple[BuiltIn, ...]:
    where = "engine.plugins.config_provider"
    return tuple(
        BuiltIn("config_provider", f"{name}ConfigProvider", f"{where}:{name}ConfigProvider",
                f"{_COMMON}.{name}ConfigProvider")
        for name in names
    )  # fmt: skip


BUILT_IN: Final[tuple[BuiltIn, ...]] = (
    BuiltIn("connector", "FileStreamSource", "connectors.file:FileStreamSourceConnector",
            f"{_CONNECT}.file.FileStreamSourceConnector"),
    BuiltIn("connector", "FileStreamSink", "connectors.file:FileStreamSinkConnector",
            f"{_CONNECT}.file.FileStreamSinkConnector"),
    *_converters("storage", "string", "String"),
    *_converters("json", "json", "Json"),
    *_converters("converters", "byte_array", "ByteArray"),
    *_converters("converters", "number", "Boolean", "Short", "Integer", "Long", "Float", "Double"),
    BuiltIn("header_converter", "SimpleHeaderConverter",
            "engine.converters.simple_header:SimpleHeaderConverter",
            f"{_CONNECT}.storage.SimpleHeaderConverter"),
    *_transforms("transformation", "transforms", "filter", "Filter"),
    *_transforms("transformation", "transforms", "regex_router", "RegexRouter"),
    *_transforms("transformation", "transforms", "headers", "InsertHeader", "DropHeaders"),
    *_transforms("predicate", "transforms.predicates", "predicate",
                 "HasHeaderKey", "RecordIsTombstone", "TopicNameMatches"),
    *_config_providers("File", "Directory", "EnvVar"),
    BuiltIn("config_provider", "CredentialsConfigProvider",
            "engine.plugins.config_provider:CredentialsConfigProvider",
            "engine.CredentialsConfigProvider"),
)  # fmt: skip

SUFFIXES: Final[dict[Kind, str]] = {
    "connector": "Connector",
    "converter": "Converter",
    "header_converter": "HeaderConverter",
    "transformation": "Transformation",
    "predicate": "Predicate",
    "config_provider": "ConfigProvider",
}
"""What an alias may leave out at its end (upstream: ``PluginUtils.prunedName``)."""
