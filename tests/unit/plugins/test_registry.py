"""Finding plugins by name, in a process of its own where what is imported matters."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine.api.converter import Converter
from engine.api.errors import ConfigError
from engine.converters.json import JsonConverter
from engine.converters.string import StringConverter, StringHeaderConverter
from engine.plugins.built_in import BUILT_IN, BuiltIn
from engine.plugins.registry import Plugins, make
from engine.transforms.filter import Filter
from engine.transforms.predicate import HasHeaderKey

ROOT = Path(__file__).parents[3]


def offer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, group: str, points: str
) -> None:
    """Install a distribution that offers plugins, as far as metadata go."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    "name",
    [
        "org.apache.kafka.connect.storage.StringConverter",
        "StringConverter",
        "String",
        "engine.converters.string.StringConverter",
        "engine.converters.string:StringConverter",
        " StringConverter ",
    ],
)
def test_a_plugin_answers_to_all_its_names(name: str) -> None:
    assert Plugins().find("converter", name) is StringConverter


def test_a_converter_of_headers_is_found_under_the_converters_name() -> None:
    name = "org.apache.kafka.connect.storage.StringConverter"
    assert Plugins().find("header_converter", name) is StringHeaderConverter


@pytest.mark.parametrize("each", BUILT_IN, ids=lambda each: f"{each.kind} {each.name}")
def test_every_plugin_of_ours_is_there(each: BuiltIn) -> None:
    found = Plugins().find(each.kind, each.java_name)
    assert Plugins().java_name(found) == each.java_name
    assert Plugins().version(found)


def test_our_plugins_are_declared_like_anybodys() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        (group, name, target)
        for group, points in project["entry-points"].items()
        for name, target in points.items()
    }
    assert declared == {(f"connect.{each.kind}s", each.name, each.target) for each in BUILT_IN}


def test_an_unknown_converter_is_answered_with_what_is_installed_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Plugins().find("converter", "org.apache.kafka.connect.json.JsonConvertor")
    message = str(caught.value)
    assert message.startswith(
        "Class org.apache.kafka.connect.json.JsonConvertor could not be found. Installed are: "
    )
    assert "StringConverter" in message
    assert message.endswith("Did you mean org.apache.kafka.connect.json.JsonConverter?")


def test_an_unknown_connector_is_answered_in_kafkas_words() -> None:
    with pytest.raises(ConfigError) as caught:
        Plugins().find("connector", "FileStreamSorce")
    message = str(caught.value)
    assert message.startswith(
        "Failed to find any class that implements Connector and which name matches "
        "FileStreamSorce, available connectors are: PluginDesc{klass=class "
    )
    assert "name='org.apache.kafka.connect.file.FileStreamSinkConnector'" in message
    assert message.endswith("Did you mean FileStreamSource?")


@pytest.mark.parametrize("name", ["json.JSONDecoder", "engine.plugins.registry.Plugins"])
def test_a_class_that_is_no_plugin_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="does not implement the Converter interface"):
        Plugins().find("converter", name)


def test_a_plugin_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_plugin.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="could not be loaded: No module named 'no_such_library'"):
        Plugins().find("converter", "broken_plugin.Thing")


def test_a_plugin_whose_constructor_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_plugin.py").write_text(
        "from engine.converters.string import StringConverter\n"
        "class Failing(StringConverter):\n"
        "    def __init__(self):\n        raise OSError('no disk')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="could not be instantiated: OSError: no disk"):
        make(Plugins(), "converter", "failing_plugin.Failing")


def test_an_abstract_class_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="could not be instantiated: TypeError"):
        make(Plugins(), "converter", "engine.api.converter.Converter")


def test_another_distributions_plugin_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme.py").write_text(
        "from engine.converters.string import StringConverter\n"
        "class AcmeConverter(StringConverter):\n    pass\n"
    )
    offer(tmp_path, monkeypatch, "acme", "connect.converters", "Acme = acme:AcmeConverter")
    plugins = Plugins()
    found = plugins.find("converter", "Acme")
    assert issubclass(found, Converter)
    assert plugins.java_name(found) == "acme.AcmeConverter"
    assert plugins.version(found) == "1.2"
    assert "Acme" in [plugin.name for plugin in plugins.installed("converter")]


def test_two_distributions_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        offer(tmp_path / name, monkeypatch, name, "connect.predicates", f"Is = {name}:Is")
    with pytest.raises(ConfigError) as caught:
        Plugins().check()
    message = str(caught.value)
    assert message.startswith("Two distributions offer the predicate Is: ")
    assert "one 1.2 (one:Is)" in message
    assert "two 1.2 (two:Is)" in message


def test_what_is_installed_is_in_order_and_has_kinds_of_its_own() -> None:
    assert [p.name for p in Plugins().installed("predicate")] == [
        "HasHeaderKey",
        "RecordIsTombstone",
        "TopicNameMatches",
    ]
    assert Plugins().find("transformation", "Filter") is Filter
    assert Plugins().find("predicate", "HasHeaderKey") is HasHeaderKey
    assert Plugins().find("converter", "Json") is JsonConverter


def test_finding_one_plugin_imports_no_other_and_looks_at_no_distribution() -> None:
    code = (
        "import sys; from engine.plugins.registry import Plugins\n"
        "Plugins().find('converter', 'StringConverter')\n"
        "wrong = {'engine.converters.json', 'msgspec', 'importlib.metadata', 'connectors'}\n"
        "print(sorted(wrong & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_a_class_whose_module_is_preloaded_is_taken_without_looking_around() -> None:
    """Looking at all distributions takes longer than all else of a task's start."""
    code = (
        "import sys, engine.testing.memory_hog; from engine.plugins.registry import Plugins\n"
        "sys.modules.pop('importlib.metadata', None)\n"
        "found = Plugins().find('transformation', 'engine.testing.memory_hog.MemoryHog')\n"
        "print(found.__name__, 'importlib.metadata' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.split() == ["MemoryHog", "False"]


def test_a_preloaded_class_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not implement the Converter interface"):
        Plugins().find("converter", f"{Filter.__module__}.{Filter.__qualname__}")
