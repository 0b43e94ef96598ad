"""Single message transforms in the order in which a connector names them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from engine.api.errors import ConfigError
from engine.api.transformation import Predicate, Record, Transformation
from engine.model.error_policy import Stage
from engine.plugins.configured import make_predicate, make_transformation
from engine.plugins.registry import Plugins
from engine.task.tolerance import Failed, Judge

BEAT_EVERY: Final = 64
"""Records between two beats of the loop: one that takes too long is stuck, many are work."""


class TransformationStep(msgspec.Struct, frozen=True):
    """A transformation and which records it sees: those that match, or those that do not."""

    transformation: Transformation
    predicate: Predicate | None = None
    negate: bool = False

    def apply(self, record: Record) -> Record | None:
        """The record after this step; None when it is dropped."""
        if self.predicate is not None and self.predicate.test(record) == self.negate:
            return record
        return self.transformation.apply(record)


class TransformationChain:
    """Steps that a record goes through; an empty chain is false and costs nothing."""

    def __init__(self, steps: Sequence[TransformationStep] = ()) -> None:
        self._steps = steps

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, record: Record, operator: Judge) -> Record | Failed | None:
        """The record after all steps, None when one dropped it, FAILED when it is given up.

        Raises:
            ToleranceExceededError: the record is bad and that is not allowed for.
        """
        current: Record | Failed | None = record
        for step in self._steps:
            if current is None or isinstance(current, Failed):
                break
            current = self._step(step, current, operator, record)
        return current

    def close(self) -> None:
        """Close every transformation and predicate, also when one cannot be closed."""
        with ExitStack() as stack:
            for step in self._steps:
                stack.callback(step.transformation.close)
                if step.predicate is not None:
                    stack.callback(step.predicate.close)

    @staticmethod
    def _step(
        step: TransformationStep,
        record: Record,
        operator: Judge,
        original: Record,
    ) -> Record | Failed | None:
        """One step; whoever hears of a failure hears of the record as it was before the first."""
        return operator.execute(
            Stage.TRANSFORMATION, type(step.transformation), lambda: step.apply(record), original
        )


def transformation_chain(plugins: Plugins, config: Mapping[str, str]) -> TransformationChain:
    """The chain that a connector's configuration describes.

    Raises:
        ConfigError: a transformation or predicate is unknown or badly configured.
    """
    return TransformationChain([_step(plugins, config, name) for name in _names(config)])


def _names(config: Mapping[str, str]) -> list[str]:
    named = (each.strip() for each in config.get("transforms", "").split(","))
    return [name for name in named if name]


def _step(plugins: Plugins, config: Mapping[str, str], name: str) -> TransformationStep:
    transformation = make_transformation(plugins, config, name)
    prefix = f"transforms.{name}."
    alias = config.get(f"{prefix}predicate")
    if not alias:
        return TransformationStep(transformation)
    known = [each.strip() for each in config.get("predicates", "").split(",")]
    if alias not in known:
        raise ConfigError({f"{prefix}predicate": f"Predicate {alias} is not configured"})
    negate = config.get(f"{prefix}negate", "false").strip().lower() == "true"
    return TransformationStep(transformation, make_predicate(plugins, config, alias), negate)
