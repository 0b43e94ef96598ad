"""What the exit codes of ``engine ctl`` mean; scripts may rely on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    CONFLICT = 5
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for the help text."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.REFUSED: "the engine says no, or failed",
    ExitCode.USAGE: "wrong arguments, or a file that cannot be read or understood",
    ExitCode.UNREACHABLE: "the engine cannot be reached, or does not answer in time",
    ExitCode.NOT_FOUND: "no such connector or task",
    ExitCode.CONFLICT: "a conflicting change is under way; try again",
    ExitCode.INTERRUPTED: "interrupted",
}


def help_text() -> str:
    """All of them, for the end of a help page."""
    return "exit codes:\n" + "\n".join(f"  {code.value:<4} {code.meaning}" for code in ExitCode)
