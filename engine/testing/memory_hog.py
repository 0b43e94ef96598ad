"""A transformation that uses memory when it is told to, so that a task really exceeds its limit."""

import os
import threading
from collections.abc import Mapping
from typing import Final

from engine.api.config import HIGH, ConfigKeys, config, key, keys_of, non_empty, parse
from engine.api.transformation import Record, Transformation

_CHUNK: Final = 4 << 20
_LONGEST: Final = 30.0
"""Seconds after which the memory is given back, should there be no limit after all."""


@config
class MemoryHogConfig:
    """What MemoryHog must be told."""

    cue: str = key(
        "cue", importance=HIGH, check=non_empty,
        doc="A file that tells by its being there that it is time; it is removed.",
    )  # fmt: skip
    size: int = key("bytes", importance=HIGH, doc="How much memory to use then.")


class MemoryHog(Transformation):
    """Lets every record pass; uses memory, once, when the cue is given."""

    def config(self) -> ConfigKeys:
        """``cue`` and ``bytes``."""
        return keys_of(MemoryHogConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        parsed = parse(MemoryHogConfig, config)
        self._cue, self._size = parsed.cue, parsed.size

    def apply(self, record: Record) -> Record | None:
        """The record as it is."""
        if self._takes_cue():
            self._use_memory()
        return record

    def _takes_cue(self) -> bool:
        try:
            os.unlink(self._cue)
        except OSError:
            return False
        return True

    def _use_memory(self) -> None:
        """Use it, every page of it, and wait for what follows."""
        held = [b"x" * _CHUNK for _ in range(-(-self._size // _CHUNK))]
        threading.Event().wait(_LONGEST)
        held.clear()
