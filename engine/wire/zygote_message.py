"""What supervisor and zygote say to each other."""

import msgspec

from engine.wire.message import PROTOCOL_VERSION, Message


class ZygoteReady(Message, frozen=True, array_like=True):
    """zygote → supervisor: the preload is done, with one thread; send work."""

    pid: int
    protocol: int = PROTOCOL_VERSION


class ZygoteRefused(Message, frozen=True, array_like=True):
    """zygote → supervisor: it will not fork, ``reason`` says why (a thread, a broken module)."""

    reason: str


class Preload(Message, frozen=True, array_like=True):
    """supervisor → zygote, once: what to import besides its own modules before it is ready."""

    modules: tuple[str, ...]


class Confinement(msgspec.Struct, frozen=True, array_like=True):
    """The control groups that a process is to join, and what they enforce."""

    directories: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()


class Fork(Message, frozen=True, array_like=True):
    """supervisor → zygote: make a process.

    Descriptors: control socket, log pipe (write end), configuration memfd, and for a task its slot
    memfd. For a plan child the control socket leads to the herder.

    Attributes:
        token: names this request in the answer.
        kind: ``task``, ``plan``, or ``spare`` for a process that waits for one of the two; its
            control socket brings the request and its log is the zygote's.
        title: what the process is to call itself.
    """

    token: int
    kind: str
    title: str
    supervisor_pid: int
    generation: int = 0
    confinement: Confinement = Confinement()


class Forked(Message, frozen=True, array_like=True):
    """zygote's child → supervisor: the process exists; it is or soon will be your child."""

    token: int
    pid: int


class ForkFailed(Message, frozen=True, array_like=True):
    """zygote → supervisor: no process was made."""

    token: int
    reason: str


SupervisorToZygote = Preload | Fork
ZygoteToSupervisor = ZygoteReady | ZygoteRefused | Forked | ForkFailed
