"""Why a task died, over HTTP."""

from pathlib import Path

import msgspec

from engine.model.explanation import Facts, explain
from engine.model.task_id import TaskId
from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.journal import DEATH, ended, event, write_journal, write_output
from tests.unit.rest.rest_server import RestServer

A = TaskId("a", 0)
PATH = "/engine/tasks/a/0/explain"


def test_all_that_is_known_of_a_death_is_told(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    herder.set_tasks("a", 0, condition="BACKOFF", retry_in=1.5, pid=None)
    herder.deaths[A] = DEATH
    herder.journal = write_journal(tmp_path)
    write_output(tmp_path, A, "last words\n")
    told = server.ask("GET", PATH).json

    assert told["task"] == {"connector": "a", "task": 0}
    assert told["condition"] == "BACKOFF"
    assert told["headline"] == "ValueError: boom"
    assert told["sentence"].endswith("it is started again in 1.5 s.")
    assert told["text"] == explain(Facts(A, DEATH, "BACKOFF", 1.5))
    assert told["death"] == msgspec.to_builtins(DEATH)
    assert told["advice"] in told["text"]
    assert (told["output"], told["output_note"]) == ("last words\n", None)


def test_a_death_of_an_earlier_run_is_in_the_journal(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    herder.journal = write_journal(
        tmp_path, ended(A, msgspec.structs.replace(DEATH, generation=6)), ended(A),
        event("running", A),
    )  # fmt: skip
    told = server.ask("GET", PATH).json

    assert told["death"] == msgspec.to_builtins(DEATH)
    assert told["sentence"].endswith("it was started again and is RUNNING now.")
    assert (told["output"], told["output_note"]) == (
        None, "its last output was not kept; see its log",
    )  # fmt: skip


def test_the_output_of_another_process_is_not_taken_for_its_own(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    herder.deaths[A] = DEATH
    herder.journal = write_journal(tmp_path)
    write_output(tmp_path, A, "old words", msgspec.structs.replace(DEATH, generation=6))
    told = server.ask("GET", PATH).json

    assert told["output"] is None
    assert told["output_note"].startswith("only the output of an earlier process")


def test_a_task_that_never_died_says_so(server: RestServer, herder: FakeHerder) -> None:
    herder.add("a")
    told = server.ask("GET", PATH).json

    assert told["death"] is None
    assert told["text"] == "a-0 is RUNNING; no process of it has ended yet."


def test_a_death_that_another_version_wrote_is_no_obstacle(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    herder.journal = write_journal(tmp_path, event("exited", A, death={"exit_class": 5}))

    assert server.ask("GET", PATH).json["death"] is None


def test_a_task_that_nobody_knows_is_not_found(server: RestServer) -> None:
    answer = server.ask("GET", PATH)
    assert (answer.status, answer.message) == (404, "Task a-0 not found")


def test_an_end_that_was_asked_for_does_not_hide_the_death_before_it(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    stopped = msgspec.structs.replace(DEATH, generation=9, exit_class="stopped", exit_code=0)
    herder.add("a")
    herder.deaths[A] = stopped
    herder.journal = write_journal(tmp_path, ended(A, stopped))
    assert server.ask("GET", PATH).json["death"]["generation"] == 9

    write_journal(tmp_path, ended(A), ended(A, stopped), ended(TaskId("b", 0)))
    assert server.ask("GET", PATH).json["death"]["generation"] == 7
