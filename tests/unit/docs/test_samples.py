"""The sample files under etc/ can be read, and name what exists."""

import subprocess
from pathlib import Path

import pytest

from engine.api import parse
from engine.api.config import keys_of, parse_keys
from engine.model.config_file import parse_connector_file, parse_worker_file
from engine.model.worker_config import WorkerConfig, worker_warnings
from engine.plugins.registry import Plugins

ROOT = Path(__file__).parents[3]
WORKERS = ("connect-standalone.properties", "engine.toml")
CONNECTORS = sorted(
    path.name
    for path in (ROOT / "etc").iterdir()
    if path.suffix in (".properties", ".json", ".toml") and path.name not in WORKERS
)


@pytest.mark.parametrize("name", WORKERS)
def test_a_sample_of_a_worker_is_valid(name: str) -> None:
    worker = parse_worker_file((ROOT / "etc" / name).read_text(encoding="utf-8"), name)
    assert parse(WorkerConfig, worker).bootstrap_servers == ("localhost:9092",)
    assert list(worker_warnings(worker)) == []


@pytest.mark.parametrize("name", WORKERS[1:])
def test_a_sample_shows_all_keys_of_ours_with_their_defaults(name: str) -> None:
    text = (ROOT / "etc" / name).read_text(encoding="utf-8")
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in text.splitlines()
        if not line.startswith("# A ")
    ]
    worker = parse_worker_file("\n".join(lines), name)
    own = {k.name: k.default_text() for k in keys_of(WorkerConfig) if k.name.startswith("engine.")}
    del own["engine.data.dir"]
    assert {key: worker[key] for key in own} == own
    parse(WorkerConfig, worker)
    assert list(worker_warnings(worker)) == []


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_sample_of_a_connector_is_valid(name: str) -> None:
    made = parse_connector_file((ROOT / "etc" / name).read_text(encoding="utf-8"), name)
    connector = Plugins().find("connector", made.config["connector.class"])()
    _, problems = parse_keys(connector.config(), made.config)
    assert problems == {}
    assert list(connector.validate(made.config)) == []


def test_the_standalone_script_without_arguments_says_how_it_is_used() -> None:
    ended = subprocess.run(
        [ROOT / "scripts" / "connect-standalone.sh"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("USAGE: ")
