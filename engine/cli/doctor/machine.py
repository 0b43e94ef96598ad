"""Checks of the machine: what the kernel offers, and how much of it."""

import contextlib
import ctypes
import errno
import os
import re
import signal
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from engine.cli.doctor.finding import Finding, ok, problem, warning
from engine.cli.doctor.subject import ControlGroup, Subject
from engine.model.cgroup_layout import CONTROLLERS

_LEAST_KERNEL: Final = (5, 10)
_FILES_PER_TASK: Final = 8
_FILES_BESIDE: Final = 200
_THREADS_PER_TASK: Final = 8
_PAGES_PER_PIPE: Final = 16
_PIPES_BESIDE: Final = 8
_MEMORY_PER_TASK: Final = 8 << 20
_UNSYNCHRONIZED: Final = 0x40
_STATUS_AT: Final = 40
"""Offset of ``status`` in ``struct timex`` on 64-bit machines: after modes and four longs."""

_EARLIEST_YEAR: Final = 2025


def machine(subject: Subject, tasks: int) -> Iterator[Finding]:
    """Everything about the machine, for so many tasks."""
    yield python()
    yield judge_kernel(os.uname().release)
    yield judge_pidfd(pidfd_error(), os.uname().release)
    yield judge_memfd(memfd_error())
    yield judge_group(subject.group)
    yield judge_files(subject, tasks)
    yield judge_processes(subject, tasks, *_most_processes())
    yield judge_pipes(subject, tasks, _number("/proc/sys/fs/pipe-user-pages-soft"))
    yield judge_memory(_available(subject.group), tasks)
    yield judge_clock(*clock())


def python() -> Finding:
    """The interpreter and the database in it."""
    versions = f"Python {'.'.join(map(str, sys.version_info[:3]))}, SQLite {sqlite3.sqlite_version}"
    if sys.getfilesystemencoding() != "utf-8":
        return warning(
            "python", f"{versions}, but file names are not UTF-8", "export LC_ALL=C.UTF-8"
        )
    return ok("python", versions)


def judge_kernel(release: str) -> Finding:
    """pidfd_open, and waiting for one, came with 5.3 and 5.4; what SQLite and we rely on, 5.10."""
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _LEAST_KERNEL:
        return problem("kernel", f"Linux {release} is older than 5.10", "upgrade the kernel")
    return ok("kernel", f"Linux {release}")


