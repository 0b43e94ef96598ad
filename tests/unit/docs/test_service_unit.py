"""The unit for systemd says what the engine does, and lets it do little."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.cli.standalone_start import EXIT_BAD_CONFIG
from engine.herder.main import EXIT_REFUSED
from engine.supervisor.instance import EXIT_ALREADY_RUNNING

ETC = Path(__file__).parents[3] / "etc"
SYSTEMD = ETC / "systemd"
UNIT = SYSTEMD / "engine.service"


def settings(path: Path) -> dict[str, list[str]]:
    """All values by key; a key may come several times."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_what_would_end_the_same_way_is_not_tried_again() -> None:
    codes = {int(code) for code in settings(UNIT)["RestartPreventExitStatus"][0].split()}
    assert codes == {EXIT_BAD_CONFIG, EXIT_REFUSED, EXIT_ALREADY_RUNNING}


def test_newer_settings_are_apart_so_that_none_is_unknown_to_systemd_252() -> None:
    newer = settings(SYSTEMD / "engine.service.d" / "systemd-254.conf")
    assert newer["Type"] == ["notify-reload"]
    assert settings(UNIT)["Type"] == ["notify"]
    assert not {"DelegateSubgroup", "RestartSteps", "RestartMaxDelaySec"} & settings(UNIT).keys()


def test_systemd_finds_the_exposure_small_and_each_one_left_has_a_reason() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=30", str(UNIT)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout
    reasons = "\n".join(UNIT.read_text().partition("# ---- what it may do")[2].splitlines())
    for line in judged.stdout.splitlines():
        if line.startswith("✗"):
            key = re.split(r"[=/\s]", line.split()[1])[0]
            assert key in reasons, line


def test_what_an_image_executes_is_a_command_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (ETC / "container" / "Containerfile").read_text().splitlines()
    starts = [line.partition(" ")[2] for line in lines if line.startswith("ENTRYPOINT")]
    probes = [line.partition("CMD ")[2] for line in lines if line.startswith("    CMD")]
    for words in map(json.loads, (*starts, *probes)):
        assert words[0] == "engine"
        with pytest.raises(SystemExit) as ended:
            main([*words[1:], "--help"])
        assert ended.value.code == 0
    assert len(starts) == len(probes) == 1
    assert "usage: engine ctl list" in capsys.readouterr().out
