"""What survives restarts: the data folder, the token, the client id."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.installation import prepare_data_dir, read_client_id, read_token


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = prepare_data_dir(tmp_path / "a" / "data")
    assert made == tmp_path / "a" / "data"
    assert mode(made) == 0o700
    assert prepare_data_dir(made) == made  # the second start


def test_a_folder_that_cannot_be_made_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError) as caught:
            prepare_data_dir(path)
        assert caught.value.path == "data_dir"


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        token = read_token(tmp_path)
    finally:
        os.umask(old)
    assert mode(tmp_path / "token") == 0o600
    assert len(token) == 43  # 256 bits
    assert read_token(tmp_path) == token


def test_two_installations_have_different_tokens_and_ids(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    assert len({read_token(folder) for folder in folders}) == 2
    assert len({read_client_id(folder) for folder in folders}) == 2


@pytest.mark.parametrize("too_open", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, too_open: int) -> None:
    token = read_token(tmp_path)
    (tmp_path / "token").chmod(too_open)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        read_token(tmp_path)
    assert token not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff\xfe" * 20])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(ConfigError):
        read_token(tmp_path)


def test_a_folder_in_the_place_of_the_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(ConfigError):
        read_token(tmp_path)


def test_the_client_id_is_stable_and_fits_into_mqtt_3_1(tmp_path: Path) -> None:
    client_id = read_client_id(tmp_path)
    assert client_id == read_client_id(tmp_path)
    assert client_id.startswith("fleetwire-")
    assert len(client_id) <= 23
    assert client_id.isascii()
