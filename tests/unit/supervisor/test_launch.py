"""The first zygote and herder: both, or neither."""

import os

import pytest

from engine.supervisor import launch
from engine.supervisor.launch import BOOT, HeadStart, Launched
from engine.supervisor.strays import children
from engine.wire.blank_memory import blank

HERDER = ("-c", "import socket; socket.socket(fileno=3).recv(1)")


def descriptors() -> set[str]:
    """Ours, without the one that lists them."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def test_a_head_start_that_comes_to_nothing_leaves_nothing() -> None:
    before = descriptors()
    head_start = HeadStart(HERDER, blank(BOOT))
    born = {head_start.zygote.pid, head_start.herder.pid}
    assert born <= set(children())

    head_start.end()

    assert not born & set(children())
    assert descriptors() <= before


@pytest.mark.parametrize("failing", ["launch_zygote", "launch_herder"])
def test_whatever_cannot_be_made_takes_along_what_was(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The zygote is there already when the herder cannot be executed."""
    before = descriptors()
    born: list[int] = []
    real = launch._launch

    def launching(argv: list[str], *others: dict[int, int]) -> Launched:
        is_herder = "engine.task.zygote" not in argv
        if is_herder == (failing == "launch_herder"):
            argv = ["/nowhere/python", *argv[1:]]
        made: Launched = real(argv, *others)  # type: ignore[arg-type]
        born.append(made.pid)
        return made

    monkeypatch.setattr(launch, "_launch", launching)
    with pytest.raises(FileNotFoundError):
        HeadStart(HERDER, blank(BOOT))
    assert len(born) == (failing == "launch_herder")
    assert not set(born) & set(children())
    assert descriptors() <= before
