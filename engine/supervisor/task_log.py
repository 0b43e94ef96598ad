"""What the service's log says of a task's life."""

from engine.supervisor.log import Log
from engine.supervisor.supervised_task import SupervisedTask


def log_change(  # noqa: C901 (a table: one line an event)
    log: Log, task: SupervisedTask, event: str
) -> None:
    """Say what happened to a task; ``event`` is that of a TaskEvent."""
    state = task.state
    context = {"connector": task.id.connector, "task": task.id.task}
    match event:
        case "exited":
            log.info("task process ended", **context, reason=state.reason)
        case "backoff":
            delay = round(task.report().retry_in or 0, 3)
            log.warning("task will be restarted", **context, reason=state.reason, seconds=delay)
        case "failed" | "unresponsive" | "unkillable":
            log.error(f"task {event}", **context, reason=state.reason)
        case "degraded":
            log.warning("task degraded", **context, reason=state.stall)
        case "recovered":
            log.info("task recovered", **context)
        case "recycling":
            log.info("task will get a fresh process", **context, reason=state.recycling_words)
        case "running" | "paused":
            log.info(f"task {event}", **context, pid=task.pid)
        case "note" if state.note:
            log.warning("task condition", **context, condition=state.note)
        case "note":
            log.info("task condition is over", **context)
        case _:
            log.debug(f"task {event}", **context, generation=state.generation)
