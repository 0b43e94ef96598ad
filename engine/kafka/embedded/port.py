"""Ports on the loopback interface: choosing free ones, and saying who has the one that is not."""

import random
import socket
from pathlib import Path
from typing import Final

import psutil

HOST: Final = "127.0.0.1"
_LOWEST: Final = 20_000
_TRIES: Final = 200


def is_port_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port() -> int:
    """A free port below those that the kernel gives to clients.

    A client that keeps connecting to a port of the kernel's own range while nobody listens there
    ends up connected to itself, and then the server cannot come back.

    Raises:
        OSError: none was found.
    """
    chance = random.SystemRandom()
    for _ in range(_TRIES):
        port = chance.randrange(_LOWEST, _first_client_port())
        if is_port_free(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_first_client_port()}")


def _first_client_port() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii")
    except OSError:
        return 32_768
    first = int(text.split()[0])
    return first if first > _LOWEST + 1000 else 65_536


def holder_of(port: int) -> str:
    """``pid 42 (java)``, or the empty text when it is not for us to know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return ""
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr and connection.laddr.port == port and connection.pid:
            return _describe(connection.pid)
    return ""


def _describe(pid: int) -> str:
    try:
        return f"pid {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"pid {pid}"


def answers_kafka(host: str, port: int, timeout: float = 2.0) -> bool:
    """Whether something there speaks Kafka's protocol: it answers an ApiVersions request."""
    request = b"\0\0\0\x0a" + b"\0\x12" + b"\0\0" + b"\0\0\0\x01" + b"\xff\xff"
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:  # which reads on after a short answer
                answer = stream.read(8)
    except OSError:
        return False
    return answer[4:] == b"\0\0\0\x01"