def pidfd_error() -> int:
    """0 when a child can be watched, signalled and waited for by a pidfd; else the errno."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        finally:
            os.close(pidfd)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return error.errno or errno.EINVAL
    return 0


def judge_pidfd(error: int, release: str) -> Finding:
    """A new kernel that refuses it is a filter of system calls."""
    if not error:
        return ok("pidfd", "children are watched by pidfd")
    if judge_kernel(release).remedy is None:
        return problem(
            "pidfd",
            f"pidfd is refused ({errno.errorcode.get(error, error)}) by a filter of system calls",
            "allow pidfd_open, pidfd_send_signal and waitid: a newer container runtime does, or"
            " docker run --security-opt seccomp=PROFILE.json",
        )
    return problem(
        "pidfd", f"this kernel has no pidfd ({os.strerror(error)})", "upgrade the kernel"
    )


def memfd_error() -> int:
    """0 when sealed memory can be made; else the errno."""
    try:
        os.close(os.memfd_create("doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def judge_memfd(error: int) -> Finding:
    """Configurations, slots and upgrades travel in such memory."""
    if not error:
        return ok("memfd", "configurations travel in sealed memory")
    return problem(
        "memfd",
        f"memfd_create is refused: {os.strerror(error)}",
        "sysctl -w vm.memfd_noexec=0, or allow memfd_create in the filter of system calls",
    )


def judge_group(group: ControlGroup) -> Finding:
    """Control groups limit tasks better than anything else, where we may make them."""
    if not group.is_there:
        return warning(
            "cgroup",
            "there are no control groups: limits of tasks are rlimits and samples",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    if not group.controllers:
        return warning(
            "cgroup",
            "no control group is delegated: limits of tasks are rlimits and samples",
            "systemctl edit engine: Delegate=yes; in a container: a writable cgroup namespace;"
            " or engine.cgroups=on",
        )
    missing = [name for name in CONTROLLERS if name not in group.controllers]
    by_version: dict[int, list[str]] = {}
    for name, version in sorted(group.controllers.items()):
        by_version.setdefault(version, []).append(name)
    shown = "; ".join(f"version {v}: {', '.join(names)}" for v, names in by_version.items())
    if missing:
        return warning(
            "cgroup",
            f"{shown}; not {', '.join(missing)}, whose limits are left to rlimits and samples",
            "systemctl edit engine: Delegate=yes; boot with systemd.unified_cgroup_hierarchy=1",
        )
    return ok("cgroup", shown)


def judge_files(subject: Subject, tasks: int) -> Finding:
    """A task needs eight descriptors of the supervisor."""
    needed = tasks * _FILES_PER_TASK + _FILES_BESIDE
    most = subject.most_files
    if most is not None and most < needed:
        room = max(0, (most - _FILES_BESIDE) // _FILES_PER_TASK)
        return warning(
            "open files",
            f"{subject.name} may open {most:,} files: enough for {room:,} tasks",
            "systemctl edit engine: LimitNOFILE=524288; in a shell: ulimit -Hn 524288",
        )
    return ok("open files", f"{'no bound' if most is None else f'{most:,}'}, {tasks:,} tasks"
              f" need {needed:,}")  # fmt: skip


def judge_processes(subject: Subject, tasks: int, pid_max: int, threads_max: int) -> Finding:
    """Threads count as processes do; the client library has some."""
    needed = tasks * _THREADS_PER_TASK
    bounds = {
        "its limit of processes (ulimit -u)": (subject.most_processes, "LimitNPROC=infinity"),
        "pids.max of its control group": (subject.group.most_processes, "TasksMax=infinity"),
        "kernel.pid_max": (pid_max, None),
        "kernel.threads-max": (threads_max, None),
    }
    for name, (most, unit_key) in bounds.items():
        if most is not None and most < needed:
            setting = (
                f"systemctl edit engine: {unit_key}"
                if unit_key
                else f"sysctl -w {name}={max(needed * 4, 4_194_304)}"
            )
            room = f"enough for {most // _THREADS_PER_TASK:,} tasks"
            return warning("processes", f"{name} is {most:,}: {room}", setting)
    return ok("processes", f"{tasks:,} tasks with their threads, {needed:,}, are within all bounds")


def judge_pipes(subject: Subject, tasks: int, pages: int | None) -> Finding:
    """Beyond the budget of its user every new pipe has two pages instead of sixteen."""
    if subject.is_exempt or not pages:
        return ok("pipes", "no bound" if not pages else f"the budget does not bind {subject.name}")
    room = pages // _PAGES_PER_PIPE - _PIPES_BESIDE
    if room < tasks:
        needed = (tasks + _PIPES_BESIDE) * _PAGES_PER_PIPE * 2
        return warning(
            "pipes",
            f"the pipes of {max(room, 0):,} tasks fill the budget of a user; those of further ones"
            " are small, so that a task that prints a lot waits more often",
            f"sysctl -w fs.pipe-user-pages-soft={needed}",
        )
    return ok("pipes", f"the budget of a user is enough for {room:,} tasks")


def judge_memory(available: int, tasks: int) -> Finding:
    """An idle task takes about five MiB, one under load more."""
    needed = tasks * _MEMORY_PER_TASK
    shown = f"{available / (1 << 30):.1f} GiB are free"
    if available < needed:
        return warning(
            "memory",
            f"{shown}: enough for about {available // _MEMORY_PER_TASK:,} tasks under light load",
            "see docs/capacity.md; systemctl edit engine: MemoryMax=, or more memory",
        )
    return ok("memory", shown)


def _available(group: ControlGroup) -> int:
    free: int = psutil.virtual_memory().available
    if group.most_memory is None or group.path is None:
        return free
    used = _number(str(group.path / "memory.current")) or 0
    return min(free, max(0, group.most_memory - used))


def clock() -> tuple[bool | None, int]:
    """Whether the kernel's clock is synchronized (None: nobody can tell), and the year it says."""
    from datetime import UTC, datetime  # noqa: PLC0415 (used here alone)

    buffer = ctypes.create_string_buffer(256)
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(buffer)
    status = struct.unpack_from("@i", buffer, _STATUS_AT)[0]
    is_synchronized = None if state < 0 else not status & _UNSYNCHRONIZED
    return is_synchronized, datetime.now(UTC).year


def judge_clock(is_synchronized: bool | None, year: int) -> Finding:  # noqa: FBT001 (a fact)
    """Delays and deadlines do not depend on it; timestamps and certificates do."""
    if year < _EARLIEST_YEAR:
        return problem(
            "clock",
            f"the clock says {year}: certificates are not valid yet",
            "timedatectl set-ntp true",
        )
    if is_synchronized is False:
        return warning(
            "clock",
            "the clock is not synchronized: timestamps of records and logs may be off",
            "timedatectl set-ntp true, or apt install chrony",
        )
    return ok(
        "clock", "synchronized" if is_synchronized else "nobody can tell whether synchronized"
    )


def _most_processes() -> tuple[int, int]:
    return (
        _number("/proc/sys/kernel/pid_max") or 32768,
        _number("/proc/sys/kernel/threads-max") or 1 << 22,
    )


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text("ascii"))
    except (OSError, ValueError):
        return None
