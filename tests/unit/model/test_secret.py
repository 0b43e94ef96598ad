"""Values that may not show."""

import json

import pytest

from engine.api.config import ConfigKey, ConfigType
from engine.model.secret import Secrets, is_secret


def test_the_value_of_a_placeholder_is_shown_as_the_placeholder() -> None:
    secrets = Secrets({"hunter2": "${file:s:p}"})

    assert secrets.hide("login with hunter2 failed") == "login with ${file:s:p} failed"
    assert secrets.hide("login failed") == "login failed"


@pytest.mark.parametrize("value", ["back\\slash", "it's", 'quo"te', "both\"'\\", "två\trader"])
def test_a_value_is_hidden_in_whatever_way_it_is_shown(value: str) -> None:
    secrets = Secrets({value: "[it]"})
    for shown in (
        value, str({"k": value}), str({"k": f"x '\" {value}"}), json.dumps({"k": value}),
        json.dumps({"k": value}, ensure_ascii=False),
    ):  # fmt: skip
        hidden = secrets.hide(shown)
        assert "[it]" in hidden
        assert not any(part in hidden for part in ("slash", "it's", "it\\'s", "te", "both", "tv"))
        line = json.dumps({"event": shown}).encode()
        assert b"[it]" in secrets.hide_in_json(line)


@pytest.mark.parametrize(
    "name",
    [
        "connection.password", "producer.override.sasl.jaas.config", "aws.secret.access.key",
        "ssl.keystore.key", "s3.private_key", "http.api-key".replace("-", "."), "user.passwd",
    ],
)  # fmt: skip
def test_names_tell_which_values_are_secret(name: str) -> None:
    assert is_secret(name)
    secrets = Secrets()
    secrets.add_config({name: "hunter2", "topic": "lines"})
    assert secrets.hide("hunter2 lines") == "[hidden] lines"


@pytest.mark.parametrize(
    "name", ["key.converter", "topics", "message.key", "ssl.keystore.location", "tasks.max"]
)
def test_other_names_do_not(name: str) -> None:
    assert not is_secret(name)


def test_a_plugin_says_by_the_type_of_its_key_that_the_value_is_secret() -> None:
    secrets = Secrets()
    keys = (ConfigKey("pin", ConfigType.PASSWORD), ConfigKey("file", ConfigType.STRING))
    secrets.add_config({"pin": "pin-4711", "file": "/tmp/pin"}, keys)

    assert secrets.hide("/tmp/pin pin-4711") == "/tmp/pin [hidden]"


def test_a_password_inside_of_a_login_configuration_is_hidden_alone_too() -> None:
    secrets = Secrets()
    jaas = 'org.apache.PlainLoginModule required username="me" password="s3\\"cret";'
    secrets.add_config({"sasl.jaas.config": jaas})

    assert secrets.hide(jaas) == "[hidden]"
    assert secrets.hide('me: s3"cret or s3\\"cret') == "me: [hidden] or [hidden]"


def test_every_line_of_a_private_key_is_hidden() -> None:
    secrets = Secrets()
    secrets.add_config({"ssl.keystore.key": "-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0B\n-----END"})

    assert secrets.hide("cannot read MIIEvQIBADANBgkqhkiG9w0B") == "cannot read [hidden]"


def test_a_value_that_holds_another_is_hidden_whole() -> None:
    secrets = Secrets({"word": "A", "password": "B"})

    assert secrets.hide("password and word") == "B and A"


@pytest.mark.parametrize("value", ["true", "False", "null", "12345", ""])
def test_words_that_say_nothing_are_not_hidden_everywhere(value: str) -> None:
    secrets = Secrets()
    secrets.add_config({"secret.enabled": value})

    assert not secrets
    assert secrets.hide(f"x {value} y") == f"x {value} y"


def test_a_placeholder_that_nobody_has_resolved_is_no_secret() -> None:
    secrets = Secrets()
    secrets.add_config({"password": "${file:s:p}"})

    assert not secrets


@pytest.mark.parametrize("value", ["hunter2", 'quo"te\\d', "grüße", "tab\tbed"])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_secrets_are_hidden_in_encoded_json(value: str, *, is_ascii: bool) -> None:
    secrets = Secrets()
    secrets.add(value)
    line = json.dumps({"event": f"with {value}."}, ensure_ascii=is_ascii).encode()

    assert json.loads(secrets.hide_in_json(line)) == {"event": "with [hidden]."}
