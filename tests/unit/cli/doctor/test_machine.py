"""What is judged of a machine, fact by fact."""

import errno
from pathlib import Path

import pytest

from engine.cli.ctl.output import Terminal
from engine.cli.doctor import machine
from engine.cli.doctor.data_dir import data_directory, judge_kind, judge_space, judge_sync
from engine.cli.doctor.finding import (
    ExitCode,
    Finding,
    Level,
    exit_code,
    findings_text,
    ok,
    problem,
    warning,
)
from engine.cli.doctor.subject import ControlGroup, Subject, subject_of
from engine.model.cgroup_layout import CONTROLLERS
from engine.storage.config_store import SqliteConfigStore
from tests.unit.cli.conftest import Engine

DELEGATED = ControlGroup(is_there=True, controllers=dict.fromkeys(CONTROLLERS, 2), path=Path("/g"))


def subject(**changes: object) -> Subject:
    values = {
        "pid": 1, "uid": 1000, "name": "it", "most_files": None, "most_processes": None,
        "is_exempt": False, "group": DELEGATED, **changes,
    }  # fmt: skip
    return Subject(**values)  # type: ignore[arg-type]


JUDGED = [
    (machine.judge_kernel("6.1.0-18-amd64"), Level.OK, "Linux 6.1.0-18-amd64"),
    (machine.judge_kernel("5.4.0"), Level.PROBLEM, "older than 5.10"),
    (machine.judge_kernel("unknowable"), Level.PROBLEM, "older than 5.10"),
    (machine.judge_pidfd(0, "6.1.0"), Level.OK, "pidfd"),
    (machine.judge_pidfd(errno.ENOSYS, "4.19.0"), Level.PROBLEM, "this kernel has no pidfd"),
    (machine.judge_pidfd(errno.EPERM, "6.1.0"), Level.PROBLEM, "refused (EPERM) by a filter"),
    (machine.judge_pidfd(errno.ENOSYS, "6.1.0"), Level.PROBLEM, "refused (ENOSYS) by a filter"),
    (machine.judge_memfd(0), Level.OK, "sealed memory"),
    (machine.judge_memfd(errno.EACCES), Level.PROBLEM, "Permission denied"),
    (machine.judge_group(DELEGATED), Level.OK, "version 2: cpu, io, memory, pids"),
    (machine.judge_group(ControlGroup()), Level.WARNING, "no control groups"),
    (machine.judge_group(ControlGroup(is_there=True)), Level.WARNING, "is delegated"),
    (
        machine.judge_group(ControlGroup(is_there=True, controllers={"cpu": 2, "memory": 1})),
        Level.WARNING,
        "version 2: cpu; version 1: memory; not io, pids",
    ),
    (machine.judge_files(subject(), 500), Level.OK, "500 tasks need 4,200"),
    (machine.judge_files(subject(most_files=1024), 500), Level.WARNING, "enough for 103 tasks"),
    (machine.judge_processes(subject(), 100, 32768, 10**6), Level.OK, "within all bounds"),
    (machine.judge_processes(subject(), 100, 500, 10**6), Level.WARNING, "kernel.pid_max is 500"),
    (
        machine.judge_processes(subject(most_processes=80), 100, 10**6, 10**6),
        Level.WARNING,
        "(ulimit -u) is 80: enough for 10 tasks",
    ),
    (
        machine.judge_processes(
            subject(group=ControlGroup(most_processes=300)), 100, 10**6, 10**6
        ),
        Level.WARNING,
        "pids.max of its control group is 300",
    ),
    (machine.judge_pipes(subject(), 500, 16384), Level.OK, "1,016 tasks"),
    (machine.judge_pipes(subject(), 1100, 16384), Level.WARNING, "the pipes of 1,016 tasks fill"),
    (machine.judge_pipes(subject(is_exempt=True), 9000, 16384), Level.OK, "does not bind it"),
    (machine.judge_pipes(subject(), 9000, 0), Level.OK, "no bound"),
    (machine.judge_memory(8 << 30, 100), Level.OK, "8.0 GiB"),
    (machine.judge_memory(80 << 20, 100), Level.WARNING, "enough for about 10 tasks"),
    (machine.judge_clock(is_synchronized=True, year=2026), Level.OK, "synchronized"),
    (machine.judge_clock(is_synchronized=None, year=2026), Level.OK, "nobody can tell"),
    (machine.judge_clock(is_synchronized=False, year=2026), Level.WARNING, "not synchronized"),
    (machine.judge_clock(is_synchronized=True, year=1970), Level.PROBLEM, "says 1970"),
    (judge_kind(Path("/d"), "ext4"), Level.OK, "on ext4"),
    (judge_kind(Path("/d"), "nfs4"), Level.PROBLEM, "do not work over networks"),
    (judge_kind(Path("/d"), "tmpfs"), Level.WARNING, "does not outlive"),
    (judge_space(Path("/d"), 5 << 30, 10**6), Level.OK, "5.0 GiB"),
    (judge_space(Path("/d"), 500 << 20, 10**6), Level.WARNING, "0.5 GiB"),
    (judge_space(Path("/d"), 5 << 20, 10**6), Level.PROBLEM, "only 5 MiB"),
    (judge_space(Path("/d"), 5 << 30, 10), Level.WARNING, "only 10 more files"),
    (judge_space(Path("/d"), 5 << 30, 0), Level.OK, "5.0 GiB"),  # btrfs counts no files
    (judge_sync(Path("/d"), 0.002), Level.OK, "2.0 ms"),
    (judge_sync(Path("/d"), 0.5), Level.WARNING, "500 ms"),
    (judge_sync(Path("/d"), None), Level.PROBLEM, "nothing can be written"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "level", "text"), JUDGED)
