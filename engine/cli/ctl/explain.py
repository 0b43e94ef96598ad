"""``engine ctl explain``: why a task's last process ended, and what to do about it."""

import argparse
import json
from collections.abc import Mapping
from typing import Any, Final

from engine.cli.ctl.client import CtlError, RestClient, segment
from engine.cli.ctl.exit_code import ExitCode
from engine.model.log_line import readable

_RECORD_SEPARATOR: Final = "\x1e"

Json = Mapping[str, Any]


def explain(arguments: argparse.Namespace, client: RestClient) -> int:
    """A task by its id, or all tasks of a connector, and why the connector itself failed."""
    found = _task(client, arguments.task)
    connector = None
    if found is None:
        connector = client.find(f"/connectors/{segment(arguments.task)}/status")
        if connector is None:
            message = f"Neither a task nor a connector is called {arguments.task}"
            raise CtlError(message, ExitCode.NOT_FOUND)
        numbers = [each["id"] for each in connector["tasks"]]
        tasks = [_explained(client, arguments.task, number) for number in numbers]
    else:
        tasks = [found]
    if arguments.json:
        told = {"connector": connector, "tasks": tasks} if connector else found
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return ExitCode.OK
    texts = [_connector_text(connector)] if connector else []
    print("\n\n".join([*texts, *(task_text(task, arguments.lines) for task in tasks)]))
    return ExitCode.OK


def _task(client: RestClient, text: str) -> Json | None:
    connector, _, number = text.rpartition("-")
    if not (connector and number.isascii() and number.isdigit()):
        return None
    found: Json | None = client.find(_path(connector, int(number)))
    return found


def _explained(client: RestClient, connector: str, number: int) -> Json:
    found: Json = client.get(_path(connector, number))
    return found


def _path(connector: str, number: int) -> str:
    return f"/engine/tasks/{segment(connector)}/{number}/explain"


def _connector_text(status: Json) -> str:
    state = status["connector"]
    text = f"Connector {status['name']} is {state['state']}"
    return f"{text}:\n{state['trace']}" if state.get("trace") else f"{text}."


def task_text(told: Json, lines: int) -> str:
    """The explanation, and behind it the last output: so many lines of it, 0 for none."""
    text = str(told["text"])
    if told["death"] is None or not lines:
        return shown(text)
    output = (told["output"] or "").rstrip("\n").split("\n")
    if told["output"] is None:
        return shown(f"{text}\n\nOutput: {told['output_note']}")
    if not told["output"]:
        return shown(f"{text}\n\nIt wrote nothing.")
    kept = [_output_line(line) for line in output[-lines:]]
    left = f", the last {len(kept)} lines of {len(output)}" if len(kept) < len(output) else ""
    return shown("\n".join([f"{text}\n\nOutput{left}:", *kept]))


def _output_line(line: str) -> str:
    """A line as it was printed; an event in the words of the log."""
    printed, *events = line.split(_RECORD_SEPARATOR)
    return "\n".join([*([printed] if printed else []), *map(_event_text, events)])


def _event_text(text: str) -> str:
    try:
        event = json.loads(text)
    except ValueError:
        return text
    return readable(event) if isinstance(event, dict) else text


def shown(text: str) -> str:
    """The text without characters that would steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
