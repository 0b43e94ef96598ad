"""What a connector's tasks are supervised by."""

import msgspec

from engine.model.deadlines import Deadlines
from engine.model.limits import Limits
from engine.model.restart_policy import RestartPolicy


class Supervision(msgspec.Struct, frozen=True, array_like=True):
    """All that the supervisor is told about a task besides its assignment."""

    restart: RestartPolicy = RestartPolicy()
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()
