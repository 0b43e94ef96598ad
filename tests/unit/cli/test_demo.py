"""``engine demo`` without an engine: its arguments, its work directory, its screen."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.child_engine import last_words
from engine.cli.demo.command import add_parser
from engine.cli.demo.run import TaskWatch
from engine.cli.demo.screen import PlainScreen, Scene, render
from engine.cli.demo.work import DemoError, WorkDir, default_work_dir
from engine.cli.demo.writer import RATE, LogWriter
from engine.model.properties import parse_properties

Run = Callable[..., int]


@pytest.fixture
def run() -> Run:
    def run(*arguments: str) -> int:
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers())
        parsed = parser.parse_args(["demo", *arguments])
        code: int = parsed.run(parsed)
        return code

    return run


def test_a_file_that_is_not_there_is_wrong_usage(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.log"
    assert run(str(missing), "--data-dir", str(tmp_path / "work")) == 2
    assert capsys.readouterr().err == f"engine demo: {missing}: there is no such file\n"
    assert not (tmp_path / "work").exists()


def test_a_directory_is_wrong_usage(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path)) == 2
    assert capsys.readouterr().err == f"engine demo: {tmp_path}: not a file\n"


def test_lines_are_not_counted_of_a_file_that_has_its_own(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.log"
    file.touch()
    assert run(str(file), "--lines", "5") == 2


def test_a_number_of_lines_is_positive(run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--lines", "0")
    assert ended.value.code == 2


def test_a_directory_with_other_things_in_it_is_left_alone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").write_text("mine")
    assert run("--data-dir", str(tmp_path)) == 1
    assert "is not empty and no demo made it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    first = WorkDir(tmp_path, None)
    with pytest.raises(DemoError, match=f"another demo runs in {tmp_path}"):
        WorkDir(tmp_path, None)
    assert first.paths.source == tmp_path / "input.log"


def test_everything_is_below_the_state_directory() -> None:
    assert default_work_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/engine/demo")


def test_a_new_run_begins_anew_but_leaves_the_given_file_alone(tmp_path: Path) -> None:
    given = tmp_path / "given.log"
    given.write_text("a line\n")
    work = WorkDir(tmp_path / "work", given)
    (work.paths.data_dir / "kafka").mkdir(parents=True)
    work.paths.output.write_text("of the last run")
    work.prepare(keep=False, port=8083)
    assert not work.paths.data_dir.exists()
    assert not work.paths.output.exists()
    assert given.read_text() == "a line\n"


def test_what_is_kept_goes_on_with_the_same_file_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.touch()
    second.touch()
    work = WorkDir(tmp_path / "work", first)
    work.prepare(keep=False, port=8083)
    work.paths.output.write_text("kept")
    work.prepare(keep=True, port=8083)
    assert work.paths.output.read_text() == "kept"
    del work  # the lock goes with the process in real life
    other = WorkDir(tmp_path / "elsewhere", second)
    (other.paths.work_dir / "source").write_text(str(first))
    with pytest.raises(DemoError, match=f"a copy of {first}"):
        other.prepare(keep=True, port=8083)


@pytest.mark.parametrize("name", ["plain.log", " blank", "back\\slash", "späť 😀", "a=b:c#!"])
def test_any_file_name_survives_the_configuration(tmp_path: Path, name: str) -> None:
    given = tmp_path / name
    given.touch()
    work = WorkDir(tmp_path / "work", given)
    work.prepare(keep=False, port=18083)
    worker, source, sink = (
        parse_properties(path.read_text("utf-8"), path.name) for path in work.paths.config_files
    )
    assert source["file"] == str(given)
    assert sink["file"] == str(work.paths.output)
    assert worker["listeners"] == "http://127.0.0.1:18083"


def test_the_log_grows_at_its_rate_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "input.log"
    writer = LogWriter(path, most=RATE + 10)
    writer.write_due(100.0)
    writer.write_due(100.5)
    assert writer.lines == RATE // 2
    writer.write_due(101.0)
    assert writer.lines == RATE
    writer.write_due(200.0)
    writer.close()
    assert writer.is_done
    lines = path.read_bytes().splitlines()
    assert len(set(lines)) == len(lines) == RATE + 10


def test_a_kept_log_goes_on_with_new_lines(tmp_path: Path) -> None:
    path = tmp_path / "input.log"
    for present in (0, 5):
        writer = LogWriter(path, most=present + 5, lines=present)
        writer.write_due(0.0)
        writer.write_due(1.0)
        writer.close()
    lines = path.read_bytes().splitlines()
    assert len(set(lines)) == len(lines) == 10


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("engine: port 1 is taken\nsome trace\n", "port 1 is taken"),
        ("engine: warning: unknown key\nTIME ERROR   it broke\nTIME INFO    end\n", "it broke"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_of_an_engine_that_ended_is_told(tmp_path: Path, log: str, told: str) -> None:
    path = tmp_path / "engine.log"
    path.write_text(log)
    assert told in last_words(path)
    assert str(path) in last_words(path)


def task(connector: str = "demo-sink", **changes: Any) -> dict[str, Any]:
    return {
        "id": {"connector": connector, "task": 0},
        "type": "sink",
        "condition": "RUNNING",
        "pid": 4711,
        "reason": None,
        "retry_in_seconds": None,
        "rates": {"records_out_per_second": 1234.0, "cpu": 0.05},
        "counters": {"records_out": 56789},
        "lag": 42,
        "restarts_total": 3,
        "pss_bytes": 5 << 20,
        **changes,
    }


def test_a_killed_task_is_seen_to_go_and_to_come_back() -> None:
    watch = TaskWatch()
    assert watch.look(task(), 1.0) is None
    gone = task(pid=None, reason="killed by SIGKILL")
    assert watch.look(gone, 2.0) == "demo-sink-0: pid 4711 ended: killed by SIGKILL"
    assert watch.look(gone, 2.5) is None
    assert watch.look(task(pid=4712), 3.0) == "demo-sink-0: back as pid 4712 after 1.0 s"
    at_once = task(pid=4713, reason="killed by SIGKILL")
    told = "demo-sink-0: pid 4712 ended: killed by SIGKILL; now pid 4713"
    assert watch.look(at_once, 4.0) == told


def scene() -> Scene:
    made = Scene(
        stage="copying",
        elapsed=12.0,
        tasks=[task("demo-source", lag=2048), task()],
        pids={"supervisor": 100, "broker": 101},
        addresses=[("output", "/tmp/somewhere/output.log")],
        commands=[("engine ctl status", "connectors and tasks")],
        sent=60000,
        arrived=56789,
        extra=7,
    )
    made.events.append("11.0 s  demo-sink-0: back as pid 4711 after 0.6 s")
    return made


def test_the_screen_shows_all_there_is_to_know() -> None:
    console = Console(width=100, height=40, no_color=True)
    with console.capture() as capture:
        console.print(render(scene()))
    text = capture.get()
    for expected in (
        "copying", "supervisor pid 100", "broker pid 101", "demo-source-0", "2,048 B", "4711",
        "1,234", "56,789", "42", "5%", "5.0 MiB", "56,789 of 60,000 lines in order, 7 came twice",
        "/tmp/somewhere/output.log", "engine ctl status", "back as pid 4711", "Ctrl-C",
    ):  # fmt: skip
        assert expected in text


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown = scene()
    with PlainScreen() as screen:
        screen.show(shown)
        screen.show(shown)
        shown.elapsed += 0.5
        shown.stage = "stopping"
        screen.show(shown)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  12.0 s  copying"
    assert lines[1].endswith("demo-sink-0: back as pid 4711 after 0.6 s")
    assert lines[2].startswith("  12.0 s  demo-source RUNNING 1,234/s, total 56,789, lag 2,048 B;")
    assert lines[2].endswith("arrived 56,789 of 60,000 lines in order, 7 came twice")
    assert lines[3:] == ["  12.5 s  stopping"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    console = Console(width=width, height=height, no_color=True)
    shown = scene()
    shown.addresses = [(f"place {number}", "/somewhere") for number in range(7)]
    shown.commands = [(f"engine ctl {number}", "something") for number in range(4)]
    shown.events.extend(
        f"{number}.0 s  something ended, and a long reason {'x' * 200}" for number in range(9)
    )
    with console.capture() as capture:
        console.print(render(shown, width, height))
    lines = capture.get().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("Ctrl-C")
    assert any("8.0 s" in line for line in lines)
    assert any("5.0 MiB" in line for line in lines)
