"""What a restart request restarts (KIP-745): a pure function of the request and the states."""

from collections.abc import Container

import msgspec
from msgspec.structs import replace

from engine.herder.herder import ConnectorStateInfo, InstanceState
from engine.model.state import State


class RestartRequest(msgspec.Struct, frozen=True):
    """What somebody asked for (upstream: ``RestartRequest``).

    Attributes:
        only_failed: leave alone what has not failed.
        include_tasks: tasks as well as the connector.
    """

    connector: str
    only_failed: bool = False
    include_tasks: bool = False


class RestartPlan(msgspec.Struct, frozen=True):
    """What is to be restarted (upstream: ``RestartPlan``).

    Attributes:
        status: the states as they read once the plan is under way.
    """

    restarts_connector: bool
    tasks: tuple[int, ...]
    status: ConnectorStateInfo


def plan_restart(
    request: RestartRequest, status: ConnectorStateInfo, backing_off: Container[int] = ()
) -> RestartPlan:
    """Decide; ``backing_off`` are tasks that failed and wait for their next start: FAILED, too."""
    restarts_connector = not request.only_failed or status.connector.state is State.FAILED
    tasks = tuple(
        number
        for number, task in sorted(status.tasks.items())
        if request.include_tasks
        and (not request.only_failed or task.state is State.FAILED or number in backing_off)
    )
    return RestartPlan(
        restarts_connector,
        tasks,
        replace(
            status,
            connector=_restarting(status.connector) if restarts_connector else status.connector,
            tasks={
                number: _restarting(task) if number in tasks else task
                for number, task in status.tasks.items()
            },
        ),
    )


def _restarting(instance: InstanceState) -> InstanceState:
    return replace(instance, state=State.RESTARTING, trace=None)
