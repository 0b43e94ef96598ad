"""What the supervisor imports: nothing that could start a thread, hold a lock or run a plugin."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.supervisor

FOLDER = Path(engine.supervisor.__file__).parent
MODULES = [f"engine.supervisor.{path.stem}" for path in sorted(FOLDER.glob("[a-z]*.py"))]
OWN = {"engine.supervisor", "engine.wire", "engine.model"}
BELOW = {"engine", "engine.api", *OWN}
LIBRARIES = {"msgspec", "typing_extensions"}
"""msgspec imports the latter where it is installed."""

WALK = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(*modules: str) -> list[str]:
    """What a fresh interpreter has loaded after these imports."""
    argv = [sys.executable, "-P", "-c", WALK, *modules]
    told = subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout
    return [str(name) for name in json.loads(told)]


def imported(path: Path) -> Iterator[str]:
    """What a module imports anywhere, in functions and for annotations too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield node.module or ""


def package_of(module: str) -> str:
    """``engine.wire`` of ``engine.wire.channel``, ``msgspec`` of ``msgspec.json``."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "engine" else parts[0]


def strangers(modules: list[str], known: set[str]) -> set[str]:
    """What is neither of the standard library nor known."""
    return {package_of(m) for m in modules} - set(sys.stdlib_module_names) - known


@pytest.mark.parametrize(
    "modules",
    [["engine.supervisor.launch"], ["engine.supervisor.start"], ["engine.supervisor.supervisor"],
     MODULES],
    ids=["launch", "start", "supervisor", "all"],
)  # fmt: skip
def test_the_supervisor_loads_the_standard_library_and_msgspec_and_nothing_else(
    modules: list[str],
) -> None:
    found = loaded(*modules)

    assert set(modules) <= set(found)
    assert strangers(found, BELOW | LIBRARIES) == set()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_no_module_of_the_supervisor_imports_anything_else_later(path: Path) -> None:
    assert strangers(list(imported(path)), {*OWN, "engine", "msgspec"}) == set()


def test_what_is_imported_before_the_zygote_is_executed_is_next_to_nothing() -> None:
    assert not {"asyncio", "msgspec", "logging"} & set(loaded("engine.supervisor.launch"))
