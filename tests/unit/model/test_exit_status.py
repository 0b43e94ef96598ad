"""What the end of a process means."""

import re
import signal

import pytest

from engine.model.exit_status import ExitClass, ExitStatus, exit_numbers


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExitStatus(code=0), ExitClass.CLEAN),
        (ExitStatus(code=65), ExitClass.BAD_RECORD),
        (ExitStatus(code=69), ExitClass.MISSING_PLUGIN),
        (ExitStatus(code=71), ExitClass.OUT_OF_MEMORY),
        (ExitStatus(code=143), ExitClass.KILLED),
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
        (ExitStatus(signal=signal.SIGKILL), "killed by SIGKILL"),
        (ExitStatus(signal=signal.SIGSEGV, core=True), "killed by SIGSEGV, core dumped"),
        (ExitStatus(signal=40), "killed by signal 40"),
    ],
)
def test_a_status_is_told_in_words(status: ExitStatus, expected: str) -> None:
    assert str(status) == expected


def test_only_what_would_happen_again_is_permanent() -> None:
    permanent = {each for each in ExitClass if each.is_permanent}

    assert permanent == {
        ExitClass.CONFIG,
        ExitClass.AUTHENTICATION,
        ExitClass.MISSING_PLUGIN,
        ExitClass.BAD_RECORD,
    }


def test_exits_are_named_by_code_range_and_signal() -> None:
    assert exit_numbers(("3", "64-66", "SIGSEGV", "term")) == (3, 64, 65, 66, -11, -15)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SIGSEV", "SIGSEV is neither an exit code (0 to 255), nor a range of them such as 64-78"),
        ("SIGSEV", "nor a signal; did you mean SIGSEGV?"),
        ("256", "256 is neither an exit code"),
        ("9-3", "9-3 is neither an exit code"),
        ("-4", "-4 is neither an exit code"),
        ("", "nor a signal such as SIGSEGV"),
    ],
)  # fmt: skip
def test_what_names_no_exit_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        exit_numbers((text,))
