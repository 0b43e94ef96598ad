"""No secret leaves: by its key, by its value, by its looks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.doctor.redaction import HIDDEN, Redaction


def test_values_of_known_keys_are_shown_and_all_others_are_hidden() -> None:
    assert Redaction().config(
        {
            "name": "c",
            "connector.class": "FileStreamSource",
            "tasks.max": "3",
            "topic": "t",
            "key.converter": "StringConverter",
            "producer.override.batch.size": "1000",
            "engine.restart.max": "5",
            "transforms.t.type": "Filter",
            "transforms.t.salt": "pepper",
            "connection.string": "whatever it is",
            "sasl.jaas.config": "x required password=y;",
            "ssl.key.password": "geheim",
            "connection.user": "me",
            "api.key": "4711",
        }
    ) == {
        "name": "c",
        "connector.class": "FileStreamSource",
        "tasks.max": "3",
        "topic": "t",
        "key.converter": "StringConverter",
        "producer.override.batch.size": "1000",
        "engine.restart.max": "5",
        "transforms.t.type": "Filter",
        "transforms.t.salt": HIDDEN,
        "connection.string": HIDDEN,
        "sasl.jaas.config": HIDDEN,
        "ssl.key.password": HIDDEN,
        "connection.user": HIDDEN,
        "api.key": HIDDEN,
    }


def test_placeholders_are_no_secrets_and_what_stands_around_them_may_be_one() -> None:
    shown = Redaction().config(
        {
            "a.password": "${env:PASSWORD}",
            "b.password": "prefix-${env:PASSWORD}-suffix",
            "whatever": "${file:/x:y}",
        }
    )
    assert shown == {
        "a.password": "${env:PASSWORD}",
        "b.password": "${env:PASSWORD}",
        "whatever": "${file:/x:y}",
    }


def test_what_was_hidden_in_a_configuration_is_hidden_in_texts_too() -> None:
    redaction = Redaction(["resolved!"])
    redaction.config({"the.password": 'a"b\\ü', "unknown": "long enough", "short": "true"})
    text = json.dumps({"event": 'cannot log in with a"b\\ü: resolved! long enough true'})
    assert json.loads(redaction.text(text)) == {
        "event": f"cannot log in with {HIDDEN}: {HIDDEN} {HIDDEN} true"
    }
    assert redaction.text('a"b\\ü') == HIDDEN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://me:geheim@db/x", f"postgres://me:{HIDDEN}@db/x"),
        ("password=geheim; user", f"password={HIDDEN}; user"),
        ('"password": "geheim", "x"', f'"password": "{HIDDEN}", "x"'),
        ("Authorization: Bearer abcdefgh123", f"Authorization: Bearer {HIDDEN}"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END RSA PRIVATE KEY-----",
        ),
        ("http://127.0.0.1:8083/x@y", "http://127.0.0.1:8083/x@y"),
        ("12 records, 3 retries", "12 records, 3 retries"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown


@given(
    st.text(min_size=4, max_size=40).filter(
        lambda s: s.strip() == s and s not in HIDDEN and "${" not in s
    ),
    st.sampled_from(["x.password", "a.secret.b", "sasl.jaas.config", "auth.token"]),
)
def test_no_secret_survives(secret: str, key: str) -> None:
    redaction = Redaction()
    assert redaction.config({key: secret}) == {key: HIDDEN}
    for text in (f"<{secret}>", json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert secret not in redaction.text(text).replace(HIDDEN, "")
