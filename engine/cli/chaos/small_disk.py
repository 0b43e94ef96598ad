"""A small disk that only this process and its children see, to be filled without hurting anybody.

It is a tmpfs in a mount namespace of our own; who is not root gets that by a user namespace of his
own first. Both end with the last process in them.
"""

import ctypes
import errno
import os
import shutil
from pathlib import Path
from typing import Final

_NEW_MOUNTS: Final = 0x0002_0000
_NEW_USER: Final = 0x1000_0000
_NO_SUID: Final = 2
_NO_DEVICES: Final = 4
_RECURSIVE: Final = 0x4000
_PRIVATE: Final = 1 << 18
_DETACH: Final = 2
_CHUNK: Final = 1 << 20


class NoDiskError(Exception):
    """This machine does not let us have one; the text says why."""


class SmallDisk:
    """Mounted by its constructor, which must be called before there is a second thread.

    Args:
        path: an empty directory.
        size: bytes.

    Raises:
        NoDiskError: it cannot be made.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._ballast = path / "ballast"
        _enter_namespace()
        _mount("none", "/", None, _RECURSIVE | _PRIVATE, None)
        _mount("tmpfs", str(path), "tmpfs", _NO_SUID | _NO_DEVICES, f"size={size},mode=700")

    def fill(self) -> None:
        """Leave no byte to anybody."""
        fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for size in (_CHUNK, 4096):
                _write_until_full(fd, bytes(size))
        finally:
            os.close(fd)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self, keep: Path | None) -> None:
        """Let go of it.

        Args:
            keep: where to copy what is on it; None for nowhere.
        """
        self.free()
        if keep is not None:
            shutil.copytree(self.path, keep, symlinks=True)
        ctypes.CDLL(None).umount2(os.fsencode(self.path), _DETACH)


def _write_until_full(fd: int, data: bytes) -> None:
    try:
        while os.write(fd, data):
            pass
    except OSError:
        return  # ENOSPC, which is what was wanted


def _enter_namespace() -> None:
    if ctypes.CDLL(None).unshare(_NEW_MOUNTS) == 0:
        return
    child = os.fork()  # a user namespace without a user is no place to go on from
    if child == 0:
        os._exit(_user_namespace())
    error = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or _user_namespace()
    if error:
        raise NoDiskError(f"no mount namespace of our own: {os.strerror(error)}; run it as root")


def _user_namespace() -> int:
    """Enter one, as the user that we are; 0, or why that did not succeed, by its number."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS | _NEW_USER) != 0:
        return ctypes.get_errno()
    try:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "ascii")
    except OSError as error:
        return error.errno or errno.EPERM
    return 0


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if libc.mount(*given[:3], ctypes.c_ulong(flags), given[3]) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise NoDiskError(f"{target} cannot be mounted: {reason}; run it as root")
