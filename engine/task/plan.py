"""What runs in a plan child: plugin code that a herder wants to know something of.

Started by the zygote, ended by its deadline if it hangs. Secrets are resolved here and are
placeholders again in everything that leaves.
"""

import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from engine.api.config import ConfigKey
from engine.api.connector import Connector, ConnectorContext, SourceConnector
from engine.api.errors import ConfigError, ConnectError, NotFoundError, RetriableError
from engine.kafka import cluster_admin
from engine.model.letters.request import LettersRequestError
from engine.model.secret import Secrets
from engine.model.topic_creation import topic_creation
from engine.plugins.config_transformer import ConfigTransformer, restore_placeholders
from engine.plugins.registry import Plugins
from engine.storage.offset_store import OffsetStore
from engine.task.connector_validation import ConnectorValidation, keys_of_plugin
from engine.task.offset_requests import BadOffsetsError, OffsetRequests, offset_requests
from engine.wire import log_sequence
from engine.wire.channel import Channel
from engine.wire.plan_message import (  # fmt: skip
    PlanAnswer,
    PlanDone,
    PlannedKey,
    PlannedPlugin,
    PlannedValue,
    PlanProblem,
    PlanRequest,
    PlanStage,
    PlanToHerder,
)
from engine.wire.sealed import seal, unseal

Stage = Callable[[str], None]

_LONGEST_SHARE: Final = 0.5
"""Seconds after which a child begins with no further connector."""


class _BadRequestError(ConnectError):
    """The request makes no sense → ``bad_request``."""


class TooManyTasksError(ConnectError):
    """A connector made more tasks than it may have."""


def main(sock_fd: int, request_fd: int) -> int:
    """Do what the request says and answer, for each connector; the process's exit code."""
    channel: Channel[PlanToHerder] = Channel(socket.socket(fileno=sock_fd), PlanToHerder)
    request = unseal(request_fd, PlanRequest)
    share_until = time.monotonic() + _LONGEST_SHARE
    secrets = Secrets()  # all that this process gets to know stays hidden until its end
    _do(channel, request, 0, secrets)
    for number, config in enumerate(request.more, 1):
        if time.monotonic() >= share_until:
            break  # who is slow must not keep the others waiting: they get children of their own
        _do(channel, replace(request, config=config), number, secrets)
    return 0


def _do(
    channel: "Channel[PlanToHerder]", request: PlanRequest, number: int, secrets: Secrets
) -> None:
    name = request.config.get("name")
    level = request.worker.get("engine.log.level", "info")
    log_sequence.configure(level, **({"connector": name} if name else {}))
    log_sequence.hide(secrets)
    answer = answer_to(request, lambda stage: channel.send(PlanStage(stage, number)), secrets)
    memory = seal(answer, "plan-answer")
    channel.send(PlanDone(number), [memory])
    os.close(memory)


def answer_to(
    request: PlanRequest, report: Stage = lambda _stage: None, secrets: Secrets | None = None
) -> PlanAnswer:
    """The answer to a request.

    Args:
        report: told what is about to be done.
        secrets: gets the values that may not leave this process.
    """
    work = _Work(request, report, Secrets() if secrets is None else secrets)
    actions: Mapping[str, Callable[[], PlanAnswer]] = {
        "validate": work.validate,
        "plan": work.plan,
        "plugins": work.list_plugins,
        "plugin_config": work.plugin_config,
        "offsets": work.offsets,
        "alter_offsets": work.alter_offsets,
        "cluster_id": work.cluster_id,
        "dead_letters": work.dead_letters,
    }
    try:
        return actions[request.action]()
    except Exception as error:  # noqa: BLE001 (the border to plugin code: everything is told)
        return work.failed(error)


