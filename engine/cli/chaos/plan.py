"""What is to be done when: a schedule that a seed decides. Pure."""

import difflib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.cli.chaos.fault import DEFAULTS, KILLS, ONCE_NAMED, REFUSED_LIVE, Fault

_PER_MINUTE: Final = "/min"
_MOST: Final = 100_000
_EXPECTED: Final = "a number of times (3) or a rate (6/min)"


class PlanError(Exception):
    """The faults cannot be meant so; the text is one line."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How often: so many times in all, or so many times a minute."""

    value: float
    is_rate: bool

    def times(self, minutes: float) -> int:
        """How often in so many minutes; what is asked for at all happens once at least."""
        if not self.value:
            return 0
        return max(1, round(self.value * minutes)) if self.is_rate else round(self.value)

    def __str__(self) -> str:
        return f"{self.value:g}{_PER_MINUTE if self.is_rate else ''}"


Mix = Mapping[Fault, Amount]
"""How much of each fault."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault to come.

    Attributes:
        number: by time, from 1.
        at: seconds after the start.
        share: which of the tasks that may be taken then: 0.5 for the one in their middle.
    """

    number: int
    at: float
    fault: Fault
    share: float


def parse_amount(text: str, what: str) -> Amount:
    """An amount as somebody typed it.

    Args:
        what: the option, for the message.

    Raises:
        PlanError: it is none.
    """
    is_rate = text.endswith(_PER_MINUTE)
    digits = text.removesuffix(_PER_MINUTE)
    try:
        value = float(digits)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MOST or (not is_rate and value != int(value)):
        raise PlanError(f"{what}: {text!r} is not {_EXPECTED}")
    return Amount(value, is_rate)


def parse_kill(text: str) -> dict[Fault, Amount]:
    """What ``--kill`` names: ``6/min`` for tasks, or ``task=6/min,herder=2``.

    Raises:
        PlanError: it cannot be understood.
    """
    found: dict[Fault, Amount] = {}
    for part in text.split(","):
        target, equals, amount = part.strip().rpartition("=")
        name = target.strip() if equals else "task"
        if name not in KILLS:
            near = difflib.get_close_matches(name, KILLS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PlanError(f"--kill: {name!r} is none of {', '.join(KILLS)}{hint}")
        if KILLS[name] in found:
            raise PlanError(f"--kill: {name} is named twice")
        found[KILLS[name]] = parse_amount(amount.strip(), "--kill")
    return found


def default_mix(faults: Iterable[Fault], *, is_live: bool, is_named: bool = False) -> Mix:
    """What these faults amount to where nobody says how much.

    Args:
        is_named: somebody asked for them, so each happens.
    """
    mix = {}
    for fault in faults:
        rate = DEFAULTS[fault].live if is_live else DEFAULTS[fault].own
        if rate or is_named:
            mix[fault] = Amount(rate or ONCE_NAMED, is_rate=True)
    return mix


def refusals(mix: Mix) -> list[str]:
    """Why some of it is not done to an engine that runs already; a sentence each."""
    return [
        f"{fault} is not for a running engine: {REFUSED_LIVE[fault]}"
        for fault in mix
        if fault in REFUSED_LIVE and mix[fault].value
    ]


def schedule(mix: Mix, minutes: float, seed: int) -> list[Injection]:
    """All injections in their order.

    Each kind has random numbers of its own, so that adding one does not move the others.
    """
    found: list[tuple[float, Fault, float]] = []
    for fault, amount in mix.items():
        chance = random.Random(f"{seed}/{fault}")  # noqa: S311 (for chaos, not for secrets)
        found += [
            (chance.uniform(0, minutes * 60), fault, chance.random())
            for _ in range(amount.times(minutes))
        ]
    return [
        Injection(number, at, fault, share)
        for number, (at, fault, share) in enumerate(sorted(found), 1)
    ]
