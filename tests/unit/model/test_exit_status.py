"""What the end of a process means."""

import signal

import pytest

from engine.model.exit_status import ExitClass, ExitStatus


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExitStatus(code=0), ExitClass.CLEAN),
        (ExitStatus(code=65), ExitClass.BAD_RECORD),
        (ExitStatus(code=75), ExitClass.TRANSIENT),
        (ExitStatus(code=77), ExitClass.AUTHENTICATION),
        (ExitStatus(code=78), ExitClass.CONFIG),
        (ExitStatus(code=70), ExitClass.CRASH),
        (ExitStatus(code=1), ExitClass.CRASH),
        (ExitStatus(code=111), ExitClass.CRASH),
        (ExitStatus(signal=signal.SIGKILL), ExitClass.KILLED),
        (ExitStatus(signal=signal.SIGSEGV, core=True), ExitClass.CRASH),
        (ExitStatus(signal=signal.SIGABRT), ExitClass.CRASH),
    ],
)
def test_a_status_tells_what_kind_of_end_it_was(status: ExitStatus, expected: ExitClass) -> None:
    assert status.classify() is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExitStatus(code=3), "exit code 3"),
        (ExitStatus(signal=signal.SIGTERM), "killed by SIGTERM"),
        (ExitStatus(signal=signal.SIGKILL), "killed by SIGKILL (possibly out of memory)"),
        (ExitStatus(signal=signal.SIGSEGV, core=True), "killed by SIGSEGV, core dumped"),
        (ExitStatus(signal=40), "killed by signal 40"),
    ],
)
def test_a_status_is_told_in_words(status: ExitStatus, expected: str) -> None:
    assert str(status) == expected


def test_only_what_would_happen_again_is_permanent() -> None:
    permanent = {each for each in ExitClass if each.is_permanent}

    assert permanent == {ExitClass.CONFIG, ExitClass.AUTHENTICATION, ExitClass.BAD_RECORD}
