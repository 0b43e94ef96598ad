"""Anonymous memory behind a descriptor, empty; see :mod:`engine.wire.sealed` for what fills it."""

import os


def blank(name: str) -> int:
    """A descriptor of memory that can be written and sealed."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
