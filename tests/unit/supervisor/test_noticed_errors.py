"""The first and the last error of a process."""

import json
import subprocess
import sys

from engine.supervisor.noticed_errors import NoticedErrors


def event(level: str, text: str, **fields: str) -> dict[str, str]:
    return {"timestamp": "T", "level": level, "event": text, **fields}


def test_the_first_and_the_last_error_are_kept() -> None:
    errors = NoticedErrors()
    for level, text in (("info", "a"), ("error", "b"), ("warning", "c"), ("critical", "d"),
                        ("error", "e"), ("info", "f")):  # fmt: skip
        errors.event(event(level, text))

    assert errors.texts() == ("T b", "T e")
    assert errors.count == 3


def test_one_error_is_told_once_and_none_not_at_all() -> None:
    errors = NoticedErrors()
    assert errors.texts() == ()
    errors.event(event("error", "cannot store", error="disk full", exception="Traceback …"))
    assert errors.texts() == ("T cannot store: disk full",)
    assert errors.first is not None
    assert errors.first["trace"] == "Traceback …"


def test_a_traceback_that_python_prints_is_an_error() -> None:
    """A thread that fails ends nobody, but is often why something else does."""
    program = "import threading\nt = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    errors = NoticedErrors()
    for line in ("before", *ended.stderr.splitlines(), "after"):
        errors.printed(line, "T")

    assert errors.texts() == ("T ZeroDivisionError: division by zero",)
    assert errors.first is not None
    assert errors.first["trace"].startswith("Traceback (most recent call last)")


def test_what_faulthandler_prints_is_an_error() -> None:
    program = "import faulthandler; faulthandler.enable(); faulthandler._sigsegv()"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    errors = NoticedErrors()
    for line in ended.stderr.splitlines():
        errors.printed(line, "T")

    assert errors.texts() == ("T Fatal Python error: Segmentation fault",)


def test_a_flood_of_long_errors_takes_little_memory() -> None:
    errors = NoticedErrors()
    errors.printed("Traceback (most recent call last):", "T")
    for _ in range(10_000):
        errors.printed("  " + "x" * 1000, "T")
    for _ in range(1000):
        errors.event(event("error", "y" * 100_000))

    assert len(json.dumps([errors.first, errors.last, errors.traceback])) < 50_000
    assert all(len(text) <= 1000 for text in errors.texts())
