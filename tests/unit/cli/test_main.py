"""The entry point: versions, help and what it says on the wrong machine."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import __version__
from engine.cli.main import main, platform_problem
from tests.unit.cli.conftest import Engine


def test_the_version_is_told(engine: Engine) -> None:
    shown = engine("--version")
    assert (shown.code, shown.out) == (0, f"engine {__version__}\n")


def test_help_names_all_commands_and_imports_none_of_them() -> None:
    program = (
        "import sys\nfrom engine.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print('MODULES', *(name for name in sys.modules if name.startswith('engine.')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    text, _, modules = shown.stdout.partition("MODULES")
    assert all(name in text for name in ("standalone", "ctl", "kafka", "demo"))
    assert modules.split() == ["engine.cli", "engine.cli.main"]


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ((3, 10), "Python 3.11 or newer is needed, this is Python 3.10"),
        ((3, 11), None),
        ((3, 14), None),
    ],
)
def test_an_old_python_is_refused(version: Sequence[int], problem: str | None) -> None:
    assert platform_problem(tuple(version), needs_processes=True) == problem


def test_an_old_python_can_read_what_refuses_it() -> None:
    """What comes before the refusal parses with Python 3.8, and evaluates no annotation of ours."""
    for name in ("engine", "engine.__main__", "engine.cli", "engine.cli.main"):
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.origin
        tree = ast.parse(Path(spec.origin).read_text("utf-8"), feature_version=(3, 8))
        is_annotated = any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
        lazy = ast.unparse(ast.parse("from __future__ import annotations"))
        assert not is_annotated or lazy in map(ast.unparse, tree.body)


def test_a_kernel_without_pidfd_is_refused_where_processes_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:2], "4.19.0-27", *uname[3:])))
    assert main(["standalone", "worker.properties"]) == 1
    said = capsys.readouterr().err
    assert said == ("engine: Linux 5.10 or newer with pidfd is needed, this is 4.19.0-27\n")
    assert platform_problem((3, 11), needs_processes=False) is None


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    problem = platform_problem((3, 11), needs_processes=True)
    assert problem == "Linux 5.10 or newer is needed, this is darwin"
