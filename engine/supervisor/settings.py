"""What the supervisor must know before it starts anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything comes from the worker's configuration; the supervisor reads no file of it.

    Attributes:
        data_dir: state, locks and logs.
        host: address that the REST API listens on.
        port: its port; None for a supervisor without a herder.
        boot_fd: sealed memory with the herder's boot message.
        herder_argv: arguments after the interpreter; ``{socket}`` and ``{boot}`` stand for
            descriptor numbers. Empty for a supervisor without a herder.
        preload: modules that the zygote imports besides its own.
    """

    data_dir: Path
    host: str = ""
    port: int | None = 8083
    boot_fd: int = -1
    herder_argv: Sequence[str] = ()
    preload: tuple[str, ...] = ()
    log_format: str = "auto"
    log_level: str = "info"
