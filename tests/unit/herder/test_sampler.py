"""What processes use: who is measured when, and what it costs."""

import os
from pathlib import Path

import pytest

from engine.herder.sampler import Sample, Sampler
from engine.model.task_id import TaskId

MIB = 1 << 20
SUPERVISOR = 10


class Proc:
    """A ``/proc`` of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pid: int, rss: int = 8 * MIB, pss: int = 4 * MIB, ppid: int = SUPERVISOR) -> None:
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        pages = rss // os.sysconf("SC_PAGE_SIZE")
        ticks = os.sysconf("SC_CLK_TCK")
        fields = f"S {ppid} 0 0 0 0 0 0 0 0 0 {2 * ticks} {ticks // 2} 0 0 20 0 4 0 99 0 {pages} 0"
        (folder / "stat").write_text(f"{pid} (engine: task) x) {fields}\n")
        (folder / "smaps_rollup").write_text(
            f"5-7 ---p\nRss: {rss // 1024} kB\nPss: {pss // 1024} kB\n"
        )


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """With nobody in it."""
    return Proc(tmp_path)


def tasks(*pids: int) -> dict[int, TaskId]:
    return {pid: TaskId("c", pid) for pid in pids}


def test_a_process_is_measured_at_once_and_then_every_few_seconds(proc: Proc) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    proc.add(7)

    assert sampler.sample(tasks(7), 100.0) == [Sample("c", 7, 7, 2.5, 8 * MIB, 4 * MIB, 100.0)]
    assert sampler.sample(tasks(7), 104.0) == []
    assert [each.at for each in sampler.sample(tasks(7), 105.0)] == [105.0]


def test_pages_are_counted_when_it_has_grown_or_after_long(proc: Proc) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    proc.add(7)
    sampler.sample(tasks(7), 0.0)
    proc.add(7, rss=8 * MIB + 4096, pss=5 * MIB)
    [little] = sampler.sample(tasks(7), 10.0)
    proc.add(7, rss=10 * MIB, pss=6 * MIB)
    [much] = sampler.sample(tasks(7), 20.0)
    proc.add(7, rss=10 * MIB, pss=3 * MIB)
    [later] = sampler.sample(tasks(7), 330.0)

    assert [each.pss_bytes // MIB for each in (little, much, later)] == [4, 6, 3]


def test_of_many_all_have_their_turn_and_none_has_a_figure_before_it_is_counted(
    proc: Proc,
) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    many = tasks(*range(1, 31))
    for pid in many:
        proc.add(pid)

    turns = [[each.pid for each in sampler.sample(many, second / 10)] for second in range(8)]

    assert all(turns)
    assert sorted(pid for turn in turns for pid in turn) == sorted(many)


def test_those_measured_longest_ago_are_first(proc: Proc) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    many = tasks(*range(1, 1001))
    for pid in many:
        proc.add(pid)
    for second in range(260):
        sampler.sample(many, float(second))
    seen: set[int] = set()
    for second in range(260, 270):
        seen |= {each.pid for each in sampler.sample(many, float(second))}

    assert seen == set(many)


def test_while_many_wait_for_their_first_turn_others_have_theirs_again(proc: Proc) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    many = tasks(*range(1, 401))
    for pid in many:
        proc.add(pid)
    measured = [each.pid for n in range(11) for each in sampler.sample(many, float(n))]

    assert measured.count(1) == 3


def test_who_is_gone_or_somebody_elses_by_now_is_not_measured(proc: Proc) -> None:
    sampler = Sampler(SUPERVISOR, proc.folder)
    proc.add(7)
    proc.add(8, ppid=1)

    assert [each.pid for each in sampler.sample(tasks(7, 8, 9), 0.0)] == [7]


def test_a_real_process_is_measured() -> None:
    [sample] = Sampler(os.getppid()).sample(tasks(os.getpid()), 0.0)

    assert sample.rss_bytes >= sample.pss_bytes > MIB
    assert sample.cpu_seconds > 0
