"""Data of records as text, and the way to a part of it. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> str:
    """A text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def at_path(data: Any, path: Sequence[str]) -> Any:
    """What lies there, or None; a text that is JSON is looked into."""
    for step in path:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except ValueError:
                return None
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data
