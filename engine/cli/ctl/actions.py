"""The actions of ``engine ctl``: each asks the REST API and prints what it heard."""

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.cli.ctl.client import CtlError, RestClient, fail, segment
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import terminal
from engine.cli.ctl.status import by_severity, describe_text, status_text
from engine.model.config_file import ConnectorConfigFile
from engine.model.log_line import readable
from engine.model.properties import ConfigFileError
from engine.model.state import INITIAL_STATES
from engine.storage.config_file import read_connector_file

_INITIAL_STATES: Final = {state: word for word, state in INITIAL_STATES.items()}


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


# ---- reading ---------------------------------------------------------------------------------


def status(arguments: argparse.Namespace, client: RestClient) -> int:
    """States of all connectors or of one, and their tasks."""
    if arguments.name is None:
        expanded = client.get("/connectors?expand=status")
        statuses = [each["status"] for each in expanded.values()]
    else:
        statuses = [client.get(f"/connectors/{segment(arguments.name)}/status")]
    tasks = _tasks(client, arguments.name)
    if arguments.json:
        _print_json({"connectors": by_severity(statuses), "tasks": tasks})
    else:
        problems = (client.find("/engine/worker") or {}).get("problems", ())
        print(status_text(statuses, tasks, terminal(), problems))
    return ExitCode.OK


def _tasks(client: RestClient, name: str | None) -> list[dict[str, Any]]:
    """Our own view of the tasks; Kafka Connect's workers have none."""
    tasks: list[dict[str, Any]] = client.find("/engine/tasks") or []
    return [task for task in tasks if name in (None, task["id"]["connector"])]


def list_names(arguments: argparse.Namespace, client: RestClient) -> int:
    """Names, one a line."""
    names = client.get("/connectors")
    if arguments.json:
        _print_json(names)
    else:
        print("".join(f"{name}\n" for name in names), end="")
    return ExitCode.OK


def describe(arguments: argparse.Namespace, client: RestClient) -> int:
    """Everything that is known of one connector."""
    path = f"/connectors/{segment(arguments.name)}"
    info = client.get(path)
    state = client.get(f"{path}/status")
    tasks = _tasks(client, arguments.name)
    offsets, code = _offsets(client, path)
    if arguments.json:
        _print_json({"info": info, "status": state, "tasks": tasks, "offsets": offsets})
    else:
        print(describe_text(info, state, tasks, offsets or (), terminal()))
    return code


def _offsets(client: RestClient, path: str) -> tuple[list[dict[str, Any]] | None, int]:
    """The offsets, if the connector's plugin or the broker can tell them."""
    try:
        return client.get(f"{path}/offsets")["offsets"], ExitCode.OK
    except CtlError as error:
        return None, fail(error)


def logs(arguments: argparse.Namespace, client: RestClient) -> int:
    """The end of the logs, and what is added to them."""
    path = f"/engine/connectors/{segment(arguments.name)}/logs?tail={arguments.tail}"
    if arguments.task is not None:
        path += f"&task={arguments.task}"
    if arguments.follow:
        path += "&follow=true"
    for line in client.lines(path):
        text = line.decode().rstrip("\n")
        print(text if arguments.json else readable(json.loads(text)), flush=arguments.follow)
    return ExitCode.OK


# ---- changing --------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of a file: ``created``, ``updated`` or ``unchanged``."""

    file: str
    name: str
    outcome: str
    warnings: Sequence[str] = ()


def apply(arguments: argparse.Namespace, client: RestClient) -> int:
    """Make the connectors what the files say; no file is applied unless all can be read."""
    files = [(path, _connector_file(path)) for path in arguments.files]
    outcomes = []
    code: int = ExitCode.OK
    for path, connector in files:
        try:
            outcomes.append(_applied(path, connector, client))
        except CtlError as error:
            if error.code is ExitCode.UNREACHABLE:
                raise
            failed = fail(CtlError(f"{path}: {error}", error.code))
            code = code or failed
            continue
        if not arguments.json:
            _print_outcome(outcomes[-1])
    if arguments.json:
        _print_json([each._asdict() for each in outcomes])
    return code


def _connector_file(path: str) -> ConnectorConfigFile:
    try:
        return read_connector_file(Path(path))
    except ConfigFileError as error:
        raise CtlError(str(error), ExitCode.USAGE) from None


def _applied(path: str, connector: ConnectorConfigFile, client: RestClient) -> Outcome:
    wanted = {**connector.config, "name": connector.name}
    place = f"/connectors/{segment(connector.name)}/config"
    present = client.find(place)
    if present == wanted:
        return Outcome(path, connector.name, "unchanged")
    if present is None and connector.initial_state is not None:
        state = _INITIAL_STATES[connector.initial_state]
        body = {"name": connector.name, "config": wanted, "initial_state": state}
        code, _ = client.ask("POST", "/connectors", body)
    else:
        code, _ = client.ask("PUT", place, wanted)
    outcome = "created" if code == 201 else "updated"
    return Outcome(path, connector.name, outcome, _warnings(wanted, client))


def _warnings(config: dict[str, str], client: RestClient) -> Sequence[str]:
    """Keys that nobody knows; what is applied already stays so if nobody can tell."""
    plugin = segment(config.get("connector.class", ""))
    try:
        _, found = client.ask("PUT", f"/engine/connector-plugins/{plugin}/config/validate", config)
    except CtlError:
        return ()
    warnings: Sequence[str] = found["warnings"]
    return warnings


