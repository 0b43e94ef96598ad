"""A rehearsal leaves nothing behind but filled caches."""

import gc
import os
import threading

from engine.task.rehearsal import fill_holes, rehearse


def test_a_rehearsal_opens_nothing_and_starts_no_thread() -> None:
    gc.collect()  # what other tests have left open is not closed meanwhile
    before = set(os.listdir("/proc/self/fd"))
    rehearse()
    assert set(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == 1 + sum(
        t.daemon for t in threading.enumerate() if t is not threading.main_thread()
    )


def test_what_fills_the_holes_is_bounded_and_of_every_size() -> None:
    taken = fill_holes()
    sizes = {block.__sizeof__() for block in taken}
    assert len(sizes) == 30
    assert sum(block.__sizeof__() for block in taken) < 16 << 20
