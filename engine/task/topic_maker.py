"""Makes topics before the first record is sent to them, for as long as that takes."""

from collections.abc import Callable
from typing import Final

from engine.api.errors import RetriableError
from engine.kafka.topic_admin import TooFewBrokersError, TopicAdmin
from engine.model.topic_creation import TopicSettings
from engine.task.task_life import TaskLife

_RETRY: Final = 1.0


class TopicMaker:
    """Asks the cluster for a topic until it is there, and says so meanwhile.

    Args:
        life: of the task that waits.
        admin: makes a client for one request.
    """

    def __init__(self, life: TaskLife, admin: Callable[[], TopicAdmin]) -> None:
        self._life = life
        self._admin = admin

    def make(self, settings: TopicSettings, *, waits_for_brokers: bool = True) -> bool:
        """Make it unless it is there; False when the task is to end meanwhile.

        Raises:
            TooFewBrokersError: unless more are waited for.
            ConnectError: the cluster refuses these settings.
        """
        while True:
            try:
                is_new = self._admin().create(settings)
            except RetriableError as error:
                if isinstance(error, TooFewBrokersError) and not waits_for_brokers:
                    raise
                self._life.conditions.say("topic", str(error))
                if not self._life.wait(_RETRY):
                    return False
                continue
            self._life.conditions.say("topic", None)
            if is_new:
                self._life.log.info("topic created", topic=settings.name)
            return True
