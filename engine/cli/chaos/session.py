"""A whole session: choose whom to hurt, have that confirmed, do it, report."""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.live_engine import LiveEngine
from engine.cli.chaos.observer import Observer
from engine.cli.chaos.own_engine import OwnEngine
from engine.cli.chaos.plan import Injection, Mix, schedule
from engine.cli.chaos.recovery import Ledger
from engine.cli.chaos.report import ExitCode, Outcome, outcome_json, outcome_text
from engine.cli.chaos.run import ChaosRun
from engine.cli.chaos.screen import Scene, Screen, screen
from engine.cli.chaos.small_disk import NoDiskError
from engine.cli.chaos.target import Target, TargetError
from engine.cli.child_engine import ChildEngineError
from engine.cli.ctl.client import CtlError
from engine.cli.ctl.exit_code import ExitCode as CtlExitCode
from engine.cli.ctl.output import terminal
from engine.cli.interrupts import Interrupts
from engine.cli.kafka import bring_kafka
from engine.kafka.embedded.artifacts import EmbeddedKafkaError

_ASK_TIMEOUT: Final = 10.0
_READY: Final = 180.0
_LOOK: Final = 0.05
_STARTING: Final = "starting Apache Kafka and the engine"


def run(arguments: argparse.Namespace, mix: Mix) -> int:
    """Do what was asked for; the exit code."""
    if arguments.dry_run:
        print(_plan_text(schedule(mix, arguments.minutes, arguments.seed)))
        return ExitCode.OK
    try:
        outcome = _live(arguments, mix) if arguments.url else _own(arguments, mix)
    except CtlError as error:
        is_usage = error.code is CtlExitCode.USAGE
        return _say(error, ExitCode.USAGE if is_usage else ExitCode.UNREACHABLE)
    except (TargetError, ChildEngineError, EmbeddedKafkaError) as error:
        return _say(error, ExitCode.UNREACHABLE if arguments.url else ExitCode.FAILED)
    except (NoDiskError, _RefusedError) as error:
        return _say(error, ExitCode.USAGE)
    except OSError as error:
        return _say(f"{error.filename or ''}: {error.strerror}".removeprefix(": "), ExitCode.FAILED)
    return _report(outcome, arguments.json)


class _RefusedError(Exception):
    """Somebody said no, or nobody could be asked."""


def _say(text: object, code: ExitCode) -> int:
    print(f"engine chaos: {text}", file=sys.stderr)
    return code


def _plan_text(plan: list[Injection]) -> str:
    lines = [f"{each.number:4}  {each.at:8.1f} s  {each.fault}" for each in plan]
    return "\n".join(lines) or "no faults"


def _report(outcome: Outcome, where: str | None) -> int:
    text = json.dumps(outcome_json(outcome), ensure_ascii=False, indent=2)
    if where == "-":
        print(text)
    else:
        print(outcome_text(outcome, terminal()))
    if where not in (None, "-"):
        Path(where).write_text(f"{text}\n", "utf-8")
    return outcome.exit_code


# ---- an engine that runs already ---------------------------------------------------------------


def _live(arguments: argparse.Namespace, mix: Mix) -> Outcome:
    target = LiveEngine(arguments.url, _ASK_TIMEOUT)
    plan = schedule(mix, arguments.minutes, arguments.seed)
    if not arguments.yes:
        _ask(f"{len(plan)} faults for {len(target.tasks)} tasks of {arguments.url}")
    with Interrupts() as interrupts, screen(is_quiet=arguments.json == "-") as shown:
        try:
            with Observer(target.url) as observer:
                return _hurt(target, target.tasks, plan, arguments, (interrupts, observer, shown))
        finally:
            target.close()


def _ask(what: str) -> None:
    if not sys.stdin.isatty():
        raise _RefusedError(f"{what}: nobody is there to confirm that; give --yes")
    if input(f"{what}. Type yes to begin: ").strip().lower() != "yes":
        raise _RefusedError("nothing was done")


