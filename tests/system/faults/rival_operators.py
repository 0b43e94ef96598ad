"""C with rivals: orders that cross each other, and what happens meanwhile."""

import concurrent.futures
import os
import signal
import time

from tests.system.faults.rival import Program, Rival, expect, wait, watch
from tests.system.faults.rival_deaths import dies_at_once
from tests.system.faults.supervised import is_alive

DEAF_FOR_A_WHILE = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(2), os._exit(0)))\n"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
WAITS = "while True: time.sleep(1)"


def f20_stop_in_back_off(rival: Rival) -> None:
    with rival.running(dies_at_once(rival)):
        expect(wait(lambda: len(rival.marks()) >= 2), "is not started twice")
        rival.order("stop")
        before = len(rival.marks())
        watch(9)
        expect(len(rival.marks()) == before, "comes back after it was stopped")


def f21_stop_while_it_starts(rival: Rival) -> None:
    with rival.running(Program("time.sleep(60)", settings={"supervisor": "startsecs=20\n"})):
        rival.order("stop")
        expect(wait(lambda: not rival.pids(), 10), "is not ended")
        watch(3)
        expect(not rival.pids(), "comes back after it was stopped")


def f22_many_restarts(rival: Rival) -> None:
    with rival.running(Program(), Program(name="other")):
        with concurrent.futures.ThreadPoolExecutor(10) as clients:
            answers = list(clients.map(lambda _: rival.order("restart"), range(20)))
        expect(
            wait(lambda: len(rival.pids()) == 1, 15), f"{len(rival.pids())} processes at the end"
        )
        texts = [answer.stdout + answer.stderr for answer in answers]
        words = [text for text in texts if "ERROR" in text or "already" in text]
        said = " ".join(words[0].split())[:90] if words else ""
        expect(not words, f"refuses {len(words)} of 20: {said}")


def f23_ends_at_stop(rival: Rival) -> None:
    text = "signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\n" + WAITS
    with rival.running(Program(text, count=4), Program(name="other")):
        for pid in rival.pids()[:2]:
            os.kill(pid, signal.SIGTERM)
        rival.order("stop")
        expect(wait(lambda: not rival.pids(), 10), "is not ended")
        watch(6)
        expect(not rival.pids(), "comes back after it was stopped")


def f24_start_before_the_end(rival: Rival) -> None:
    with rival.running(Program(DEAF_FOR_A_WHILE + WAITS, grace=10)):
        (old,) = rival.pids()
        most = 1
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            stop = clients.submit(rival.order, "stop")
            watch(0.5)
            start = clients.submit(rival.order, "start")
            while is_alive(old):
                most = max(most, len(rival.pids()))
                watch(0.02)
            stop.result()
            start.result()
        expect(most == 1, "two processes of it are alive at once")
        back = wait(lambda: rival.pids() and rival.pids() != [old], 10)
        expect(back, "is not started: the order to start is refused or forgotten")


def f25_hangup_while_it_stops(rival: Rival) -> None:
    with rival.running(Program(DEAF_FOR_A_WHILE + WAITS, grace=10)):
        rival.process.send_signal(signal.SIGTERM)
        watch(0.5)
        rival.process.send_signal(signal.SIGHUP)
        rival.expect_end(15)


def f26_second_term(rival: Rival) -> None:
    with rival.running(Program(DEAF + WAITS, grace=15)):
        began = time.monotonic()
        rival.process.send_signal(signal.SIGTERM)
        watch(1)
        rival.process.send_signal(signal.SIGTERM)
        rival.expect_end(40)
        seconds = time.monotonic() - began
        expect(seconds < 10, f"takes {seconds:.0f} s all the same, its usual time")


def f27_term_while_it_starts(rival: Rival) -> None:
    rival.configure(Program(count=3))
    with rival.ended():
        for hundredths in range(5, 100, 9):
            rival.start()
            watch(hundredths / 100)
            rival.process.send_signal(signal.SIGTERM)
            ended = wait(lambda: rival.process.poll() is not None, 20)
            expect(ended, f"does not end for a SIGTERM {hundredths / 100} s after its start")
            left = not wait(lambda: not rival.survivors(), 5)
            expect(
                not left, f"leaves processes after a SIGTERM {hundredths / 100} s after its start"
            )


def f28_half_a_reload(rival: Rival) -> None:
    programs = Program(name="wrong"), Program(name="right")
    with rival.running(*programs):
        wrong = rival.pids("wrong")
        rival.configure(Program(name="wrong", count_text="many"), Program(name="right", count=2))
        rival.ctl(*{"supervisor": ("update",), "circus": ("reloadconfig",)}[rival.who])
        watch(5)
        expect(rival.process.poll() is None, "ends")
        expect(rival.pids("wrong") == wrong, "the one that is wrong does not run on")
        expect(len(rival.pids("right")) == 2, "the one that is right is not changed either")
