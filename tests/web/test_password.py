"""The password is read from a safe place, and compared without telling how much of it is right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videostore.base.errors import ConfigError
from videostore.config import WebConfig
from videostore.web.password import Password, read_password

SECRET = "pässword with spaces"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def of_file(path: Path) -> Password | None:
    return read_password(WebConfig("127.0.0.1", 1, password_file=path))


def refusal(web: WebConfig) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_password(web)
    assert SECRET not in str(caught.value)
    return caught.value


def code_of(path: Path) -> str:
    return refusal(WebConfig("127.0.0.1", 1, password_file=path)).code


def test_it_is_that_word_and_no_other(file: Path) -> None:
    password = of_file(file)
    assert password is not None and password.matches(SECRET)
    for other in ("", SECRET[:-1], f"{SECRET} ", f"{SECRET}\n", SECRET.upper(), "\ud800", "x" * 100_000):
        assert not password.matches(other)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_its_owner_and_group_may_read_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert of_file(file) is not None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o666])
def test_a_file_that_others_can_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert code_of(file) == "password-not-safe"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(file: Path) -> None:
    os.chown(file, 12345, -1)
    assert code_of(file) == "password-not-safe"


def test_a_link_to_a_safe_file_is_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    assert of_file(tmp_path / "link") is not None


def test_what_is_no_file_is_refused_at_once(tmp_path: Path, file: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", file / "below", Path("/dev/zero")):
        assert code_of(path) == "password-unreadable", path
    file.write_bytes(b"\xff\xfe secret")
    assert code_of(file) == "password-unreadable"


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "1234567\n", "x" * 257, "a line\nand another", "with\0zero", "tab\tbed word"]
)
def test_a_password_is_one_line_that_is_neither_short_nor_long(file: Path, text: str) -> None:
    file.write_text(text)
    assert code_of(file) == "password-unfit"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(file: Path, end: str) -> None:
    file.write_bytes(SECRET.encode() + end.encode())
    password = of_file(file)
    assert password is not None and password.matches(SECRET)


def test_it_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    web = WebConfig("127.0.0.1", 1, password_env="DOOR_PASSWORD")
    assert refusal(web).code == "password-unset"
    monkeypatch.setenv("DOOR_PASSWORD", "short")
    assert refusal(web).code == "password-unfit"
    monkeypatch.setenv("DOOR_PASSWORD", SECRET)
    password = read_password(web)
    assert password is not None and password.matches(SECRET)


def test_without_one_none_is_read() -> None:
    assert read_password(WebConfig("127.0.0.1", 1)) is None
