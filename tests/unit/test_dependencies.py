"""What the code imports is what the package asks for, by itself and not by way of others."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"engine", "connectors"}


def imports(path: Path) -> Iterator[str]:
    """First names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def distribution(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


def test_every_import_is_of_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    declared = {distribution(each) for each in wanted}
    files = [path for name in OURS for path in (ROOT / name).rglob("*.py")]
    found = {name for path in files if "tests" not in path.parts for name in imports(path)}
    others = found - sys.stdlib_module_names - OURS
    assert {"confluent_kafka", "jgo"} <= others  # the files were looked at
    offered = packages_distributions()
    undeclared = {
        name: offered.get(name, ["nobody"])
        for name in others
        if not declared & {each.lower().replace("_", "-") for each in offered.get(name, ())}
    }
    assert undeclared == {}