def _print_outcome(outcome: Outcome) -> None:
    print(f"{outcome.outcome} {outcome.name}")
    for warning in outcome.warnings:
        print(f"engine ctl: {outcome.file}: {warning}", file=sys.stderr)


def reload(arguments: argparse.Namespace, client: RestClient) -> int:
    """Apply what has changed in the connector files that the engine was started with."""
    _, found = client.ask("POST", "/engine/reload")
    if arguments.json:
        _print_json(found)
    else:
        for name, outcome in found["changed"].items():
            print(f"{outcome} {name}")
        for text in (*found["problems"], *found["pending"]):
            print(f"engine ctl: {text}", file=sys.stderr)
        if not any(found.values()):
            print("nothing has changed")
    return ExitCode.REFUSED if found["problems"] else ExitCode.OK


def upgrade(arguments: argparse.Namespace, client: RestClient) -> int:
    """Have the installed version take over, and wait until it has come up or was given up."""
    before = client.get("/engine/worker")
    _, asked = client.ask("POST", "/engine/upgrade")
    worker = _wait_upgraded(client, asked["attempt"], arguments.wait)
    state = worker["upgrade"]
    if arguments.json:
        _print_json({"from": before["version"], "to": worker["version"], **state})
    elif state["problem"] is None:
        tasks = sum(worker["tasks"].values())
        versions = f"from {before['version']} to {worker['version']}"
        print(f"upgraded {versions}; {tasks} tasks went on undisturbed")
    if state["problem"] is not None:
        raise CtlError(f"Not upgraded: {state['problem']}", ExitCode.REFUSED)
    return ExitCode.OK


def _wait_upgraded(client: RestClient, attempt: int, seconds: float) -> dict[str, Any]:
    """The worker when the attempt is over; the REST API is away for a second meanwhile."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while True:
        try:
            worker: dict[str, Any] = client.get("/engine/worker")
        except CtlError as error:
            if error.code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                raise
        else:
            state = worker["upgrade"]
            if state["attempts"] >= attempt and not state["is_running"]:
                return worker
        if time.monotonic() > deadline:
            raise CtlError(
                f"The upgrade is not over after {seconds:g} s; the service's log tells more",
                ExitCode.UNREACHABLE,
            )
        pause.wait(0.1)


def delete(arguments: argparse.Namespace, client: RestClient) -> int:
    """Delete connectors."""
    return _for_each(arguments, client, "DELETE", "", "deleted")


def pause(arguments: argparse.Namespace, client: RestClient) -> int:
    """Pause connectors."""
    return _for_each(arguments, client, "PUT", "/pause", "paused")


def resume(arguments: argparse.Namespace, client: RestClient) -> int:
    """Resume connectors."""
    return _for_each(arguments, client, "PUT", "/resume", "resumed")


def stop(arguments: argparse.Namespace, client: RestClient) -> int:
    """Stop connectors."""
    return _for_each(arguments, client, "PUT", "/stop", "stopped")


def _for_each(
    arguments: argparse.Namespace, client: RestClient, method: str, action: str, done: str
) -> int:
    """The same request for all names; one that fails does not keep the others from theirs."""
    names = []
    code: int = ExitCode.OK
    for name in arguments.names:
        try:
            client.ask(method, f"/connectors/{segment(name)}{action}")
        except CtlError as error:
            if error.code is ExitCode.UNREACHABLE:
                raise
            failed = fail(error)
            code = code or failed
        else:
            names.append(name)
    _print_done(arguments, done, names)
    return code


def restart(arguments: argparse.Namespace, client: RestClient) -> int:
    """Restart a connector, some of its tasks, or one task."""
    path = f"/connectors/{segment(arguments.name)}"
    name = arguments.name
    if arguments.task is not None:
        if arguments.only_failed or arguments.include_tasks:
            message = "--task goes with neither --only-failed nor --include-tasks"
            raise CtlError(message, ExitCode.USAGE)
        client.ask("POST", f"{path}/tasks/{arguments.task}/restart")
        name = f"{arguments.name}-{arguments.task}"
        _print_done(arguments, "restarted", [name])
        return ExitCode.OK
    only_failed, include_tasks = (
        str(flag).lower() for flag in (arguments.only_failed, arguments.include_tasks)
    )
    query = f"onlyFailed={only_failed}&includeTasks={include_tasks}"
    _, state = client.ask("POST", f"{path}/restart?{query}")
    _print_done(arguments, "restarted", [name] if state is None else _restarted(state))
    return ExitCode.OK


def _restarted(state: dict[str, Any]) -> list[str]:
    """Everything that the answer shows as RESTARTING."""
    connector = [state["name"]] if state["connector"]["state"] == "RESTARTING" else []
    tasks = [each["id"] for each in state["tasks"] if each["state"] == "RESTARTING"]
    return connector + [f"{state['name']}-{number}" for number in tasks]


def _print_done(arguments: argparse.Namespace, done: str, names: Sequence[str]) -> None:
    if arguments.json:
        _print_json({done: list(names)})
        return
    for name in names:
        print(f"{done} {name}")
    if not names and done == "restarted":
        print("nothing to restart")
