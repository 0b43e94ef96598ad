"""What the supervisor must know before it starts anything."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

_DAY = 86400.0


class Retention(msgspec.Struct, frozen=True):
    """How much is kept of one log.

    Attributes:
        most_bytes: of all its files together.
        longest: seconds after which a line may go; None keeps it until room is needed.
    """

    most_bytes: int = 48 << 20
    longest: float | None = 7 * _DAY


class OutputLimits(msgspec.Struct, frozen=True):
    """What may become of what tasks and other processes print.

    Attributes:
        bytes_per_second: more than that of one process is too much; 0 for no limit.
        is_blocking: whoever prints too much waits; else what is too much is dropped, and counted.
    """

    bytes_per_second: int = 0
    is_blocking: bool = False
    retention: Retention = msgspec.field(default_factory=Retention)


class Settings(msgspec.Struct, frozen=True):
    """Everything comes from the worker's configuration; the supervisor reads no file of it.

    Attributes:
        data_dir: state, locks and logs.
        host: address that the REST API listens on.
        port: its port.
        boot_fd: sealed memory with the herder's boot message.
        herder_argv: arguments after the interpreter; the numbers of two descriptors follow them,
            socket and boot message, or ``check`` for a herder that only says whether it could work.
        preload: modules that the zygote imports besides its own.
        spares: processes kept ready for tasks that have to be restarted.
        output: limits of the logs.
        journal: how much is kept of the journal.
        cgroups: ``auto``, ``on`` or ``off``, see :class:`engine.supervisor.cgroups.Cgroups`.
        restart_rate: restarts a second after failures, of all tasks together; 0 for no bound.
        restart_burst: how many of them may come at once.
    """

    data_dir: Path
    host: str = ""
    port: int = 8083
    boot_fd: int = -1
    herder_argv: Sequence[str] = ()
    preload: tuple[str, ...] = ()
    cgroups: str = "auto"
    restart_rate: float = 50.0
    restart_burst: int = 100
    spares: int = 0
    log_format: str = "auto"
    log_level: str = "info"
    output: OutputLimits = msgspec.field(default_factory=OutputLimits)
    journal: Retention = msgspec.field(default_factory=lambda: Retention(64 << 20, 30 * _DAY))
