"""Values of config providers stay in the processes that need them, whatever plugins tell."""

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = pytest.mark.system

PLUGINS = Path(__file__).parent / "plugins"
SECRETS = {"first": "hunter-2 says ämen", "second": 'quo"ted-and\\\\slashed'}
FORMS = ("hunter-2 says", 'quo"', "ted-and", "slashed")
"""What would show of them, however they are written."""


def test_secrets_of_plan_children_stay_there(
    tmp_path: Path,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One process plans all connectors of the command line, and each of them has another secret."""
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    file, go = tmp_path / "values.properties", tmp_path / "go"
    file.write_text("".join(f"{key}={value}\n" for key, value in SECRETS.items()), "utf-8")
    worker = {
        "bootstrap.servers": "127.0.0.1:9",
        "config.providers": "file",
        "config.providers.file.class": "FileConfigProvider",
    }
    told = {"connector.class": "telltale.TelltaleConnector", "go": go}
    refused, kept = unique("refused"), unique("kept")
    connectors = {
        refused: {**told, "note": f"${{file:{file}:first}}", "refuses": "yes"},
        kept: {
            **told, "note": f"x ${{file:{file}:second}} y",
        },
    }  # fmt: skip
    engine = RunningEngine(tmp_path / "engine", worker, connectors)
    with engine.ended():
        engine.start()
        wait_for(lambda: "telltale" in engine.stdout.read_text())
        shown = processes(engine)
        assert any("plan" in name for name in shown), list(shown)
        go.touch()
        log = engine.data_dir / "logs" / f"{kept}-0.log"
        wait_for(lambda: log.exists() and "telltale" in log.read_text())
        paths = [
            "/connectors?expand=info&expand=status", "/engine/tasks", "/engine/connectors",
            "/engine/events?tail=100",
            *(f"/connectors/{name}/{of}" for name in connectors for of in ("status", "tasks")),
            *(f"/engine/connectors/{name}/logs" for name in connectors),
        ]  # fmt: skip
        answers = {path: json.dumps(engine.ask(path).body).encode() for path in paths}
        assert refused.encode() in answers["/engine/events?tail=100"]
        shown |= processes(engine)
        engine.stop()
    written = {
        str(path): path.read_bytes() for path in engine.directory.rglob("*") if path.is_file()
    }
    everything = {**shown, **answers, **written}
    assert any(f"${{file:{file}:first}}".encode() in data for data in written.values())
    for form in FORMS:
        assert [name for name, data in everything.items() if form.encode() in data] == []


def processes(engine: RunningEngine) -> dict[str, bytes]:
    """What everybody may see of the engine's processes."""
    top = psutil.Process(engine.process.pid)
    found = {}
    for process in (top, *top.children(recursive=True)):
        proc = Path("/proc", str(process.pid))
        title = f"{process.pid} {' '.join(process.cmdline())}"
        found[title] = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    return found
