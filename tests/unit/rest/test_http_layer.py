"""Bodies, media types, methods and paths: what is refused, and in which words."""

import asyncio
import http.client
import json
import re
import threading

import pytest
import structlog

from engine.rest.body import encode
from tests.unit.rest.fake_herder import SOURCE, FakeHerder
from tests.unit.rest.rest_server import RestServer

CONFIG = {"connector.class": SOURCE, "topic": "t"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"name":', "Malformed JSON: Expecting value at line 1, column 9"),
        (b"{", "Malformed JSON: Expecting property name enclosed in double quotes at line 1"),
        (b"", "The request body is empty; a JSON object was expected"),
        (b"null", "The request body must be a JSON object, not null"),
        (b"[]", "The request body must be a JSON object, not an array"),
        (b'"x"', "The request body must be a JSON object, not a text"),
        (b"17", "The request body must be a JSON object, not a number"),
        (b"true", "The request body must be a JSON object, not a boolean"),
        (b"NaN", "Malformed JSON: NaN is not a JSON value"),
        (b'{"name":"\xff"}', "The request body is not UTF-8 (byte 9)"),
        (b"[" * 100_000, "Malformed JSON: nested too deeply"),
        (b'{"name":"x"}', 'The request body has no "config"'),
        (b'{"name":"x","config":null}', 'The value of "config" must be a JSON object of texts'),
        (b'{"name":{},"config":{}}', 'The value of "name" must be a text'),
        (b'{"name":"x","config":{"a":{}}}', "The value of a must be a text, not an object"),
        (b'{"name":"x","config":{"a":[1]}}', "The value of a must be a text, not an array"),
        (b'{"name":"x","config":{"a":"\\ud800"}}', "the value of a has half a surrogate pair"),
        (
            b'{"name":"x","config":{},"extra":1}',
            'Unrecognized field "extra", known properties: "config", "name", "initial_state"',
        ),
        (
            b'{"name":"x","config":{},"initial_state":"BOGUS"}',
            'Invalid value BOGUS for "initial_state": must be one of RUNNING, PAUSED, STOPPED',
        ),
        (b'{"name":"x","config":{},"initial_state":""}', 'Invalid value  for "initial_state"'),
        (b'{"name":"x","config":{},"initial_state":["RUNNING"]}', 'for "initial_state"'),
    ],
)
def test_a_body_that_cannot_be_meant_is_a_bad_request(
    server: RestServer, raw: bytes, message: str
) -> None:
    refused = server.ask("POST", "/connectors", raw=raw)
    assert refused.status == 400
    assert message in refused.message
    assert server.ask("GET", "/connectors").json == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/connectors/x/config"),
        ("PATCH", "/connectors/x/config"),
        ("PUT", "/connector-plugins/FileStreamSource/config/validate"),
    ],
)
def test_every_body_is_checked(server: RestServer, method: str, path: str) -> None:
    for raw in (b"", b"null", b"[1]", b'{"a":{"b":"c"}}', b"{"):
        assert server.ask(method, path, raw=raw).status == 400


def test_a_body_that_is_too_large_is_refused(server: RestServer) -> None:
    refused = server.ask("POST", "/connectors", {"name": "x", "config": {"a": "b" * 10_000_000}})
    assert (refused.status, refused.message) == (
        413,
        "The request body is larger than 4194304 bytes",
    )


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/vnd.kafka+json", "application/merge-patch+json"],
)
def test_only_json_is_taken(server: RestServer, media_type: str) -> None:
    refused = server.ask(
        "PUT", "/connectors/x/config", CONFIG, headers={"Content-Type": media_type}
    )
    assert (refused.status, refused.message) == (415, "HTTP 415 Unsupported Media Type")


def test_a_character_set_may_be_named(server: RestServer) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert server.ask("PUT", "/connectors/x/config", CONFIG, headers=headers).status == 201


def test_whoever_takes_no_json_is_told_so(server: RestServer) -> None:
    refused = server.ask("GET", "/connectors", headers={"Accept": "text/html"})
    assert (refused.status, refused.message) == (406, "HTTP 406 Not Acceptable")
    for accepted in ("text/html, */*;q=0.8", "application/json", "application/*"):
        assert server.ask("GET", "/connectors", headers={"Accept": accepted}).status == 200


