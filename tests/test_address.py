from __future__ import annotations

from pathlib import Path

import pytest

from videostore.address import Address
from videostore.errors import RequestError


def address(input: str, format: str | None = None, **options: str) -> Address:
    return Address(input, options, format)


@pytest.mark.parametrize(
    ("input", "told"),
    [
        ("rtsp://host/path", "rtsp://host/path"),
        ("rtsp://joe:pw1@host:554/path?x=1", "rtsp://…@host:554/path?x=1"),
        ("rtsp://joe@host/path", "rtsp://…@host/path"),
        ("rtsp://joe:p@ss@host/path", "rtsp://…@host/path"),
        ("rtsp://joe:pa/ss@host/path", "rtsp://…@host/path"),
        ("http://host/a@b.mp4", "http://host/a@b.mp4"),
        ("http://host:80/a@b.mp4", "http://host:80/a@b.mp4"),
        ("http://host/cgi?user=joe&pwd=pw1&channel=2", "http://host/cgi?user=…&pwd=…&channel=2"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_an_address_is_told_without_user_and_password(input: str, told: str) -> None:
    assert str(address(input)) == told
    assert str(address(input)) == address(input).conceal(input)


def test_secrets_are_concealed_wherever_a_text_has_them() -> None:
    one = address("rtsp://joe:s3cr%40t@host/x", headers="Authorization: Basic am9l")
    for text in ("failed: joe:s3cr%40t", "password s3cr@t refused", "sent Authorization: Basic am9l", "s3cr%40t"):
        concealed = one.conceal(text)
        assert not [word for word in ("s3cr", "am9l") if word in concealed], concealed
    assert one.conceal("other rtsp://ann:b@elsewhere/y") == "other rtsp://…@elsewhere/y"


def test_a_file_is_given_to_ffmpeg_as_a_file_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-i", "http:x", "plain.mp4", "concat:a|b"):
        Path(name).touch()
        one = address(name)
        assert (one.argument, one.is_file, one.scheme) == (f"file:{name}", True, "")


def test_urls_devices_and_what_is_not_there_are_passed_on_as_they_are(tmp_path: Path) -> None:
    for input, scheme, missing in (("rtsp://host/x", "rtsp", False), ("/dev/null", "", False), ("none", "", True)):
        one = address(input)
        assert (one.argument, one.scheme, one.is_missing, one.is_file) == (input, scheme, missing, False)
    assert not address("testsrc=size=2x2", "lavfi").is_missing
    assert address(str(tmp_path / ("x" * 5000))).is_missing


@pytest.mark.parametrize("input", ["", "-", "-i", "a\0b", "a\nb", "pipe:", "fd:0"])
def test_what_can_be_no_input_is_refused(input: str) -> None:
    with pytest.raises(RequestError, match="name a file, a device or a URL"):
        address(input)


@pytest.mark.parametrize("name", ["-vf", "i", "y", "a b", "", "1"])
def test_what_can_be_no_option_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="without a dash"):
        Address("x.mp4", {name: "1"}, None)
