"""``engine doctor --bundle FILE``: what a maintainer needs to understand a problem, no secrets.

Everything that goes in passes a :class:`~engine.cli.doctor.redaction.Redaction`. What cannot be had
is told in the bundle itself and keeps nothing else from it.
"""

import contextlib
import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import engine
from engine.api.errors import ConfigError
from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.doctor.finding import Finding, findings_json
from engine.cli.doctor.redaction import Redaction
from engine.cli.worker import Worker
from engine.plugins.config_transformer import ConfigTransformer
from engine.plugins.registry import Plugins

_TAIL: Final = 512 * 1024
_MOST_LOGS: Final = 60
_PATIENCE: Final = 10.0

_ABOUT: Final = """\
What `engine doctor --bundle` has packed: versions, findings, configurations, the answers of the
REST API, and the ends of logs. Values of configurations are [hidden] unless their keys are known to
hold no secret, and what is hidden there is hidden in all other files. What plugins write into logs
is theirs: look through logs/ before you pass this on.
"""


class Bundle:
    """A tar.gz that only its owner can read.

    Args:
        path: where it is made; nothing may be there.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, redaction: Redaction) -> None:
        self._redaction = redaction
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz")  # noqa: SIM115 (closed by us)
        self._problems: list[str] = []

    def add(self, name: str, make: Callable[[], object]) -> None:
        """A file with what the function gives: a text, or anything that JSON can hold."""
        try:
            made = make()
        except Exception as error:  # noqa: BLE001 (what can be had is packed, whatever fails)
            self._problems.append(f"{name}: {type(error).__name__}: {error}")
            return
        text = made if isinstance(made, str) else json.dumps(made, indent=2, default=str)
        self._write(name, self._redaction.text(text))

    def _write(self, name: str, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        info = tarfile.TarInfo(f"engine-bundle/{name}")
        info.size, info.mode, info.mtime = len(data), 0o600, int(_now())
        self._tar.addfile(info, io.BytesIO(data))

    def close(self) -> None:
        """Write what could not be had, and end the file."""
        if self._problems:
            self._write("missing.txt", self._redaction.text("\n".join(self._problems) + "\n"))
        self._tar.close()
        self._file.close()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME)


def pack(path: Path, worker: Worker | None, url: str, findings: list[Finding]) -> None:
    """Make the bundle.

    Raises:
        OSError: it cannot be written.
    """
    client = _client(url)
    connectors = _connectors(client)
    redaction = Redaction(_secrets(worker, connectors))
    shown = {name: redaction.config(config) for name, config in connectors.items()}
    own = redaction.config(worker.keys) if worker else {}
    bundle = Bundle(path, redaction)
    try:
        bundle.add("README.txt", lambda: _ABOUT)
        bundle.add("versions.json", versions)
        bundle.add("findings.json", lambda: findings_json(findings))
        bundle.add("worker.json", lambda: own)
        bundle.add("connectors.json", lambda: shown)
        for name, place in _ANSWERS.items():
            bundle.add(name, partial(_asked, client, place))
        for name, make in _process_files(client):
            bundle.add(name, make)
        for file in _logs(worker.data_dir if worker else None):
            bundle.add(f"logs/{file.parent.name}/{file.name}", partial(_tail, file))
    finally:
        bundle.close()


_ANSWERS: Final = {
    "rest/worker.json": "/engine/worker",
    "rest/tasks.json": "/engine/tasks",
    "rest/statuses.json": "/connectors?expand=status",
    "rest/plugins.json": "/connector-plugins?connectorsOnly=false",
    "rest/metrics.txt": "/metrics",
}


def versions() -> dict[str, Any]:
    """Of the engine, of Python, of the machine, and of everything that is installed."""
    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {
        "engine": engine.__version__,
        "python": sys.version,
        "executable": sys.executable,
        "machine": platform.uname()._asdict(),
        "distributions": dict(sorted(installed.items())),
    }


def _client(url: str) -> RestClient | None:
    try:
        return RestClient(url, _PATIENCE)
    except CtlError:
        return None


def _asked(client: RestClient | None, place: str) -> object:
    if client is None:
        raise LookupError("no URL")
    if place == "/metrics":
        return b"".join(client.lines(place)).decode("utf-8", "replace")
    return client.get(place)


def _connectors(client: RestClient | None) -> dict[str, dict[str, str]]:
    """Configurations by connector, placeholders unresolved; none when no engine answers."""
    try:
        expanded: Any = _asked(client, "/connectors?expand=info")
    except (CtlError, LookupError):
        return {}
    return {name: each["info"]["config"] for name, each in expanded.items()}


def _secrets(worker: Worker | None, connectors: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What placeholders stand for, as far as this user may know: to be taken out of logs."""
    if worker is None:
        return
    transformer = ConfigTransformer(Plugins(), worker.keys)
    for config in (worker.keys, *connectors.values()):
        for key, value in config.items():
            if "${" not in value:
                continue
            with contextlib.suppress(ConfigError, OSError):
                resolved = transformer.resolve({key: value})[key]
                if resolved != value:
                    yield resolved


def _process_files(client: RestClient | None) -> Iterator[tuple[str, Callable[[], object]]]:
    """What the kernel says of the supervisor."""
    try:
        worker: Any = _asked(client, "/engine/worker")
    except (CtlError, LookupError):
        return
    for name in ("limits", "status", "cgroup", "mountinfo"):
        path = Path("/proc") / str(worker["supervisor_pid"]) / name
        yield f"supervisor/{name}", partial(path.read_text, "utf-8", "replace")


def _logs(data_dir: Path | None) -> list[Path]:
    """The newest files of logs and of the journal."""
    if data_dir is None:
        return []
    found = [p for name in ("journal", "deaths", "logs") for p in (data_dir / name).glob("*")]
    files = [path for path in found if path.is_file()]
    return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)[:_MOST_LOGS]


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read().decode("utf-8", "replace")
