"""The seventy faults, and what is known of them before any is tried.

Tests are found by their names, ``test_f07_…``, and what is tried with rivals by its function's, so
nothing but the sentences is written down here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[2]
RIVALS: Final = ("supervisor", "circus")


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the seventy.

    Attributes:
        number: 7 of F07.
        phrase: what happens.
        simulated: what is not as it would be in a bad night, and why.
        untested: why there is no test.
        supervisor: why it does not apply to Supervisor, or NOT_TRIED.
        circus: the same of circus.
    """

    number: int
    phrase: str
    simulated: str = ""
    untested: str = ""
    supervisor: str = ""
    circus: str = ""

    @property
    def name(self) -> str:
        """``F07``."""
        return f"F{self.number:02d}"

    def reason(self, rival: str) -> str:
        """Why it is not tried with this one; empty when it is."""
        return self.supervisor if rival == "supervisor" else self.circus


def _none(number: int, phrase: str, why: str, simulated: str = "") -> Fault:
    """One that neither rival can be tried with."""
    return Fault(number, phrase, simulated, supervisor=why, circus=why)


NOT_TRIED: Final = "not tried"
"""Instead of a reason: it might be tried."""

_NO_READY: Final = "counts a process as running when it exists"
_NO_LIMITS: Final = "sets no such limit"
_NO_METRICS: Final = "has no metrics"
_NO_ZYGOTE: Final = "executes every process"
_NO_BACKOFF: Final = "has no delay that grows over starts that worked"

FAULTS: Final = (
    Fault(1, "kill -9 of a running task"),
    Fault(2, "a task exits with 0 though it was to go on"),
    Fault(3, "a task crashes in C code"),
    Fault(4, "an error that no restart mends"),
    Fault(5, "an exit code that forbids or forces a restart"),
    _none(6, "a task dies before it is ready", _NO_READY),
    _none(7, "a task never becomes ready", _NO_READY),
    Fault(8, "200 tasks die in the same moment"),
    Fault(9, "SIGCHLD is ignored by whoever starts the service"),
    Fault(10, "a stranger's orphan ends as our child"),
    Fault(11, "a task dies at once, again and again"),
    Fault(12, "a task dies a second after each start"),
    _none(13, "a crash after a long healthy time", _NO_BACKOFF),
    _none(14, "a crash a day for a month", _NO_BACKOFF, "the clock: nobody waits for a month"),
    _none(
        15, "all tasks of a connector die together", "bounds no restarts in common",
        "twelve tasks; five hundred of them with a simulated clock",
    ),
    Fault(16, "a flapping task reaches its limit"),
    _none(17, "restarts for memory between crashes", _NO_LIMITS),
    Fault(18, "the supervisor is restarted while a task waits", circus=_NO_BACKOFF),
    Fault(19, "the interpreter of a task is gone"),
    Fault(20, "stop while a task waits for its restart"),
    Fault(21, "stop while a task is being started"),
    Fault(22, "fifty restarts at once from ten clients"),
    Fault(23, "a task ends by itself while it is stopped"),
    Fault(24, "stop and start before the old process is dead"),
    Fault(25, "SIGHUP while the service stops"),
    Fault(26, "a second SIGTERM"),
    Fault(27, "SIGTERM at any moment of the start"),
    Fault(28, "configuration read again, one part of it wrong"),
    _none(29, "a paused task dies", "pauses nothing"),
    Fault(30, "a task ignores SIGTERM"),
    Fault(31, "stop of a task that was SIGSTOPped"),
    Fault(32, "a task is SIGSTOPped"),
    Fault(33, "a task hangs in C code with the interpreter's lock"),
    _none(34, "a task runs and gets nowhere", "knows of no progress"),
    Fault(35, "a task waits for a disk where no signal reaches it", "a frozen ext4 for a dead NFS"),
    Fault(36, "a task's daemonised grandchild at stop"),
    Fault(37, "a dead task's output is kept open by another"),
    _none(38, "a task needs longer to stop", "has one time for every stop"),
    Fault(39, "many tasks that do not want to stop", "40 tasks; 300 in scripts/bench supervision"),
    Fault(40, "kill -9 of the supervisor", "5 tasks; 200 in scripts/bench supervision"),
    _none(41, "the supervisor dies while a task is being made", "ends no child when it dies (F40)"),
    _none(42, "a task's parent thread ends", "ends no child when it dies (F40)"),
    Fault(43, "the supervisor and its tasks are paused for long",
          "SIGSTOP for seconds: the machine itself cannot be paused from within"),
    Fault(44, "the wall clock is set back an hour, and on a day",
          "by a library before the C library: the machine's clock is everybody's"),
    Fault(45, "every process seems to have started at another time",
          "/proc/stat of a mount namespace"),
    Fault(46, "a dead task's number names a stranger",
          "a namespace with 400 numbers of processes",
          supervisor=NOT_TRIED, circus=NOT_TRIED),
    Fault(47, "files that a power failure left behind"),
    Fault(48, "the control socket's file is removed",
          untested="control is a TCP port, of which there is no file"),
    _none(49, "a torn state file", "keeps no state"),
    Fault(50, "a second service on the same data"),
    _none(51, "a new version takes over", "is upgraded by ending all it runs"),
    _none(52, "a task needs more memory than it may", _NO_LIMITS,
          "control groups version 1 where no controller of version 2 is to be had"),
    _none(53, "a task grows slowly", _NO_LIMITS),
    _none(54, "a fork bomb", _NO_LIMITS),
    Fault(55, "no process can be made"),
    Fault(56, "no descriptors are left"),
    Fault(57, "many restarts leave something behind",
          "50 restarts; 1,000 of them marked slow, 10,000 in scripts/bench supervision"),
    Fault(58, "the disk of the logs is full"),
    Fault(59, "a task prints as fast as it can"),
    _none(60, "the reader of a log has no memory for a moment", "cannot be made to from outside",
          "in a process of the log pipe alone: nothing takes memory from a single read of it"),
    Fault(61, "last words right before SIGKILL"),
    Fault(62, "odd bytes, endless and torn lines in the log"),
    Fault(63, "logrotate moves the log", circus="never opens a log again"),
    _none(64, "scrapes while tasks come and go", _NO_METRICS),
    _none(65, "SIGKILL in the middle of counting", _NO_METRICS),
    _none(66, "reload under a service manager", "tells the service manager nothing of reloads"),
    _none(67, "the supervisor's loop stands still", "feeds no watchdog",
          "SIGSTOP and a socket of ours; under the real systemd in scripts/systemd"),
    _none(68, "the zygote dies, hangs or cannot preload", _NO_ZYGOTE),
    _none(69, "a preloaded module starts a thread", _NO_ZYGOTE),
    Fault(70, "clients that hang or send without end"),
)  # fmt: skip


def numbers_in(name: str) -> list[int]:
    """Faults that a test is named after: ``test_f07_…``."""
    found = re.match(r"test_((?:f\d\d_)+)", f"{name}_")
    return [int(each) for each in re.findall(r"f(\d\d)", found[1])] if found else []


def files_with_tests() -> dict[int, set[Path]]:
    """Files with tests by the number of the fault."""
    found: dict[int, set[Path]] = {}
    for path in TESTS.rglob("test_*.py"):
        for name in re.findall(r"^def (test_f\d\d_\w+)", path.read_text("utf-8"), re.MULTILINE):
            for number in numbers_in(name):
                found.setdefault(number, set()).add(path)
    return found
