"""What a process uses of the memory, and what the kernel says of those that it has ended."""

import mmap
import os
from pathlib import Path

from engine.supervisor.memory_use import OomKills, memory_use

MIB = 1 << 20


def test_what_a_process_uses_is_known_when_it_is_much() -> None:
    with mmap.mmap(-1, 64 * MIB) as memory:
        for page in range(0, 64 * MIB, 4096):
            memory[page] = 1
        used = memory_use(os.getpid(), MIB)

    rollup = Path("/proc/self/smaps_rollup").read_text()
    now = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert used >= 64 * MIB
    assert used >= now * 1024


def test_what_is_below_the_limit_by_the_cheap_measure_is_not_measured_further() -> None:
    assert memory_use(os.getpid(), 1 << 50) == 0


def test_a_process_that_is_gone_uses_nothing() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    assert memory_use(pid, 0) == 0


def test_a_machine_where_nothing_was_ended_of_late_says_so() -> None:
    kills = OomKills()
    kills.tick()
    kills.tick()

    assert kills.none_of_late() is True