class _Work:
    """One request."""

    def __init__(self, request: PlanRequest, report: Stage, secrets: Secrets) -> None:
        self._request = request
        self._report = report
        self._stage = ""
        self._plugins = Plugins()
        self._given = {k: v for k, v in request.config.items() if v is not None}
        self._worker: dict[str, str] = {}
        self._resolved: dict[str, str] = {}
        self._secrets = secrets
        self._known = PlanAnswer()

    # ---- actions ------------------------------------------------------------------------------

    def validate(self) -> PlanAnswer:
        """Check the configuration."""
        self._validated()
        return self._known

    def plan(self) -> PlanAnswer:
        """Check the configuration, and if it is good make the tasks' configurations."""
        validation = self._validated()
        if validation.has_errors:
            return self._known
        self._enter("start")
        if validation.kind == "source":
            topic_creation(self._resolved)
        connector = type(validation.connector)()
        connector.initialize(self._context(connector))
        connector.start(self._resolved)
        try:
            self._enter("task_configs")
            configs = self._task_configs(connector)
        finally:
            self._stop(connector)
        return replace(self._known, task_configs=tuple(configs))

    def list_plugins(self) -> PlanAnswer:
        """Everything installed, in upstream's order of kinds."""
        self._enter("plugins")
        found = [
            PlannedPlugin(p.class_name, p.kind, p.version)
            for kind in ("transformation", "predicate", "converter", "header_converter")
            for p in self._plugins.installed(kind)
        ]
        connectors: dict[str, list[PlannedPlugin]] = {"sink": [], "source": []}
        for p in self._plugins.installed("connector"):
            try:
                kind = "source" if issubclass(p.load(), SourceConnector) else "sink"
            except ConfigError as error:
                log_sequence.get_logger(__name__).warning("plugin unusable", problem=str(error))
                continue
            connectors[kind].append(PlannedPlugin(p.class_name, kind, p.version))
        return PlanAnswer(plugins=(*connectors["sink"], *connectors["source"], *found))

    def plugin_config(self) -> PlanAnswer:
        """The keys of one plugin."""
        self._enter("config")
        name = self._given["class"]
        keys = keys_of_plugin(self._plugins, name)
        if keys is None:
            raise NotFoundError(f"Unknown plugin {name}.")
        return PlanAnswer(class_name=name, keys=tuple(_planned(key) for key in keys))

    def offsets(self) -> PlanAnswer:
        """Committed offsets of the connector."""
        self._enter("offsets")
        self._resolve()
        return PlanAnswer(offsets=tuple(self._offset_requests().all()))

    def alter_offsets(self) -> PlanAnswer:
        """Set offsets of the connector, of which no task is left; or forget all of them."""
        self._enter("alter_offsets")
        self._resolve()
        requests, changes = self._offset_requests(), self._request.offsets
        is_told = requests.reset() if changes is None else requests.alter(changes)
        return PlanAnswer(is_told=is_told)

    def _offset_requests(self) -> OffsetRequests:
        return offset_requests(
            self._connector(), self._resolved, self._worker, self._request.data_dir
        )

    def dead_letters(self) -> PlanAnswer:
        """What the request says of the connector's dead letters."""
        from engine.task.letters.requests import LetterRequests  # noqa: PLC0415 (others need none)

        self._enter("dead letters")
        self._resolve()
        request = self._request.letters
        if request is None:
            raise _BadRequestError("what is to be done with the dead letters?")
        letters = LetterRequests(
            self._plugins, self._resolved, self._worker, Path(self._request.data_dir)
        )
        return PlanAnswer(letters=letters.answer(request))

    def cluster_id(self) -> PlanAnswer:
        """The id of the worker's cluster."""
        self._enter("cluster_id")
        self._resolve()
        return PlanAnswer(cluster_id=cluster_admin.cluster_id(self._worker))

    # ---- steps --------------------------------------------------------------------------------

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._report(stage)

    def _resolve(self) -> None:
        transformer = ConfigTransformer(self._plugins, self._request.worker, self._secrets)
        for config in (self._request.worker, self._given):
            self._secrets.add_config(config)
        self._worker = transformer.resolve(self._request.worker)
        self._resolved = transformer.resolve(self._given)

    def _connector(self) -> Connector:
        name = self._resolved.get("connector.class")
        if name is None:
            shown = ", ".join(f"{key}={value}" for key, value in self._given.items())
            raise _BadRequestError(f"Connector config {{{shown}}} contains no connector type")
        try:
            cls = self._plugins.find("connector", name)
        except ConfigError as error:
            raise _BadRequestError(str(error)) from error
        return cls()

    def _validated(self) -> ConnectorValidation:
        self._enter("validate")
        try:
            self._resolve()
        except ConfigError as error:
            raise _BadRequestError(str(error)) from error
        connector = self._connector()
        self._secrets.add_config(self._given, connector.config())
        validation = ConnectorValidation(
            self._plugins, self._worker, self._request.config, self._resolved, connector
        ).run()
        self._known = PlanAnswer(
            type=validation.kind,
            version=self._plugins.version(type(connector)),
            class_name=self._plugins.java_name(type(connector)),
            groups=tuple(validation.groups),
            values=tuple(
                PlannedValue(
                    _planned(each.key),
                    each.value,
                    tuple(self._secrets.hide(error) for error in each.errors),
                )
                for each in validation.checked.values()
            ),
            warnings=tuple(validation.warnings),
        )
        return validation

    def _context(self, connector: Connector) -> ConnectorContext:
        if not isinstance(connector, SourceConnector):
            return ConnectorContext()
        return ConnectorContext(OffsetStore(self._request.data_dir, self._given["name"]))

    def _task_configs(self, connector: Connector) -> list[dict[str, str]]:
        most = int(self._resolved.get("tasks.max", "1"))
        made = connector.task_configs(most)
        if len(made) > most and self._resolved.get("tasks.max.enforce", "true").lower() == "true":
            raise TooManyTasksError(
                f"The connector {self._given['name']} has generated {len(made)} tasks, which is"
                f" greater than {most}, the maximum number of tasks it is configured to create."
                " This behaviour should be considered a bug and is disallowed. If necessary, it can"
                " be permitted by reconfiguring the connector with 'tasks.max.enforce' set to"
                " false; however, this option will be removed in a future release of Kafka Connect."
            )
        cls = connector.task_class()
        task_class = f"{cls.__module__}.{cls.__qualname__}"
        added = {"task.class": task_class}
        if not isinstance(connector, SourceConnector):
            for key in ("topics", "topics.regex"):
                added |= {key: self._given[key]} if key in self._given else {}
        return [{**self._unresolved(config), **added} for config in made]

    def _unresolved(self, config: Mapping[str, str]) -> dict[str, str]:
        for key, value in config.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(
                    f"task_configs() gave {key!r}: {value!r}; keys and values are strings"
                )
        return restore_placeholders(config, self._given, self._resolved)

    def _stop(self, connector: Connector) -> None:
        try:
            connector.stop()
        except Exception:  # noqa: BLE001 (the plan is made; a failing stop() changes nothing)
            log_sequence.get_logger(__name__).exception("the connector's stop() failed")

    def failed(self, error: Exception) -> PlanAnswer:
        """The answer when something was raised, with what is known all the same."""
        summary = self._secrets.hide(str(error) or type(error).__name__)
        trace = "".join(traceback.format_exception(error))
        kind = "failed"
        if isinstance(error, (_BadRequestError, BadOffsetsError, LettersRequestError)):
            kind = "bad_request"
        elif isinstance(error, NotFoundError):
            kind = "not_found"
        problem = PlanProblem(
            kind=kind,
            stage=self._stage,
            summary=summary,
            trace=f"{type(error).__name__}: {summary}\n{self._secrets.hide(trace)}",
            is_permanent=isinstance(error, (ConfigError, TooManyTasksError, TypeError)),
            is_retriable=isinstance(error, RetriableError),
        )
        return replace(self._known, problem=problem)


def _planned(key: ConfigKey) -> PlannedKey:
    return PlannedKey(
        name=key.name,
        type=key.type,
        required=key.is_required,
        default=key.default_text(),
        doc=key.doc,
        importance=key.importance,
        group=key.group,
        order=key.order,
        width=key.width,
        display_name=key.display_name or key.name,
        recommended=tuple(key.recommended),
    )
