"""Levels that are changed at run time."""

import pytest

from engine.model.log_levels import (
    KNOWN,
    LevelSetting,
    changed,
    effective,
    level_of,
    levels_in,
    merged,
    own_name,
    with_level,
)


def settings(**levels: str) -> dict[str, LevelSetting]:
    """Dots of names are underscores here."""
    return {name.replace("_", "."): LevelSetting(level, 1) for name, level in levels.items()}


def test_a_logger_has_the_level_of_the_nearest_one_above_it() -> None:
    levels = {"engine": "WARN", "engine.task.sink": "DEBUG", "root": "ERROR"}
    assert effective(levels, "engine.task.sink", "INFO") == "DEBUG"
    assert effective(levels, "engine.task.sink.more", "INFO") == "DEBUG"
    assert effective(levels, "engine.task", "INFO") == "WARN"
    assert effective(levels, "engineer", "INFO") == "ERROR"
    assert effective({}, "engine", "INFO") == "INFO"


def test_a_new_level_holds_for_loggers_below_and_says_which_it_changes() -> None:
    now = settings(engine_task="DEBUG", root="INFO")
    assert changed(now, KNOWN, "engine", "INFO", "INFO") == [
        "engine.task", "engine.task.sink", "engine.task.source",
    ]  # fmt: skip
    after = with_level(now, "engine", "INFO", 5)
    assert levels_in(after) == {"root": "INFO", "engine": "INFO"}
    assert after["engine"].modified_ms == 5
    assert changed(after, KNOWN, "engine", "INFO", "INFO") == []


def test_the_root_changes_all_that_have_no_level_of_their_own() -> None:
    now = settings(engine_task="ERROR")
    assert changed(now, KNOWN, "root", "DEBUG", "INFO") == ["engine", "engine.supervisor", "root"]


def test_a_connectors_levels_go_before_the_workers() -> None:
    worker = settings(engine_task_sink="TRACE", other="WARN")
    assert levels_in(merged(worker, {})) == {"engine.task.sink": "TRACE", "other": "WARN"}
    assert levels_in(merged(worker, settings(root="ERROR"))) == {"root": "ERROR"}
    assert levels_in(merged(worker, settings(engine="INFO"))) == {"engine": "INFO", "other": "WARN"}


@pytest.mark.parametrize(("text", "level"), [("debug", "DEBUG"), ("Off", "OFF"), ("ALL", "ALL")])
def test_levels_are_known_in_any_case(text: str, level: str) -> None:
    assert level_of(text) == level


@pytest.mark.parametrize("text", ["CRITICAL", "", "loud"])
def test_other_levels_are_refused_in_upstreams_words(text: str) -> None:
    with pytest.raises(ValueError, match=f"invalid log level '{text}'"):
        level_of(text)


def test_the_nearest_level_is_offered() -> None:
    with pytest.raises(ValueError, match="Did you mean DEBUG"):
        level_of("DEBIG")


def test_kafka_connects_names_of_loggers_are_understood() -> None:
    assert own_name("org.apache.kafka.connect.runtime.WorkerSinkTask") == "engine.task.sink"
    assert own_name("my.connector") == "my.connector"
