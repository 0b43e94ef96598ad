"""Who judges a task's bad records, and who hears of them."""

from collections.abc import Callable

from engine.task.log_reporter import LogReporter
from engine.task.task_life import TaskLife
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import ErrorReporter, RetryWithToleranceOperator


def make_operator(
    life: TaskLife, plugins: TaskPlugins, wait: Callable[[float], bool]
) -> RetryWithToleranceOperator:
    """The judge of a task's records, with everybody that the connector wants to hear of them.

    Args:
        life: of the task.
        plugins: the task's.
        wait: waits for another attempt; False when the task is to end.
    """
    policy, slot = plugins.errors, life.runtime.slot
    reporters: list[ErrorReporter] = list(plugins.reporters)
    if policy.log_enable:
        reporters.append(LogReporter(life.log, life.id, policy, slot))
    return RetryWithToleranceOperator(policy, slot, wait, reporters)
