"""The shipped file is the defaults, and what is printed hides secrets."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from bridge.config_file import render
from bridge.settings import ENVIRONMENT_PREFIX, Section, Settings, load_settings

SHIPPED = Path("config/fleetwire.toml").resolve()


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def test_the_shipped_file_is_what_the_settings_say() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == render(Settings.model_construct(), commented=True)


def test_the_shipped_file_changes_nothing() -> None:
    assert load_settings({}, SHIPPED) == load_settings()


def test_the_shipped_file_names_every_setting() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            section = text.split(f"\n[{name}]\n")[1].split("\n[")[0]
            for key in type(field.default).model_fields:
                assert f"\n{key} = " in f"\n{section}" or f"\n# {key} = ..." in section, f"{name}.{key}"
        else:
            assert f"\n{name} = " in text


@pytest.mark.parametrize("commented", [True, False])
def test_what_is_rendered_reads_back(commented: bool, tmp_path: Path) -> None:
    ca_file = tmp_path / 'a "quoted" \\ name ü.pem'
    ca_file.touch()
    settings = load_settings(
        {
            "data_dir": "with 'quotes' and \\ and \x01 and 💥",
            "web": {"port": 12_345, "auth_timeout_s": 0.25, "allowed_hosts": ["a", 'b"c']},
            "mqtt": {"topics": ["a/#", "ü/+"], "ca_file": str(ca_file)},
        }
    )
    text = render(settings, commented=commented)
    path = tmp_path / "rendered.toml"
    path.write_text(text, encoding="utf-8")
    assert load_settings({}, path) == settings


SECRET = "hunter2"


@pytest.mark.parametrize("commented", [True, False])
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"mqtt://me:{SECRET}@broker:1883", "mqtt://me:**********@broker:1883"),
        (f"mqtts://:{SECRET}@broker", "mqtts://:**********@broker"),
        (f"mqtt://me:{SECRET}@{SECRET}@broker", "mqtt://me:**********@broker"),
        (f"mqtt://me:{SECRET}/{SECRET}@broker", "mqtt://me:**********@broker"),
        ("mqtt://me@broker", "mqtt://me@broker"),
        ("mqtt://broker:1883", "mqtt://broker:1883"),
        ("mqtt://[::1]:1883", "mqtt://[::1]:1883"),
    ],
)
def test_secrets_are_masked(commented: bool, url: str, shown: str) -> None:
    settings = load_settings({"mqtt": {"password": SECRET, "urls": [url]}})
    text = render(settings, commented=commented)
    assert SECRET not in text
    values = tomllib.loads(text)["mqtt"]
    assert (values["password"], values["urls"]) == ("**********", [shown])


def test_a_secret_that_is_not_set_is_shown_as_empty() -> None:
    assert 'password = ""' in render(load_settings(), commented=False)
