"""The herder's process: ``python -P -m engine.cli.herder_process SOCKET_FD BOOT_FD``, or a fork.

Only here herder and REST API meet; the latter is imported when the tasks are on their way already.
``check DATA_DIR`` in place of the descriptors only says, by exit code and on standard error,
whether a herder could take over from an older one, and that one from it.
"""

import gc
import importlib
import select
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from setproctitle import setproctitle

from engine.herder.herder import Herder
from engine.herder.main import Close, run
from engine.supervisor.child import forget_environment
from engine.wire.herder_message import HerderBoot
from engine.wire.log_sequence import configure
from engine.wire.sealed import is_filled, unseal


async def serve_rest(herder: Herder, sock: socket.socket) -> Close:
    """Serve the REST API; the answer ends it."""
    from engine.rest.server import serve  # noqa: PLC0415 (takes 200 ms that no task waits for)

    return (await serve(herder, sock)).cleanup


def main(argv: Sequence[str]) -> int:
    """Be a herder; the process's exit code."""
    if argv[0] == "check":
        return _check(Path(argv[1]))
    setproctitle("engine: herder")  # which needs the environment where it was
    forget_environment()
    socket_fd, boot_fd = map(int, argv)
    sock = socket.socket(fileno=socket_fd)
    select.select((sock,), (), ())  # greeted, or left alone
    if not is_filled(boot_fd):
        return 0
    boot = unseal(boot_fd, HerderBoot)
    configure(boot.log_level)
    gc.freeze()
    gc.enable()
    return run(sock, boot, serve_rest)


def _check(data_dir: Path) -> int:
    from engine.storage.schemas import newer, without_way_back  # noqa: PLC0415 (used here alone)

    importlib.import_module("engine.rest.server")
    problems = newer(data_dir)
    problems += [
        f"{file} would be migrated, and the running version could not use it any more;"
        " restart the service instead"
        for file in without_way_back(data_dir)
    ]
    print("\n".join(problems), file=sys.stderr, end="")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
