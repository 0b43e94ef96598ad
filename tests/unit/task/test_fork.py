"""A fork without hooks of the standard library, and with those of anybody else."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import os, random, threading, logging, sys
from engine.task.fork import Forker
forker = Forker()
exec(sys.argv[1])
random.seed(7)
pid = forker.fork()
if pid == 0:
    random.seed()
    threads = []
    thread = threading.Thread(target=lambda: threads.append(threading.current_thread()))
    thread.start()
    thread.join()
    assert threads == [thread] and threading.main_thread() is threading.current_thread()
    logging.getLogger().warning("it logs")
    print(os.getppid(), os.getpid(), *words, flush=True)
    os._exit(3)
print(os.getpid(), pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def run(before: str) -> list[list[str]]:
    argv = [sys.executable, "-c", _PROGRAM, before]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    assert "it logs" in done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_the_child_is_a_process_with_working_threads_and_logs() -> None:
    child, parent = run("words = []")
    assert child == parent[:2]
    assert parent[2] == "3"


@pytest.mark.parametrize("when", ["before", "after_in_parent", "after_in_child"])
def test_hooks_that_a_module_registers_are_called(when: str) -> None:
    lines = run(f"words = []; os.register_at_fork({when}=lambda: words.append('{when}'))")
    child, parent = lines
    assert child[:2] == parent[:2]
    assert ("after_in_parent" in child) is False
    assert (when in child) == (when != "after_in_parent")


def test_hooks_of_the_standard_library_leave_the_plain_fork_in_place() -> None:
    known = "import concurrent.futures.thread; words = [forker._fork is not os.fork]"
    child, _parent = run(known)
    assert child[2] == "True"


def test_without_another_process_to_be_had_the_reason_is_told() -> None:
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0));"
        "os.getuid() or os.setresuid(65534, 65534, 65534)\n"
        "try: forker.fork()\n"
        "except BlockingIOError as error: print(error.strerror, flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, limit],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == os.strerror(11)