# ---- an engine of its own ----------------------------------------------------------------------


def _own(arguments: argparse.Namespace, mix: Mix) -> Outcome:
    bring_kafka()
    with Interrupts() as interrupts, _place(arguments.data_dir) as place:
        target, mix = _made(place.path, arguments, mix)
        plan = schedule(mix, arguments.minutes, arguments.seed)
        try:
            with (
                screen(is_quiet=arguments.json == "-") as shown,
                Observer(target.url) as observer,
            ):
                shown.show(Scene(Ledger(target.tasks), len(plan), stage=_STARTING))
                target.start()
                _wait_ready(target, observer, interrupts)
                parts = (interrupts, observer, shown)
                outcome = _hurt(target, target.tasks, plan, arguments, parts)
            place.is_kept = outcome.is_to_be_looked_into
        finally:
            left = target.close(keeps=place.is_kept)
    if left:
        problem = f"these did not end by themselves and were killed: {', '.join(left)}"
        outcome = replace(outcome, problems=(*outcome.problems, problem))
    return outcome


def _wait_ready(target: OwnEngine, observer: Observer, interrupts: Interrupts) -> None:
    """Wait until records move everywhere."""
    deadline = time.monotonic() + _READY
    while not (observer.news() and observer.last and target.is_ready(observer.last)):
        target.tick(time.monotonic())
        if interrupts.wait(_LOOK):
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            words = target.last_words()
            raise TargetError(f"the engine was not ready within {_READY:.0f} s; it said: {words}")


def _made(path: Path, arguments: argparse.Namespace, mix: Mix) -> tuple[OwnEngine, Mix]:
    """The engine; without a disk to fill where that is not possible and nobody has asked for it."""
    pairs, rate = arguments.tasks // 2, arguments.rate
    needs_disk = Fault.DISK_FULL in mix and bool(mix[Fault.DISK_FULL].value)
    try:
        return OwnEngine(path, pairs, rate, needs_disk=needs_disk), mix
    except NoDiskError as error:
        if arguments.disk_full is not None:
            raise NoDiskError(f"--disk-full: {error}") from error
        _say(f"no full disk: {error}", ExitCode.OK)
        shutil.rmtree(path)
        mix = {fault: amount for fault, amount in mix.items() if fault is not Fault.DISK_FULL}
        return OwnEngine(path, pairs, rate, needs_disk=False), mix


@dataclass(slots=True)
class _Place:
    """Where an engine of our own keeps everything; kept after anything but a good end."""

    path: Path
    is_kept: bool = True


@contextlib.contextmanager
def _place(given: Path | None) -> Iterator[_Place]:
    if given is not None:
        if given.exists() and any(given.iterdir()):
            raise _RefusedError(f"--data-dir: {given} is not empty")
        yield _Place(given)
        return
    path = Path(tempfile.mkdtemp(prefix="engine-chaos-"))
    place = _Place(path / "work")
    try:
        yield place
    except (KeyboardInterrupt, NoDiskError):
        place.is_kept = False
        raise
    finally:
        if place.is_kept:
            _say(f"everything is kept in {place.path}", ExitCode.OK)
        else:
            shutil.rmtree(path, ignore_errors=True)


# ---- both --------------------------------------------------------------------------------------


def _hurt(
    target: Target,
    tasks: frozenset[str],
    plan: list[Injection],
    arguments: argparse.Namespace,
    parts: tuple[Interrupts, Observer, Screen],
) -> Outcome:
    interrupts, observer, shown = parts
    run = ChaosRun(target, tasks, plan, arguments.patience, interrupts)
    records = run.run(arguments.minutes * 60, observer, shown)
    return Outcome(
        seed=arguments.seed,
        minutes=arguments.minutes,
        url=arguments.url,
        tasks=len(tasks),
        ledger=run.ledger,
        records=records,
        is_interrupted=bool(interrupts.count),
    )
