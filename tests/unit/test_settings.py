"""Where settings come from, which one wins, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigError
from bridge.settings import ENVIRONMENT_PREFIX, Section, Settings, is_loopback, load_settings


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def in_file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "some.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problem(flags: dict[str, Any] | None = None, file: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(flags, file)
    return caught.value


def test_flag_beats_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch, in_file: Any) -> None:
    assert load_settings().web.port == 8080
    file = in_file("[web]\nport = 1\nmax_connections = 11\n[mqtt]\ntopics = ['f/#']\n")
    assert load_settings({}, file).web.port == 1
    monkeypatch.setenv("FLEETWIRE_WEB__PORT", "2")
    assert load_settings({}, file).web.port == 2
    settings = load_settings({"web": {"port": 3}}, file)
    # one table may come from three places
    assert (settings.web.port, settings.web.max_connections, settings.web.host) == (3, 11, "127.0.0.1")
    assert settings.mqtt.topics == ["f/#"]


def test_top_level_settings_too(monkeypatch: pytest.MonkeyPatch, in_file: Any) -> None:
    file = in_file('data_dir = "from/file"\n')
    assert load_settings({}, file).data_dir == Path("from/file")
    monkeypatch.setenv("FLEETWIRE_DATA_DIR", "from/environment")
    monkeypatch.setenv("FLEETWIRE_LOG_LEVEL", "debug")
    settings = load_settings({"data_dir": Path("from/flag")}, file)
    assert (settings.data_dir, settings.log_level) == (Path("from/flag"), "debug")


def test_the_file_in_the_current_folder_is_read_if_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "fleetwire.toml").write_text("[web]\nport = 7\n", encoding="utf-8")
    assert load_settings().web.port == 7


def test_a_file_of_one_call_is_not_remembered_in_the_next(in_file: Any) -> None:
    load_settings({}, in_file("[web]\nport = 1\n"))
    assert load_settings().web.port == 8080


@pytest.mark.parametrize(
    ("flags", "path"),
    [
        ({"prot": 1}, "prot"),
        ({"web": {"prot": 1}}, "web.prot"),
        ({"wbe": {"port": 1}}, "wbe"),
    ],
)
def test_unknown_keys_are_refused_as_flags_and_in_the_file(flags: dict[str, Any], path: str, in_file: Any) -> None:
    error = problem(flags)
    assert (error.path, error.problem) == (path, "is not a setting that Fleetwire knows")
    section, key = next(iter(flags.items()))
    text = (
        f"{key} = 1" if ((key := section) and flags[section] == 1) else f"[{section}]\n{next(iter(flags[section]))} = 1"
    )
    assert problem({}, in_file(text)).path == path


@pytest.mark.parametrize(
    "variable",
    [
        "FLEETWIRE_TOKEN",
        "FLEETWIRE_WEB",
        "FLEETWIRE_WEB__PROT",
        "FLEETWIRE_WEB__",
        "FLEETWIRE_WBE__PORT",
        "FLEETWIRE_WEB_PORT",
        "FLEETWIRE_WEB__PORT__X",
        "FLEETWIRE_DATA_DIR__X",
        "FLEETWIRE_",
    ],
)
def test_unknown_variables_are_refused_and_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert problem().path == variable


@pytest.mark.parametrize(
    ("variable", "text", "path"),
    [
        ("FLEETWIRE_WEB__PORT", "eighty", "web.port"),
        ("FLEETWIRE_WEB__PORT", "65536", "web.port"),
        ("FLEETWIRE_WEB__PORT", "-1", "web.port"),
        ("FLEETWIRE_WEB__AUTH", "maybe", "web.auth"),
        ("FLEETWIRE_MQTT__PROTOCOL", "4", "mqtt.protocol"),
        ("FLEETWIRE_MQTT__URLS", "tcp://broker", "mqtt.urls"),
        ("FLEETWIRE_MQTT__URLS", "mqtt://", "mqtt.urls"),
        ("FLEETWIRE_MQTT__TOPICS", "", "mqtt.topics"),
        ("FLEETWIRE_MQTT__CA_FILE", "/no/such/file.pem", "mqtt.ca_file"),
        ("FLEETWIRE_MQTT__CERT_FILE", ".", "mqtt.cert_file"),
        ("FLEETWIRE_MQTT__KEY_FILE", "", "mqtt.key_file"),
        ("FLEETWIRE_BROKER__HOST", "0.0.0.0", "broker.host"),
        ("FLEETWIRE_LIVE__RING_SECONDS", "inf", "live.ring_seconds"),
        ("FLEETWIRE_LIVE__RING_SECONDS", "nan", "live.ring_seconds"),
        ("FLEETWIRE_LIVE__RING_SECONDS", "0", "live.ring_seconds"),
        ("FLEETWIRE_COMMANDS__MAX_TTL_MS", "1000", "commands"),  # shorter than the default one
        ("FLEETWIRE_LOG_LEVEL", "loud", "log_level"),
    ],
)
def test_a_wrong_value_is_refused_and_its_path_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, path: str
) -> None:
    monkeypatch.setenv(variable, text)
    error = problem()
    assert error.path == path or error.path.startswith(path + ".")
    assert str(error).startswith(path)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("a/#", ["a/#"]),
        ("a/#,b/+", ["a/#", "b/+"]),
        (" a , b ,, ", ["a", "b"]),
        ('["a", "b,c"]', ["a", "b,c"]),
        ('  ["a"]', ["a"]),
    ],
)
def test_lists_come_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, text: str, topics: list[str]) -> None:
    monkeypatch.setenv("FLEETWIRE_MQTT__TOPICS", text)
    assert load_settings().mqtt.topics == topics


def test_a_list_that_only_looks_like_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETWIRE_MQTT__TOPICS", '["a"')
    assert problem().path == "FLEETWIRE_MQTT__TOPICS"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_no_authentication_is_for_loopback_only(host: str) -> None:
    assert "web.auth" in str(problem({"web": {"auth": "none", "host": host}}))
    assert load_settings({"web": {"auth": "token", "host": host}}).web.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert load_settings({"web": {"auth": "none", "host": host}}).web.auth == "none"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "localhost.evil.example", "127.0.0.1.nip.io", "128.0.0.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("text", ["not toml", "[web", "web = 5", "web.port = []", "[[web]]\nport = 1"])
def test_a_broken_file_is_refused(in_file: Any, text: str) -> None:
    problem({}, in_file(text))


def test_a_file_that_is_missing_or_a_folder_or_not_text_is_refused(tmp_path: Path) -> None:
    assert problem({}, tmp_path / "none.toml").path == str(tmp_path / "none.toml")
    assert problem({}, tmp_path).path == str(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in str(problem({}, tmp_path / "binary.toml"))


def test_secrets_are_in_no_repr_and_in_no_error() -> None:
    settings = load_settings({"mqtt": {"password": "hunter2", "urls": ["mqtt://me:hunter2@broker"]}})
    assert settings.mqtt.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert "hunter2" not in str(problem({"mqtt": {"urls": ["mqt://me:hunter2@broker"]}}))
    assert "hunter2" not in repr(problem({"mqtt": {"urls": ["mqt://me:hunter2@broker"]}}))


def test_settings_cannot_be_changed_while_running() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.web.port = 1  # type: ignore[misc]


def test_every_setting_has_a_sentence_of_help() -> None:
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            assert (type(field.default).__doc__ or "").strip(), name
            for key, inner in type(field.default).model_fields.items():
                assert inner.description, f"{name}.{key}"
                assert inner.description.endswith("."), f"{name}.{key}"
        else:
            assert field.description, name
            assert field.description.endswith("."), name
