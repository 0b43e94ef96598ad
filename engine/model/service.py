"""A program that is not ours but runs beside the engine, as a value: how to start it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Service(msgspec.Struct, frozen=True):
    """Everything a parent needs to run a program as its child.

    Attributes:
        name: what people call it.
        argv: the command; its first word is an absolute path.
        env: the whole environment of the child, nothing is inherited.
        cwd: where it runs.
        ready_host: see ``ready_port``.
        ready_port: it is ready when it accepts connections here.
        log_name: under which name its output is kept.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready_host: str
    ready_port: int
    log_name: str