@pytest.mark.parametrize("path", ["/nope", "/connectors/x/nope", "/connectors//config", "//"])
def test_an_unknown_path_is_not_found(server: RestServer, path: str) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.message) == (404, "HTTP 404 Not Found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/connectors"),
        ("GET", "/connectors/x/pause"),
        ("POST", "/"),
        ("PROPFIND", "/health"),
        ("BREW", "/health"),
    ],
)
def test_a_wrong_method_is_refused(server: RestServer, method: str, path: str) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.message) == (405, "HTTP 405 Method Not Allowed")


def test_options_names_the_methods(server: RestServer) -> None:
    answer = server.ask("OPTIONS", "/connectors")
    assert answer.status == 200
    assert answer.body == b"HEAD, POST, GET, OPTIONS"
    assert answer.headers["Allow"] == "HEAD,POST,GET,OPTIONS"
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/connectors", "/connectors/x", "/connector-plugins", "/connectors/x/status"],
)
def test_head_and_slashes_at_the_end_are_taken(
    server: RestServer, herder: FakeHerder, path: str
) -> None:
    herder.add("x")
    assert server.ask("GET", f"{path.rstrip('/')}/").json == server.ask("GET", path).json
    head = server.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_the_root_says_which_kafka_connect_this_is_like(server: RestServer) -> None:
    root = server.ask("GET", "/").json
    assert root == {"version": "4.3.1", "commit": "c0ffee", "kafka_cluster_id": "cluster"}


def test_health_follows_start_up(server: RestServer, herder: FakeHerder) -> None:
    assert server.ask("GET", "/health").json == {
        "status": "healthy",
        "message": "Worker has completed startup and is ready to handle requests.",
    }
    herder.ready = False
    starting = server.ask("GET", "/health")
    assert starting.status == 503
    assert starting.json == {"status": "starting", "message": "Worker is still starting up."}


def test_an_unexpected_exception_shows_its_message_and_its_traceback_is_logged(
    server: RestServer,
) -> None:
    with structlog.testing.capture_logs() as logged:
        answer = server.ask("PUT", "/connectors/x/config", {**CONFIG, "bug": "true"})
    assert (answer.status, answer.message) == (500, "division by zero")
    [event] = logged
    assert (event["log_level"], event["path"]) == ("error", "/connectors/x/config")
    assert isinstance(event["exc_info"], ZeroDivisionError)


def test_a_plugin_that_does_not_answer_is_an_error_of_the_server(server: RestServer) -> None:
    answer = server.ask("PUT", "/connectors/x/config", {**CONFIG, "hangs": "true"})
    assert answer.status == 500
    assert answer.message == "The connector's configuration was not checked within 10 s"


def test_what_is_no_http_ends_without_a_traceback(server: RestServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    connection.sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    answered = connection.sock.makefile("rb").read()
    connection.close()
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b" 405 " in head.split(b"\r\n")[0]
    assert json.loads(body)["message"].startswith("HTTP 4")


def test_a_header_that_is_too_long_is_a_bad_request(server: RestServer) -> None:
    refused = server.ask("GET", "/connectors", headers={"X-Long": "x" * 100_000})
    assert refused.status == 400
    assert refused.message.startswith("HTTP 400 Bad Request: ")


def test_json_is_written_as_jackson_writes_it() -> None:
    written = encode({"a": 'wave 👋 "quoted" \\u001b \u001b ü \u2028 \x7f /', "b": [1, None, True]})
    assert written.decode() == (
        '{"a":"wave \\uD83D\\uDC4B \\"quoted\\" \\\\u001b \\u001B ü \u2028 \x7f /",'
        '"b":[1,null,true]}'
    )
    assert json.loads(encode("\\\u001f\\\\u001f")) == "\\\u001f\\\\u001f"
    assert not re.search(rb"\s", encode({"a": [1, {"b": 2}]}))


def test_a_request_that_takes_too_long_is_answered_and_yet_finished() -> None:
    from engine.rest.errors import answer_errors

    class Request:
        path = "/connectors/x"
        remote = "127.0.0.1"
        headers: dict[str, str] = {}  # noqa: RUF012
        match_info = type("MatchInfo", (), {"http_exception": None})

    finished = threading.Event()

    async def scenario() -> int:
        go_on = asyncio.Event()

        async def slow(_request: object) -> object:
            await go_on.wait()
            finished.set()
            raise OSError("nobody hears this")

        answer = await answer_errors(0.01)(Request(), slow)  # type: ignore[arg-type]
        go_on.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return answer.status

    assert asyncio.run(scenario()) == 500
    assert finished.is_set()
