"""The herder's process: ``python -P -m engine.cli.herder_process --fd SOCKET --boot MEMORY``.

Only here herder and REST API meet; the latter is imported when the tasks are on their way already.
"""

import argparse
import socket
import sys
from collections.abc import Sequence

from engine.herder.herder import Herder
from engine.herder.main import Close, run
from engine.wire.log_sequence import configure
from engine.wire.message import HerderBoot
from engine.wire.sealed import unseal


async def serve_rest(herder: Herder, sock: socket.socket) -> Close:
    """Serve the REST API; the answer ends it."""
    from engine.rest.server import serve  # noqa: PLC0415 (takes 200 ms that no task waits for)

    return (await serve(herder, sock)).cleanup


def main(argv: Sequence[str]) -> int:
    """Be a herder; the process's exit code."""
    parser = argparse.ArgumentParser(prog="engine.cli.herder_process")
    parser.add_argument("--fd", type=int, required=True, help="socket to the supervisor")
    parser.add_argument("--boot", type=int, required=True, help="memory with the boot message")
    arguments = parser.parse_args(argv)
    boot = unseal(arguments.boot, HerderBoot)
    configure(boot.log_level)
    return run(socket.socket(fileno=arguments.fd), boot, serve_rest)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
