"""Reading and changing committed offsets over HTTP."""

from typing import Any

import pytest

from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.rest_server import RestServer

PATH = "/connectors/x/offsets"


def test_offsets_are_listed(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    assert server.ask("GET", PATH).json == {
        "offsets": [{"partition": {"filename": "/var/log/dpkg.log"}, "offset": {"position": 42}}]
    }


def test_offsets_are_set_as_they_were_written(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    body = {
        "offsets": [
            {"partition": {"filename": "é"}, "offset": {"position": 42, "share": 1.5, "all": True}},
            {"partition": {"filename": None}, "offset": None},
            {"partition": {"filename": "b"}},
            {},
        ]
    }
    done = server.ask("PATCH", PATH, body)
    assert done.status == 200
    assert done.json == {"message": "The offsets for this connector have been altered successfully"}
    assert herder.offsets_changed == [[
        ({"filename": "é"}, {"position": 42, "share": 1.5, "all": True}),
        ({"filename": None}, None), ({"filename": "b"}, None), (None, None),
    ]]  # fmt: skip


def test_all_offsets_are_forgotten(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    done = server.ask("DELETE", PATH)
    assert done.status == 200
    assert done.json == {"message": "The offsets for this connector have been reset successfully"}
    assert herder.offsets_changed == [None]


@pytest.mark.parametrize(("method", "done"), [("PATCH", "altered"), ("DELETE", "reset")])
def test_a_connector_that_took_no_part_is_told_of(
    server: RestServer, herder: FakeHerder, method: str, done: str
) -> None:
    herder.add("external")
    body = {"offsets": [{"partition": {"f": 1}, "offset": {"p": 1}}]} if method == "PATCH" else None
    answer = server.ask(method, "/connectors/external/offsets", body)
    assert answer.json["message"] == (
        f"The Connect framework-managed offsets for this connector have been {done} successfully. "
        "However, if this connector manages offsets externally, they will need to be manually "
        f"{done} in the system that the connector uses."
    )


NEEDED = "Partitions / offsets need to be provided for an alter offsets request"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", NEEDED),
        ('{"offsets": null}', NEEDED),
        ('{"offsets": []}', NEEDED),
        ('{"offsets": {"a": 1}}', 'The value of "offsets" must be an array of objects'),
        ('{"offsets": [null]}', 'offsets[0] must be an object with "partition" and "offset"'),
        ('{"offsets": [{"partition": 1}]}', "offsets[0].partition must be an object or null"),
        ('{"offsets": [{}, {"offset": "x"}]}', "offsets[1].offset must be an object or null"),
        (
            '{"offsets": [{"offest": {}}]}',
            'Unrecognized field "offest" in offsets[0], known properties: "partition", "offset"',
        ),
        (
            '{"ofsets": []}',
            'Unrecognized field "ofsets" in the request body, known properties: "offsets"',
        ),
        (
            '{"offsets": [{"offset": {"p": 9223372036854775808}}]}',
            "offsets[0].offset.p is beyond the range of 64 bits",
        ),
        (
            '{"offsets": [{"offset": {"p": [1e999]}}]}',
            "offsets[0].offset.p is beyond the range of double precision",
        ),
        (
            '{"offsets": [{"offset": {"p": "\\ud800"}}]}',
            "Malformed JSON: offsets[0].offset.p has half a surrogate pair",
        ),
        ('{"offsets": [{"offset": {"p": NaN}}]}', "Malformed JSON: NaN is not a JSON value"),
        (f'{{"offsets": {"9" * 5000}}}', "Malformed JSON: a number with too many digits"),
        ("[]", "The request body must be a JSON object, not an array"),
    ],
)
def test_what_can_be_no_offsets_is_refused(
    server: RestServer, herder: FakeHerder, body: str, message: str
) -> None:
    herder.add("x")
    refused = server.ask("PATCH", PATH, raw=body.encode())
    assert (refused.status, refused.message) == (400, message)
    assert herder.offsets_changed == []


def test_the_body_is_looked_at_before_the_connector(server: RestServer) -> None:
    assert server.ask("PATCH", "/connectors/nope/offsets", {}).message == NEEDED
    body: dict[str, Any] = {"offsets": [{"partition": {}, "offset": None}]}
    missing = server.ask("PATCH", "/connectors/nope/offsets", body)
    assert (missing.status, missing.message) == (404, "Connector nope not found")
