"""Why a process ended, in words."""

import pytest

from engine.model.death import Death
from engine.model.exit_status import ExitClass
from engine.model.explanation import Facts, advice, explain, headline, sentence
from engine.model.task_id import TaskId

ORDERS = TaskId("orders", 0)
NOON_MS = 1_700_000_000_000


def death(exit_class: str = "crash", reason: str = "exit code 70", **known: object) -> Death:
    given: dict[str, object] = {"then": "BACKOFF", "ended_ms": NOON_MS, "lifetime": 12.34, **known}
    return Death(7, exit_class, reason, **given)  # type: ignore[arg-type]


def facts(died: Death, condition: str = "BACKOFF", retry_in: float | None = 0.8) -> Facts:
    return Facts(ORDERS, died, condition, retry_in)


def entry(text: str, label: str) -> str:
    """What stands behind a label."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{label}:")]
    return line.partition(":")[2].strip()


def test_an_exception_is_explained_from_its_first_line_to_its_traceback() -> None:
    died = death(
        exit_code=70, error="ValueError: no such column\nmore", traceback="Traceback\n  File",
        stage="poll", in_hand="lines 0 to 99", first_error="OSError: disk", first_error_ms=NOON_MS,
        logged=("2023-11-14T22:13:00Z cannot connect",), restarts_ms=(NOON_MS - 5000, NOON_MS),
        restarts=2, restarts_max=10, restarts_window=600.0, committed_before=[["t-0", 5]],
        committed_after=[[{"filename": "/x"}, {"position": 9}], 3],
    )  # fmt: skip
    text = explain(facts(died))
    lines = text.splitlines()

    assert lines[0] == headline(died) == "ValueError: no such column"
    assert lines[1] == (
        "orders-0 ended after 12.3 s because of an exception that nobody expected"
        " (class crash, exit code 70); it is started again in 0.8 s."
    )
    assert entry(text, "ended") == "2023-11-14T22:13:20.000Z, exit code 70"
    assert entry(text, "memory") == "not for want of memory"
    assert entry(text, "first error") == "2023-11-14T22:13:20.000Z OSError: disk"
    assert entry(text, "last error") == "ValueError: no such column"
    assert entry(text, "logged first") == "2023-11-14T22:13:00Z cannot connect"
    assert entry(text, "stage") == "poll, with lines 0 to 99"
    assert entry(text, "offsets before") == "t-0: 5"
    assert entry(text, "offsets after") == "filename=/x: position=9, and 3 more"
    assert entry(text, "restarts") == (
        "2 of at most 10 within 10 min: 2023-11-14T22:13:15.000Z, 2023-11-14T22:13:20.000Z"
    )
    assert entry(text, "next try") == "in 0.8 s"
    assert "engine ctl logs orders --task 0" in entry(text, "what to do")
    assert lines[-2:] == ["Traceback", "  File"]


def test_a_process_that_said_nothing_has_a_headline_all_the_same() -> None:
    died = death("killed", "killed by SIGKILL (possibly out of memory)", signal=9)
    text = explain(facts(died))

    assert text.startswith("TaskDied: killed by SIGKILL")
    assert "a signal from outside ended it (class killed, killed by SIGKILL)" in text
    assert entry(text, "memory").startswith("nobody can tell")


@pytest.mark.parametrize("out_of_memory", [True, False])
def test_whether_memory_was_the_cause_is_told_where_that_is_known(*, out_of_memory: bool) -> None:
    text = explain(facts(death("killed", "killed", signal=9, out_of_memory=out_of_memory)))

    assert ("it used more memory than it may, or than there is" in sentence(facts(death(
        "killed", "killed", signal=9, out_of_memory=out_of_memory)))) is out_of_memory  # fmt: skip
    assert entry(text, "memory").startswith("not") is not out_of_memory


def test_a_crash_in_native_code_is_no_exception() -> None:
    died = death(reason="killed by SIGSEGV, core dumped", signal=11, core=True)

    assert "native code crashed (class crash, killed by SIGSEGV, core dumped)" in sentence(
        facts(died)
    )
    assert "not written in Python" in advice(facts(died))


@pytest.mark.parametrize(
    ("then", "condition", "verdict", "words"),
    [
        ("FAILED", "FAILED", "not restarted: the cause is permanent", "; not restarted: the cause"),
        ("FAILED", "RUNNING", "not restarted: it is never", "is never; it is RUNNING now."),
        ("BACKOFF", "BACKOFF", None, "it is started again in 0.8 s."),
        ("BACKOFF", "RUNNING", None, "it was started again and is RUNNING now."),
        ("STARTING", "STARTING", None, "it was started again and is STARTING now."),
        ("STOPPED", "STOPPED", None, "it was not to be started again."),
    ],
)
def test_what_follows_is_told(then: str, condition: str, verdict: str | None, words: str) -> None:
    died = death(then=then, verdict=verdict, exit_code=70)

    assert words in sentence(facts(died, condition))


@pytest.mark.parametrize("exit_class", list(ExitClass))
def test_there_are_words_and_advice_for_every_class(exit_class: ExitClass) -> None:
    died = facts(death(exit_class, "reason", exit_code=1))

    assert f"(class {exit_class}, exit code 1)" in sentence(died)
    assert f"because {exit_class.replace('_', ' ')} (" not in sentence(died)
    assert not advice(died).startswith("Look at what it logged last")


def test_a_task_that_failed_is_restarted_by_hand_unless_a_configuration_mends_it() -> None:
    again = "engine ctl restart orders --task 0"
    assert again in advice(facts(death(then="FAILED", exit_code=70), "FAILED"))
    assert again not in advice(facts(death("config", then="FAILED", exit_code=78), "FAILED"))


def test_stacks_are_part_of_the_explanation() -> None:
    died = death(
        "unresponsive", "no heartbeat", signal=6, stacks="Thread 0x1\n  poll", silence=31.0
    )
    text = explain(facts(died))

    assert text.endswith("Stacks before the end:\nThread 0x1\n  poll")
    assert entry(text, "silent") == "for 31.0 s before its end"
