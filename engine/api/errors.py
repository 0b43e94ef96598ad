"""What the engine and its plugins report on purpose, grouped by what the runtime does next.

::

    ConnectError                     reported on purpose
    ├─ ConfigError(problems)         every bad key at once          → 400, never retried
    ├─ DataError                     this record cannot be handled  → errors.tolerance
    │  └─ SchemaError
    ├─ RetriableError(retry_after)   the same call may work later   → back-off, same batch again
    ├─ NotFoundError                                                → 404
    ├─ AlreadyExistsError                                           → 409
    ├─ AuthenticationError           credentials were refused       → FAILED, never retried
    ├─ IllegalWorkerStateError       called at the wrong time       → a bug in the plugin
    └─ ToleranceExceededError(stage) errors.tolerance is used up    → FAILED, never retried

Any other exception that leaves a plugin is taken for a bug: the task dies with its trace and the
restart policy decides.
"""

from collections.abc import Mapping


class ConnectError(Exception):
    """Something the engine or a plugin reports on purpose (upstream: ``ConnectException``)."""


class ConfigError(ConnectError):
    """A configuration cannot work.

    Attributes:
        problems: key → what is wrong with it, in words that name the value and what was expected.
    """

    def __init__(self, problems: Mapping[str, str] | str) -> None:
        self.problems: dict[str, str] = (
            {"": problems} if isinstance(problems, str) else dict(problems)
        )
        super().__init__("\n".join(self.problems.values()))


class DataError(ConnectError):
    """This record cannot be handled; another one may (upstream: ``DataException``)."""


class SchemaError(DataError):
    """A schema is malformed or does not fit its value (``SchemaBuilderException``)."""


class RetriableError(ConnectError):
    """The same call may work later (upstream: ``RetriableException``).

    Attributes:
        retry_after: seconds to wait at least, or None to let the engine choose.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFoundError(ConnectError):
    """The thing asked for does not exist."""


class AlreadyExistsError(ConnectError):
    """The thing to be made exists already."""


class AuthenticationError(ConnectError):
    """Credentials were refused; trying again with the same ones is pointless."""


class IllegalWorkerStateError(ConnectError):
    """A call was made at a time when it makes no sense (``IllegalWorkerStateException``)."""


class ToleranceExceededError(ConnectError):
    """A record failed and ``errors.tolerance`` does not allow for it.

    Attributes:
        stage: where the record failed, in upstream's words (``VALUE_CONVERTER`` …).
    """

    def __init__(self, stage: str, message: str = "Tolerance exceeded in error handler") -> None:
        super().__init__(message)
        self.stage = stage
