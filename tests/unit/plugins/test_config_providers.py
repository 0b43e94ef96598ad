"""Placeholders in configurations and the providers that fill them."""

from pathlib import Path

import pytest

from engine.api.errors import ConfigError
from engine.plugins.config_transformer import (
    ConfigTransformer,
    restore_placeholders,
)
from engine.plugins.registry import Plugins

PROVIDERS = "org.apache.kafka.common.config.provider"


def transformer(**params: str) -> ConfigTransformer:
    worker = {
        "config.providers": "file, dir,env",
        "config.providers.file.class": f"{PROVIDERS}.FileConfigProvider",
        "config.providers.dir.class": f"{PROVIDERS}.DirectoryConfigProvider",
        "config.providers.env.class": "EnvVarConfigProvider",
    }
    for name, value in params.items():
        provider, _, param = name.partition("_")
        worker[f"config.providers.{provider}.param.{param.replace('_', '.')}"] = value
    return ConfigTransformer(Plugins(), worker)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "s.properties").write_text("password = geheim\nuser=me\n")
    (tmp_path / "token").write_text("t0ken")
    return tmp_path


def test_placeholders_are_filled_from_files_directories_and_the_environment(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_TEST_NAME", "world")
    resolved = transformer().resolve(
        {
            "url": f"x://${{file:{secrets}/s.properties:user}}:${{file:{secrets}/s.properties:password}}@h",
            "token": f"${{dir:{secrets}:token}}",
            "hello": "${env:ENGINE_TEST_NAME}!",
            "plain": "as it is",
        }
    )
    assert resolved == {
        "url": "x://me:geheim@h",
        "token": "t0ken",
        "hello": "world!",
        "plain": "as it is",
    }


def test_what_nobody_knows_stays_as_it_is(secrets: Path) -> None:
    config = {
        "a": "${vault:path:key}",
        "b": f"${{file:{secrets}/s.properties:nothing}}",
        "c": "${env:ENGINE_NO_SUCH_VARIABLE}",
        "d": "${dir:/no/such/directory:key}",
        "e": "$not ${a placeholder",
    }
    assert transformer().resolve(config) == config


def test_a_file_that_cannot_be_read_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"Could not read properties from file /no/such\.file"):
        transformer().resolve({"a": "${file:/no/such.file:key}"})


def test_a_provider_reads_below_its_allowed_paths_only(secrets: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(secrets / "s.properties")
    (inside / "s.properties").write_text("password=open\n")
    limited = transformer(file_allowed_paths=str(inside), dir_allowed_paths=str(inside))
    config = {
        "inside": f"${{file:{inside}/s.properties:password}}",
        "outside": f"${{file:{secrets}/s.properties:password}}",
        "dots": f"${{file:{inside}/../s.properties:password}}",
        "link": f"${{file:{inside}/link:password}}",
        "directory": f"${{dir:{secrets}:token}}",
    }
    assert limited.resolve(config) == {**config, "inside": "open"}


def test_an_allowed_path_must_exist_and_be_absolute() -> None:
    with pytest.raises(ConfigError, match="is not absolute"):
        transformer(file_allowed_paths="etc").resolve({"a": "${file:/x:y}"})
    with pytest.raises(ConfigError, match="does not exist"):
        transformer(dir_allowed_paths="/no/such/path").resolve({"a": "${file:/x:y}"})


def test_variables_outside_of_the_allowed_pattern_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_A", "a")
    monkeypatch.setenv("OTHER_A", "b")
    limited = transformer(env_allowlist_pattern="ENGINE_.*")
    config = {"x": "${env:ENGINE_A}", "y": "${env:OTHER_A}"}
    assert limited.resolve(config) == {"x": "a", "y": "${env:OTHER_A}"}


def test_the_environment_has_no_paths() -> None:
    with pytest.raises(ConfigError, match="Path is not supported for EnvVarConfigProvider"):
        transformer().resolve({"a": "${env:/x:y}"})
    with pytest.raises(ConfigError, match="not a regular expression"):
        transformer(env_allowlist_pattern="(").resolve({"a": "${env:A}"})


def test_a_provider_without_a_class_is_an_error() -> None:
    broken = ConfigTransformer(Plugins(), {"config.providers": "x"})
    with pytest.raises(ConfigError, match=r'"config\.providers\.x\.class" which has no default'):
        broken.resolve({"a": "${x:y}"})


def test_providers_are_made_only_for_a_configuration_that_has_placeholders() -> None:
    broken = ConfigTransformer(Plugins(), {"config.providers": "x"})
    assert broken.resolve({"a": "plain"}) == {"a": "plain"}


def test_resolved_values_become_placeholders_again() -> None:
    raw = {"password": "${file:f:p}", "topic": "t"}
    resolved = {"password": "geheim", "topic": "t"}
    made = {"password": "geheim", "copy": "geheim", "topic": "t", "file": "f", "task": "0"}
    assert restore_placeholders(made, raw, resolved) == {
        "password": "${file:f:p}",
        "copy": "${file:f:p}",
        "topic": "t",
        "file": "f",
        "task": "0",
    }


@pytest.fixture
def credentials(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigTransformer:
    """What a service gets that has LoadCredential= for two files."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets))
    (secrets / "kafka.password").write_text("geheim\n")
    return ConfigTransformer(
        Plugins(),
        {
            "config.providers": "credentials",
            "config.providers.credentials.class": "CredentialsConfigProvider",
        },
    )


def test_credentials_of_the_service_are_found_by_name_or_as_keys_of_a_file(
    credentials: ConfigTransformer,
) -> None:
    resolved = credentials.resolve(
        {
            "a": "x ${credentials:kafka.password} y",
            "b": "${credentials:token}",
            "c": "${credentials:s.properties:user}/${credentials:s.properties:password}",
        }
    )
    assert resolved == {"a": "x geheim y", "b": "t0ken", "c": "me/geheim"}


@pytest.mark.parametrize(
    ("placeholder", "problem"),
    [
        ("kafka.pasword", "there is no credential kafka.pasword, did you mean kafka.password?"),
        ("../x", "there is no credential ../x"),
        ("none:key", "there is no credential none"),
        ("s.properties:usr", "credential s.properties has no usr, did you mean user?"),
    ],
)
def test_a_credential_that_was_not_given_is_an_error_and_not_a_password(
    credentials: ConfigTransformer, placeholder: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        credentials.resolve({"a": f"${{credentials:{placeholder}}}"})
    assert str(raised.value) == problem


def test_a_service_without_credentials_is_told_how_to_get_some(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    worker = {
        "config.providers": "c",
        "config.providers.c.class": "engine.CredentialsConfigProvider",
    }
    with pytest.raises(ConfigError, match="LoadCredential="):
        ConfigTransformer(Plugins(), worker).resolve({"a": "${c:token}"})
    worker["config.providers.c.param.directory"] = str(secrets)
    assert ConfigTransformer(Plugins(), worker).resolve({"a": "${c:token}"}) == {"a": "t0ken"}
