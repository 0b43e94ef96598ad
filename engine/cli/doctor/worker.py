"""Checks of a worker: its file, its broker, its plugins, and the engine that runs with it."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import engine
from engine.api.errors import ConfigError, ConnectError
from engine.cli.doctor.finding import Finding, ok, problem, warning
from engine.cli.worker import BadStartError, Worker, read_worker
from engine.model.worker_config import worker_warnings
from engine.plugins.built_in import SUFFIXES
from engine.plugins.config_transformer import ConfigTransformer
from engine.plugins.registry import Plugin, Plugins

_LONGEST_IMPORT: Final = 30.0
_LAGGING: Final = 0.5


def read(path: Path) -> tuple[Worker | None, list[Finding]]:
    """The worker that the file describes, if it does, and what is wrong with the file."""
    try:
        worker = read_worker(path)
    except ConfigError as error:
        texts = list(error.problems.values()) if error.problems else [str(error)]
        return None, [problem("worker file", text, f"edit {path}") for text in texts]
    except BadStartError as error:
        return None, [problem("worker file", str(error), f"edit {path}")]
    found = [warning("worker file", text, f"edit {path}") for text in worker_warnings(worker.keys)]
    return worker, found or [ok("worker file", f"{path} is understood")]


def broker(worker: Worker) -> Finding:
    """Whether the cluster answers, with the settings and the secrets that the worker has."""
    servers = ",".join(worker.config.bootstrap_servers)
    try:
        keys = ConfigTransformer(Plugins(), worker.keys).resolve(worker.keys)
    except ConfigError as error:
        return problem("broker", f"the worker's secrets: {error}", f"edit {worker.path}")
    from engine.kafka.cluster_admin import cluster_id  # noqa: PLC0415 (takes 50 ms)

    try:
        return ok("broker", f"cluster {cluster_id(keys)} answers at {servers}")
    except ConnectError as error:
        first = str(error).partition("\n")[0]
        return problem(
            "broker", f"{servers}: {first}",
            f"look whether it runs and can be reached: nc -vz {_first(servers)}; engine kafka start"
            " brings one along",
        )  # fmt: skip


def _first(servers: str) -> str:
    host, _, port = servers.split(",", maxsplit=1)[0].rpartition(":")
    return f"{host.strip('[]') or servers} {port}"


def port(worker: Worker, runs: bool) -> Finding:  # noqa: FBT001 (a fact)
    """Whether the REST API's address is free, or ours already."""
    if runs:
        return ok("port", f"{worker.listener} is the running engine's")
    family = socket.AF_INET6 if ":" in worker.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((worker.host, worker.port))
        except OSError as error:
            return problem(
                "port", f"{worker.listener}: {error.strerror}",
                f"ss -ltnp 'sport = :{worker.port}' shows whose it is; listeners= chooses another",
            )  # fmt: skip
    return ok("port", f"{worker.listener} is free")


def plugins() -> Iterator[Finding]:
    """Whether two distributions are in each other's way, and whether each plugin can be imported.

    Each is imported in a process of its own: it may end the process, or never return.
    """
    registry = Plugins()
    try:
        registry.check()
    except ConfigError as error:
        yield problem("plugins", str(error), "pip uninstall one of the two")
        return
    others = [
        p for kind in SUFFIXES for p in registry.installed(kind) if p.distribution != "engine"
    ]
    broken = [(plugin, why) for plugin in others if (why := _import_problem(plugin))]
    for plugin, why in broken:
        yield warning(
            "plugins", f"{plugin.name} of {plugin.distribution} {plugin.version}: {why}",
            f"pip install --force-reinstall {plugin.distribution}, or pip uninstall it",
        )  # fmt: skip
    if not broken:
        yield ok("plugins", f"{len(others)} of other distributions, all can be imported")


def _import_problem(plugin: Plugin) -> str | None:
    module, _, name = plugin.target.partition(":")
    code = f"import importlib; getattr(importlib.import_module({module!r}), {name!r})"
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_IMPORT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"its import does not end within {_LONGEST_IMPORT:g} s"
    if ended.returncode == 0:
        return None
    said = ended.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
    return said[-1] if said else f"its import ends with {ended.returncode}"


def zygote(preload: Sequence[str]) -> Finding:
    """Whether tasks can be forked from what is imported once: no module may start a thread."""
    from engine.supervisor.upgrade_check import zygote_problem  # noqa: PLC0415 (used here alone)

    why = zygote_problem(tuple(preload))
    if why is None:
        return ok("zygote", "gets ready")
    if preload and zygote_problem(()) is None:
        return warning(
            "zygote", f"{why}; it goes on without the preload", "change engine.zygote.preload"
        )
    return problem("zygote", why, f"{sys.executable} -P -m pip check")


def running(worker: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """What the engine that runs says of itself (``/engine/worker`` and ``/engine/tasks``)."""
    yield _version(worker)
    failed = sorted(_name(t) for t in tasks if t["condition"] in ("FAILED", "UNKILLABLE"))
    waiting = sorted(_name(t) for t in tasks if t["condition"] == "BACKOFF")
    for names, what in ((failed, "failed"), (waiting, "are to be restarted after a failure")):
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
            text = f"{len(names)} of {len(tasks)} tasks {what}: {shown}"
            yield warning("tasks", text, f"engine ctl explain {names[0]}")
    if not failed and not waiting:
        yield ok("tasks", f"{len(tasks)}, none failed")
    for text in worker.get("problems", ()):
        yield warning("engine", text, "journalctl -u engine, or the service's log")
    lag = worker.get("loop_lag_seconds") or 0.0
    if lag > _LAGGING:
        yield warning(
            "engine", f"the supervisor's loop is {lag:.1f} s late: the machine is overloaded",
            "see docs/capacity.md; top shows what takes the CPU",
        )  # fmt: skip


def _version(worker: Mapping[str, Any]) -> Finding:
    upgrade = worker.get("upgrade") or {}
    if upgrade.get("problem"):
        return warning(
            "engine", f"the last upgrade was given up: {upgrade['problem']}", "engine ctl upgrade"
        )
    if worker["version"] != engine.__version__:
        return warning(
            "engine", f"version {worker['version']} runs, {engine.__version__} is installed here",
            "engine ctl upgrade",
        )  # fmt: skip
    return ok("engine", f"version {worker['version']} runs, pid {worker['supervisor_pid']}")


def _name(task: Mapping[str, Any]) -> str:
    return f"{task['id']['connector']}-{task['id']['task']}"
