"""What a running task waits for or suffers from, from several mouths, as one text."""

from engine.task.runtime import TaskRuntime


class Conditions:
    """Joins what the task, its client and its offset store say. Told only when it changes."""

    def __init__(self, runtime: TaskRuntime) -> None:
        self._runtime = runtime
        self._texts: dict[str, str] = {}

    def say(self, who: str, text: str | None) -> None:
        """Take what somebody says; None when it is over."""
        if self._texts.get(who) == text:
            return
        if text is None:
            self._texts.pop(who)
        else:
            self._texts[who] = text
        self._runtime.condition("; ".join(self._texts.values()) or None)
