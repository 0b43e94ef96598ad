"""A bare Debian 12 in a directory, booted with its real systemd in namespaces of its own.

Root only. The packages come from where this machine gets its own.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import psutil

T = TypeVar("T")

_PACKAGES: Final = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"

_CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"

_BOOT: Final = """
set -e
mount --bind "$1" "$1"
for each in proc sysfs:sys tmpfs:run tmpfs:tmp; do
  mount -t "${each%:*}" "${each%:*}" "$1/${each#*:}"
done
mount -t tmpfs tmpfs "$1/sys/fs/cgroup"
mkdir -p "$1/sys/fs/cgroup/systemd" "$1/sys/fs/cgroup/unified"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup/unified"
mount -t cgroup -o none,name=systemd cgroup "$1/sys/fs/cgroup/systemd" || true
mount --bind /dev "$1/dev"
mount --make-rshared "$1"  # which systemd leaves to whoever makes a container
exec chroot "$1" /usr/bin/env -i container=other TERM=linux PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --log-target=journal --unit=multi-user.target
"""


class BareMachineError(Exception):
    """It cannot be made or booted here; the text says why."""


class BareMachine:
    """One machine, which may be booted many times.

    Args:
        root: its files; made with debootstrap when they are not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._console: subprocess.Popen[bytes] | None = None
        self._init = 0

    def make(self) -> None:
        """Bring the files, which takes a minute and 350 MiB.

        Raises:
            BareMachineError: this machine cannot.
        """
        if os.geteuid() != 0:
            raise BareMachineError("only root can boot a machine in namespaces")
        if (self.root / "lib" / "systemd" / "systemd").exists():
            return
        if shutil.which("debootstrap") is None:
            _run(["apt-get", "install", "-y", "-q", "debootstrap"])
        _run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm",
             str(self.root)]
        )  # fmt: skip
        for path in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", _CERTIFICATES):
            if Path("/", path).exists():
                shutil.copy(Path("/", path), self.root / path)

    def boot(self) -> None:
        """Start its systemd and wait until it has come up.

        Raises:
            BareMachineError: it did not.
        """
        spaces = ["--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child"]
        log = self.root.with_suffix(".console")
        with log.open("ab") as console:
            self._console = subprocess.Popen(
                ["unshare", *spaces, "bash", "-c", _BOOT, "boot", str(self.root)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        try:
            self._init = wait_for(self._find_init)
            wait_for(lambda: self.ask("systemctl is-system-running") in ("running", "degraded"))
        except TimeoutError:
            tail = log.read_text("utf-8", "replace")[-2000:]
            self.power_off()
            raise BareMachineError(f"systemd did not come up:\n{tail}") from None

    def _find_init(self) -> int:
        assert self._console is not None
        if self._console.poll() is not None:
            raise TimeoutError
        for child in psutil.Process(self._console.pid).children():
            if child.name() == "systemd":
                return child.pid
        return 0

    def run(self, command: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A shell command in it, as root."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-C"]
        environment = [
            "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
            f"PIP_CERT=/{_CERTIFICATES}", "PIP_DISABLE_PIP_VERSION_CHECK=1",
        ]  # fmt: skip
        whole = [
            *inside,
            "chroot",
            str(self.root),
            "env",
            "-i",
            *environment,
            "bash",
            "-c",
            command,
        ]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=300)
        if check and done.returncode:
            raise BareMachineError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ask(self, command: str) -> str:
        """What such a command prints, whether it succeeds or not."""
        return self.run(command, check=False).stdout.strip()

    def power_off(self) -> None:
        """Let everything in it end."""
        if self._console is not None:
            if self._init:
                os.kill(self._init, signal.SIGKILL)
            self._console.kill()
            self._console.wait()
            self._console, self._init = None, 0


def wait_for(what: Callable[[], T], seconds: float = 60.0) -> T:
    """The first true answer.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s; the last answer was {found!r}")
        subprocess.run(["sleep", "0.1"], check=True)
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BareMachineError(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-500:]}")
