from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from videostore.base.errors import RequestError
from videostore.cli.url_file import named_input

URL = "rtsp://user:p%40ss wörd@camera/stream"


def test_an_input_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(URL)
    assert named_input("/dev/video0", None) == "/dev/video0"
    assert named_input(None, str(file)) == URL
    for argument, url_file in ((None, None), (URL, str(file))):
        with pytest.raises(RequestError) as error:
            named_input(argument, url_file)
        assert error.value.code == "input-twice" and "wörd" not in str(error.value)


@pytest.mark.parametrize("content", [URL, f"{URL}\n", f"  {URL}\r\n# the front door\n", f"\ufeff{URL}\n"])
def test_the_first_line_of_a_file_is_the_url(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "url"
    file.write_text(content)
    assert named_input(None, str(file)) == URL
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    assert named_input(None, "-") == URL


def test_a_file_in_the_home_directory_and_a_pipe_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(URL)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_input(None, "~/url") == URL
    reading, writing = os.pipe()
    os.write(writing, URL.encode())
    os.close(writing)
    try:
        assert named_input(None, f"/dev/fd/{reading}") == URL
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b" \n" + URL.encode(), "is empty"),
        (b"\xff\xfe" * 50, "no text"),
        (b"x" * 20_000, "too long"),
    ],
)
def test_a_file_without_a_url_is_refused_with_the_reason_and_without_its_content(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RequestError) as error:
        named_input(None, str(file))
    sentence = str(error.value)
    assert word in sentence and "--url-file" in sentence and "xxx" not in sentence and "wörd" not in sentence


def test_without_standard_input_there_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(RequestError) as error:
        named_input(None, "-")
    assert error.value.code == "input-url-file"