def test_each_fact_is_judged_and_what_is_wrong_has_a_remedy(
    found: Finding, level: Level, text: str
) -> None:
    assert found.level is level
    assert text in found.text
    assert (found.remedy is None) == (level is Level.OK)


def test_the_worst_finding_is_the_exit_code() -> None:
    fine, odd, bad = ok("a", "fine"), warning("b", "odd", "mend b"), problem("c", "bad", "mend c")
    assert exit_code([fine]) == ExitCode.OK == 0
    assert exit_code([fine, odd]) == ExitCode.WARNINGS == 1
    assert exit_code([odd, bad, fine]) == ExitCode.PROBLEMS == 3


def test_remedies_stand_below_the_table_the_worst_first() -> None:
    text = findings_text(
        [ok("a", "fine"), warning("b", "odd", "mend b"), problem("c", "bad", "mend c")], Terminal()
    )
    assert text == (
        "CHECK  STATE    FOUND\n"
        "a      ok       fine\n"
        "b      warning  odd\n"
        "c      problem  bad\n\n"
        "problem: bad\n  mend c\n\n"
        "warning: odd\n  mend b"
    )


def test_this_machine_can_be_looked_at() -> None:
    here = subject_of(None)
    assert subject_of(1 << 30) == here
    checks = [finding.check for finding in machine.machine(here, 10)]
    assert checks == [
        "python", "kernel", "pidfd", "memfd", "cgroup", "open files", "processes", "pipes",
        "memory", "clock",
    ]  # fmt: skip


def test_a_damaged_database_is_found_and_a_whole_one_is_not(tmp_path: Path) -> None:
    SqliteConfigStore(tmp_path / "herder.db").close()
    (tmp_path / "offsets").mkdir()
    by_check = {finding.check: finding for finding in data_directory(tmp_path)}
    assert by_check["databases"].level is Level.OK
    (tmp_path / "offsets" / "c.db").write_text("this is no database, and long enough to see it")
    by_check = {finding.check: finding for finding in data_directory(tmp_path)}
    assert by_check["databases"].level is Level.PROBLEM
    assert "c.db: file is not a database" in by_check["databases"].text


def test_a_directory_that_everybody_may_write_to_is_a_problem(tmp_path: Path) -> None:
    assert next(iter(data_directory(tmp_path))).level is not Level.PROBLEM
    tmp_path.chmod(0o777)
    found = next(iter(data_directory(tmp_path)))
    assert (found.check, found.level) == ("data directory", Level.PROBLEM)
    assert "may be written by every user (mode 0777)" in found.text


def test_a_directory_that_is_yet_to_be_made_is_judged_by_the_one_above(tmp_path: Path) -> None:
    found = list(data_directory(tmp_path / "not" / "yet"))
    assert str(tmp_path) in found[0].text
    assert not (tmp_path / "not").exists()


def test_a_file_with_mistakes_is_told_with_its_lines_and_the_rest_is_looked_at(
    engine: Engine, tmp_path: Path
) -> None:
    worker = tmp_path / "worker.properties"
    worker.write_text("bootstrap.servers=127.0.0.1:9\noffset.flush.interval.ms=soon\n")
    shown = engine("doctor", worker, "--url", "http://127.0.0.1:9")
    assert shown.code == 3
    assert "offset.flush.interval.ms" in shown.out
    assert f"edit {worker}" in shown.out
    assert "zygote" in shown.out
