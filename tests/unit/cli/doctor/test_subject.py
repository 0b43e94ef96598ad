"""Whom the doctor looks at: also a process of another user."""

import os
import subprocess
import sys

import pytest

from engine.cli.doctor.subject import _limits

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
if not os.geteuid():
    os.setuid(65534)
print("ready", flush=True)
sys.stdin.read()
"""


def test_limits_of_another_users_process_are_told() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LIMITED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert _limits(process.pid, "Max open files") == (100, 200)
        process.communicate()


def test_a_limit_that_is_none_is_none() -> None:
    assert _limits(os.getpid(), "Max cpu time") == (None, None)
    with pytest.raises(OSError, match="does not tell"):
        _limits(os.getpid(), "Max luck")
