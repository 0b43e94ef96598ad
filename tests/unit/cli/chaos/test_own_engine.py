"""An engine that chaos starts, as far as nothing has to be started."""

from pathlib import Path

from engine.cli.chaos.own_engine import OwnEngine

HOURS = 7200.0


def test_a_second_interrupt_ends_the_waiting_for_the_last_records(tmp_path: Path) -> None:
    target = OwnEngine(tmp_path / "work", 1, 1000.0, needs_disk=False)
    target.tick(0.0)
    target.tick(1.0)  # 1,000 lines, of which none can arrive
    asked = iter((False, True, True))
    records = target.finish(HOURS, lambda: next(asked))
    assert target.close() == []
    assert records is not None
    assert (records.written, records.lost) == (1000, 1000)
