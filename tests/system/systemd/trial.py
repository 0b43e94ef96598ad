"""The service under a real systemd, from its installation to its end, told step by step.

Run by ``scripts/systemd [DIRECTORY]``, which keeps the machine in the directory for the next time.
Each step does something to the service and says what was seen; one that sees something else than it
should ends the trial with an exit code of 1.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.kafka.embedded.port import choose_port
from tests.system.systemd.bare_machine import BareMachine, BareMachineError, wait_for

ROOT: Final = Path(__file__).parents[3]

_SETUP: Final = """
set -e
samples=$(echo /opt/engine/current/lib/python3*/site-packages/engine/samples)
install -D -m 644 $samples/systemd/engine.sysusers /etc/sysusers.d/engine.conf
systemd-sysusers
install -m 644 $samples/systemd/engine.service /etc/systemd/system/engine.service
mkdir -p /etc/engine/connectors /etc/engine/credentials /etc/systemd/system/engine.service.d
chmod 700 /etc/engine/credentials
echo lines-of-dpkg > /etc/engine/credentials/topic
cat > /etc/systemd/system/engine.service.d/trial.conf <<END
[Service]
LoadCredential=topic:/etc/engine/credentials/topic
WatchdogSec=6
TimeoutAbortSec=2
ReadWritePaths=/var/lib/orders
END
cat > /etc/engine/worker.properties <<END
bootstrap.servers=127.0.0.1:9
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
listeners=$ENGINE_URL
config.providers=credentials
config.providers.credentials.class=CredentialsConfigProvider
task.shutdown.graceful.timeout.ms=4000
END
cat > /etc/engine/connectors/log.properties <<END
name=log
connector.class=FileStreamSource
tasks.max=1
file=/var/log/dpkg.log
topic=\\${credentials:topic}
END
mkdir -p /var/lib/orders; chmod 777 /var/lib/orders
cat > /etc/engine/connectors/stuck.properties <<END
name=stuck
connector.class=misbehaving.MisbehavingConnector
tasks.max=2
orders.dir=/var/lib/orders
END
systemctl daemon-reload
"""


class UnexpectedError(Exception):
    """The service did something else than it should."""


class Trial:
    """The steps; each may rely on those before it."""

    def __init__(self, machine: BareMachine, say: Callable[[str], None]) -> None:
        self._machine = machine
        self._say = say
        self._url = f"http://127.0.0.1:{choose_port()}"  # the host's network is the machine's

    def run(self) -> None:
        """All of them.

        Raises:
            UnexpectedError: one saw something else than it should.
        """
        for step in (
            self.installed, self.hardened, self.started, self.credentials, self.reloaded,
            self.upgraded, self.not_upgraded, self.killed, self.watched, self.stuck, self.booted,
        ):  # fmt: skip
            self._say(f"\n{step.__doc__}")
            step()

    # ---- steps ----------------------------------------------------------------------------------

    def installed(self) -> None:
        """Install the wheel, the user and the unit, as docs/service.md says."""
        wheels = self._machine.root / "root" / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "-q",
            "wheel",
            "--no-deps",
            "-w",
            str(wheels),
            str(ROOT),
        ]
        subprocess.run(pip, check=True)
        self._machine.run("systemctl disable -q --now engine", check=False)
        self._machine.run("rm -rf /opt/engine /var/lib/engine /etc/engine")
        self._machine.run("python3 -m venv /opt/engine/first")
        self._machine.run("/opt/engine/first/bin/pip install -q /root/wheels/*.whl")
        self._machine.run("ln -sfn first /opt/engine/current")
        site = next((self._machine.root / "opt/engine/first/lib").iterdir()) / "site-packages"
        shutil.copy(ROOT / "tests/system/plugins/misbehaving.py", site)
        self._machine.run(f"ENGINE_URL={self._url}\n{_SETUP}")
        version = self._machine.ask("/opt/engine/current/bin/engine --version")
        systemd = self._machine.ask("systemctl --version | head -1")
        self._saw(f"{version}, {systemd}")
        said = self._machine.run("systemd-analyze verify engine.service", check=False)
        self._expect(not (said.stdout + said.stderr), "systemd-analyze verify says nothing", said)

    def hardened(self) -> None:
        """Have systemd judge what the service may do."""
        judged = self._machine.run(
            "systemd-analyze security --no-pager --threshold=30 engine.service", check=False
        )
        self._expect(judged.returncode == 0, judged.stdout.strip().splitlines()[-1], judged)

    def started(self) -> None:
        """Enable and start it."""
        self._machine.run("systemctl enable -q engine && systemctl start engine")
        self._wait_running()
        wait_for(lambda: self._status().startswith("3 running"))
        self._expect(self._show("ActiveState") == "active", f"active: {self._status()}", "")
        pids = " ".join((self._show("MainPID"), *self._tasks().values()))
        users = self._machine.ask(f"for p in {pids}; do stat -c %U /proc/$p; done | sort | uniq -c")
        self._expect(users.split() == ["4", "engine"], "all of it runs as engine", users)

    def credentials(self) -> None:
        """A credential reaches its task, and the manager's variables reach nobody below."""
        topic = self._machine.ask("cat /etc/engine/credentials/topic")
        tasks = self._tasks()
        environment = self._machine.ask(f"tr '\\0' '\\n' < /proc/{tasks['log-0']}/environ")
        self._expect(
            "NOTIFY_SOCKET" not in environment, "no NOTIFY_SOCKET in the task", environment
        )
        self._expect(topic not in environment, "no credential in its environment", environment)
        readable = self._machine.run(
            "setpriv --reuid=nobody --clear-groups cat /run/credentials/engine.service/topic",
            check=False,
        )
        self._expect(readable.returncode != 0, "nobody else can read the credential", readable)
        stored = self._ctl("describe log")
        self._expect("${credentials:topic}" in stored, "it is not stored either", stored)

    def reloaded(self) -> None:
        """Reload with a new file and a broken one."""
        before = self._tasks()
        more = "name=more\\nconnector.class=FileStreamSource\\nfile=/var/log/dpkg.log\\ntopic=t\\n"
        self._machine.run(f"printf '{more}' > /etc/engine/connectors/more.properties")
        self._machine.run("cp /etc/engine/connectors/log.properties /root/log.properties")
        self._machine.run("echo nothing=here > /etc/engine/connectors/log.properties")
        self._machine.run("systemctl reload engine")
        wait_for(lambda: self._status().startswith("4 running; not reloaded: "))
        self._saw(self._status())
        self._machine.run("cp /root/log.properties /etc/engine/connectors/log.properties")
        self._machine.run("systemctl reload engine")
        wait_for(lambda: self._status() == "4 running")
        after = self._tasks()
        same = {name: pid for name, pid in after.items() if name in before}
        self._expect(same == before, "then the new one runs, and the others were left alone", after)

    def upgraded(self) -> None:
        """Upgrade to another version beside the first one; no task is to notice."""
        self._second_version("second", "sed -i 's/^__version__ = .*/__version__ = \"9.9.9\"/'")
        pid, tasks = self._show("MainPID"), self._tasks()
        began = time.monotonic()
        said = self._ctl("upgrade")
        self._saw(f"{said} in {time.monotonic() - began:.1f} s")
        self._expect("to 9.9.9" in said, "the new version runs", said)
        self._expect(self._show("MainPID") == pid, f"in the same process, {pid}", said)
        self._expect(self._tasks() == tasks, f"with the same tasks, {tasks}", self._tasks())
        self._expect(self._show("NRestarts") == "0", "systemd has restarted nothing", said)
        self._expect(self._show("ActiveState") == "active", "and says active", said)

    def not_upgraded(self) -> None:
        """Upgrade to a broken version, by signal."""
        self._second_version("broken", "sed -i '1s/^/import nothing_like_this\\n/'")
        pid, tasks = self._show("MainPID"), self._tasks()
        self._machine.run("systemctl kill -s USR2 --kill-who=main engine")
        wait_for(lambda: self._is_upgrade_over(2))
        said = self._machine.ask("journalctl -u engine -o cat --no-pager | grep 'not upgraded'")
        self._saw(said.splitlines()[-1][:160])
        self._expect(self._show("MainPID") == pid, "the old one goes on", said)
        self._expect(self._tasks() == tasks, "with the same tasks", self._tasks())
        self._machine.run("ln -sfn second /opt/engine/current")

    def killed(self) -> None:
        """SIGKILL the supervisor."""
        pid, tasks = self._show("MainPID"), self._tasks()
        began = time.monotonic()
        self._machine.run(f"kill -9 {pid}")
        wait_for(lambda: self._show("MainPID") not in (pid, "0") and self._status() == "4 running")
        self._saw(f"4 tasks run again after {time.monotonic() - began:.1f} s")
        left = [each for each in tasks.values() if self._machine.ask(f"cat /proc/{each}/comm")]
        self._expect(left == [], "no process of before is left", left)
        self._expect(self._show("NRestarts") == "1", "systemd counts one restart", left)

    def watched(self) -> None:
        """Stop the supervisor's loop, so that nobody feeds the watchdog."""
        pid = self._show("MainPID")
        self._machine.run(f"kill -STOP {pid}")
        began = time.monotonic()
        wait_for(lambda: self._show("MainPID") not in (pid, "0") and self._status() == "4 running")
        self._saw(f"4 tasks run again after {time.monotonic() - began:.1f} s (WatchdogSec=6)")
        said = self._machine.ask("journalctl -u engine -o cat --no-pager | grep -i watchdog")
        self._expect("'watchdog'" in said, said.splitlines()[-1], said)

    def stuck(self) -> None:
        """Stop the service while a task ignores SIGTERM."""
        self._machine.run("printf ignore_sigterm > /var/lib/orders/stuck-0")
        wait_for(lambda: not self._machine.ask("ls /var/lib/orders"))
        began = time.monotonic()
        self._machine.run("systemctl stop engine")
        seconds = time.monotonic() - began
        self._expect(
            3.9 < seconds < 20, f"stopped after {seconds:.1f} s, of which 4 for it", seconds
        )
        result = f"{self._show('ActiveState')}, {self._show('Result')}"
        self._expect(result == "inactive, success", result, result)
        left = self._machine.ask("find /proc -maxdepth 1 -user engine -name '[0-9]*'")
        self._expect(not left, "no process of the user engine is left", left)

    def booted(self) -> None:
        """Power off and boot again."""
        self._machine.power_off()
        self._machine.boot()
        wait_for(lambda: self._status() == "4 running")
        self._saw(f"after a boot: {self._status()}")
        self._machine.run("systemctl stop engine")

    # ---- what they use --------------------------------------------------------------------------

    def _second_version(self, name: str, change: str) -> None:
        """A copy of the first one with something changed in the supervisor's modules."""
        files = "engine/__init__.py" if name == "second" else "engine/supervisor/supervisor.py"
        at = f"/opt/engine/{name}"
        self._machine.run(
            f"rm -rf {at} && cp -r /opt/engine/first {at} && cd {at} && "
            f"sed -i 's#/opt/engine/first/#{at}/#' bin/engine && "
            f"{change} lib/python3*/site-packages/{files} && ln -sfn {name} /opt/engine/current"
        )

    def _wait_running(self) -> None:
        wait_for(lambda: self._ctl("status"))

    def _ctl(self, action: str) -> str:
        ctl = f"/opt/engine/first/bin/engine ctl --url {self._url} {action} 2>&1"
        done = self._machine.run(ctl, check=False)
        return done.stdout.strip()

    def _is_upgrade_over(self, number: int) -> bool:
        code = (
            "import urllib.request as u; "
            f"print(u.urlopen('{self._url}/engine/worker', timeout=5).read().decode())"
        )
        worker = self._machine.ask(f'/opt/engine/first/bin/python -c "{code}"')
        upgrade = json.loads(worker)["upgrade"] if worker else {}
        return upgrade.get("attempts") == number and not upgrade["is_running"]

    def _tasks(self) -> dict[str, str]:
        """Pids by task."""
        tasks = json.loads(self._ctl("status --json"))["tasks"]
        return {f"{t['id']['connector']}-{t['id']['task']}": str(t["pid"]) for t in tasks}

    def _status(self) -> str:
        return self._show("StatusText")

    def _show(self, name: str) -> str:
        return self._machine.ask(f"systemctl show engine -p {name} --value")

    def _saw(self, text: str) -> None:
        self._say(f"  {text}")

    def _expect(self, is_so: bool, text: str, evidence: object) -> None:
        if not is_so:
            raise UnexpectedError(f"not so: {text}\n{evidence}")
        self._saw(text)


def main() -> int:
    """Make or take a machine, boot it, run the trial; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/systemd", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", help="where the machine is kept")
    directory = parser.parse_args().directory or Path(tempfile.mkdtemp()) / "machine"
    machine = BareMachine(directory.absolute())

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        machine.make()
        machine.boot()
        try:
            Trial(machine, say).run()
        finally:
            machine.power_off()
    except (BareMachineError, UnexpectedError, TimeoutError) as error:
        print(f"scripts/systemd: {error}", file=sys.stderr)
        return 1
    print("\nall as it should be")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
