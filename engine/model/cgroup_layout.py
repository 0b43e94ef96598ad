"""Where this process may make control groups: what the kernel's tables say. Pure."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

CONTROLLERS: Final = ("memory", "cpu", "io", "pids")
"""Those that limit tasks, by their names in version 2."""

_V1_NAMES: Final = {"memory": "memory", "cpu": "cpu", "blkio": "io", "pids": "pids"}
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Hierarchy(msgspec.Struct, frozen=True):
    """A tree of control groups and our place in it.

    Attributes:
        version: 1 or 2.
        path: directory of the group that this process is in.
        controllers: those that it has, by their names in version 2; of version 2 it is not known
            from the tables which they are.
    """

    version: int
    path: str
    controllers: frozenset[str] = frozenset()


def hierarchies(mountinfo: str, own: str) -> tuple[Hierarchy, ...]:
    """The trees that we are in and that are mounted.

    Args:
        mountinfo: ``/proc/self/mountinfo``.
        own: ``/proc/self/cgroup``.
    """
    places = dict(_places(own))
    found = []
    for mount in mountinfo.splitlines():
        left, _, right = mount.partition(" - ")
        fields, (kind, _source, options) = left.split(), right.split()[:3] or ("", "", "")
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = _unescaped(fields[3]), _unescaped(fields[4])
        names = frozenset() if kind == "cgroup2" else frozenset(options.split(",")) & places.keys()
        place = places.get("" if kind == "cgroup2" else next(iter(sorted(names)), "?"))
        if place is None or not _is_below(place, root):
            continue
        path = f"{point.rstrip('/')}/{_relative(place, root)}".rstrip("/")
        controllers = frozenset(_V1_NAMES[n] for n in names if n in _V1_NAMES)
        if kind == "cgroup2" or controllers:
            found.append(Hierarchy(2 if kind == "cgroup2" else 1, path, controllers))
    return tuple(found)


def _places(own: str) -> Iterator[tuple[str, str]]:
    """Controller → our group; the empty controller is version 2."""
    for line in own.splitlines():
        _number, names, place = line.split(":", 2)
        for name in names.split(","):
            yield name, place


def _is_below(place: str, root: str) -> bool:
    return root in ("/", place) or place.startswith(f"{root}/")


def _relative(place: str, root: str) -> str:
    return place.removeprefix(root if root != "/" else "").lstrip("/")


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
